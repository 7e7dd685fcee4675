from __future__ import annotations

import pytest

from mailferry.wire.imap import sequence_set
from mailferry.wire.imap.commands.message import Copy, Expunge, Move, Store, StoreAction
from mailferry.wire.imap.commands.parse import Command
from tests.wire.imap.commands.parsing import parsed, refused

TWO_TO_FOUR = sequence_set.parse(b"2:4")


def store(
    action: StoreAction, *flags: str, silent: bool = False, since: int | None = None
) -> Store:
    return Store(
        messages=TWO_TO_FOUR,
        by_uid=False,
        action=action,
        flags=flags,
        silent=silent,
        unchanged_since=since,
    )


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (b"UID EXPUNGE 3000:3002", Expunge(sequence_set.parse(b"3000:3002"))),
        (b"STORE 2:4 +FLAGS (\\Deleted)", store(StoreAction.ADD, "\\Deleted")),
        (
            b"STORE 2:4 -flags.silent (\\Answered \\Seen)",
            store(StoreAction.REMOVE, "\\Answered", "\\Seen", silent=True),
        ),
        (b"STORE 2:4 FLAGS ()", store(StoreAction.REPLACE)),
        (b"STORE 2:4 FLAGS \\Seen $Work x", store(StoreAction.REPLACE, "\\Seen", "$Work", "x")),
        (
            b"STORE 2:4 (UNCHANGEDSINCE 320172338) +FLAGS.SILENT (\\SEEN)",
            store(StoreAction.ADD, "\\SEEN", silent=True, since=320172338),
        ),
        (
            b"STORE 2:4 (UNCHANGEDSINCE 0) FLAGS x",
            store(StoreAction.REPLACE, "x", since=0),
        ),
        (
            b"UID STORE 1:* +FLAGS (\\Seen)",
            Store(
                messages=sequence_set.parse(b"1:*"),
                by_uid=True,
                action=StoreAction.ADD,
                flags=("\\Seen",),
            ),
        ),
        (b"COPY 2:4 MEETING", Copy(messages=TWO_TO_FOUR, by_uid=False, mailbox="MEETING")),
        (b"UID COPY 2:4 inbox", Copy(messages=TWO_TO_FOUR, by_uid=True, mailbox="INBOX")),
        (b"MOVE 2:4 foo", Move(messages=TWO_TO_FOUR, by_uid=False, mailbox="foo")),
        (b"UID MOVE 2:4 foo", Move(messages=TWO_TO_FOUR, by_uid=True, mailbox="foo")),
    ],
)
def test_commands(words: bytes, command: Command) -> None:
    assert parsed(words) == command


@pytest.mark.parametrize(
    "words",
    [
        b"EXPUNGE 1",
        b"UID EXPUNGE",
        b"STORE 1",
        b"STORE 1 FLAGS",
        b"STORE 1 FOO (x)",
        b"STORE 1 *FLAGS (x)",
        b"STORE 1 FLAGS (x",
        b"STORE 1 FLAGS (\\*)",
        b"STORE 1 FLAGS (\\)",
        b'STORE 1 FLAGS ("x")',
        b"STORE 1 (UNCHANGEDSINCE) FLAGS x",
        b"STORE 1 (FOO 1) FLAGS x",
        b"STORE 0 FLAGS x",
        b"STORE x FLAGS x",
        b"COPY 1",
        b"COPY a b",
        b"COPY 1,,2 b",
        b"MOVE 1:2:3 b",
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)
