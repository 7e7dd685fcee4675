from __future__ import annotations

import pytest

from mailferry.wire.imap import sequence_set
from mailferry.wire.imap.commands.mailbox import (
    Create,
    Delete,
    Qresync,
    Rename,
    Select,
    Status,
    StatusItem,
    Subscribe,
    Unsubscribe,
)
from mailferry.wire.imap.commands.parse import Command
from mailferry.wire.imap.sequence_set import SequenceSet
from tests.wire.imap.commands.parsing import parsed, refused

KNOWN = sequence_set.parse(b"41,43:211,214:541")


def select(
    known_uids: SequenceSet | None = None,
    matches: tuple[SequenceSet, SequenceSet] | None = None,
) -> Select:
    remembered = Qresync(
        uid_validity=67890007,
        modseq=20050715194045000,
        known_uids=known_uids,
        matches=matches,
    )
    return Select(mailbox="INBOX", read_only=False, qresync=remembered)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (b"SELECT INBOX", Select(mailbox="INBOX", read_only=False)),
        (b'SELECT "inbox"', Select(mailbox="INBOX", read_only=False)),
        (b"SELECT inbox/x", Select(mailbox="inbox/x", read_only=False)),
        (b"EXAMINE blurdybloop", Select(mailbox="blurdybloop", read_only=True)),
        (b"SELECT NIL", Select(mailbox="NIL", read_only=False)),
        (b'SELECT ""', Select(mailbox="", read_only=False)),
        (b"SELECT 007", Select(mailbox="007", read_only=False)),
        (b"SELECT &U,BTFw-", Select(mailbox="台北", read_only=False)),
        (b'SELECT "R&D"', Select(mailbox="R&D", read_only=False)),
        ('SELECT "Bücher"'.encode(), Select(mailbox="Bücher", read_only=False)),
        (b"SELECT {3}\r\na b", Select(mailbox="a b", read_only=False)),
        (
            b"SELECT INBOX (CONDSTORE)",
            Select(mailbox="INBOX", read_only=False, condstore=True),
        ),
        (
            b"SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))",
            select(KNOWN),
        ),
        (b"SELECT INBOX (QRESYNC (67890007 20050715194045000))", select()),
        (
            b"SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541 (1,5 2,9)))",
            select(KNOWN, (sequence_set.parse(b"1,5"), sequence_set.parse(b"2,9"))),
        ),
        (
            b"SELECT INBOX (QRESYNC (67890007 20050715194045000 (1 2)))",
            select(None, (sequence_set.parse(b"1"), sequence_set.parse(b"2"))),
        ),
        (b"CREATE owatagusiam/", Create("owatagusiam/")),
        (b"CREATE MySpecial (USE (\\Drafts \\Sent))", Create("MySpecial", ("\\Drafts", "\\Sent"))),
        (b"CREATE x (USE ())", Create("x")),
        (b"DELETE foo/bar", Delete("foo/bar")),
        (b"RENAME INBOX old-mail", Rename("INBOX", "old-mail")),
        (b"SUBSCRIBE #news.comp.mail.mime", Subscribe("#news.comp.mail.mime")),
        (b"UNSUBSCRIBE #news.comp.mail.mime", Unsubscribe("#news.comp.mail.mime")),
        (
            b"STATUS blurdybloop (UIDNEXT MESSAGES uidnext)",
            Status("blurdybloop", (StatusItem.UIDNEXT, StatusItem.MESSAGES)),
        ),
        (
            b"STATUS x (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID)",
            Status("x", tuple(StatusItem)),
        ),
    ],
)
def test_commands(words: bytes, command: Command) -> None:
    assert parsed(words) == command


@pytest.mark.parametrize(
    "words",
    [
        b"SELECT",
        b"SELECT ",
        b"SELECT a b",
        b"SELECT a*",
        b"SELECT %",
        b"SELECT \xfc",
        b'SELECT "\xfc"',
        b"SELECT " + b"x" * 5000,
        b"SELECT a ()",
        b"SELECT a (BLURDYBLOOP)",
        b"SELECT a (QRESYNC)",
        b"SELECT a (QRESYNC (0 1))",
        b"SELECT a (QRESYNC (1))",
        b"SELECT a (QRESYNC (1 2 (3)))",
        b"SELECT a (QRESYNC (1 99999999999999999999))",
        b"CREATE a (FOO)",
        b"CREATE a (USE \\Sent)",
        b"RENAME a",
        b"STATUS a",
        b"STATUS a ()",
        b"STATUS a (FOO)",
        b"STATUS a MESSAGES",
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)
