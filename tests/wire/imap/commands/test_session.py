from __future__ import annotations

import pytest

from mailferry.wire.imap.commands.mailbox import Check, Close, Unselect
from mailferry.wire.imap.commands.message import Expunge
from mailferry.wire.imap.commands.parse import Command, parse_tag
from mailferry.wire.imap.commands.session import (
    Authenticate,
    Capability,
    Compress,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    Namespace,
    Noop,
    StartTls,
)
from tests.wire.imap.commands.parsing import parsed, refused

BARE: list[tuple[bytes, Command]] = [
    (b"CAPABILITY", Capability()),
    (b"CHECK", Check()),
    (b"CLOSE", Close()),
    (b"EXPUNGE", Expunge()),
    (b"IDLE", Idle()),
    (b"LOGOUT", Logout()),
    (b"NAMESPACE", Namespace()),
    (b"NOOP", Noop()),
    (b"STARTTLS", StartTls()),
    (b"UNSELECT", Unselect()),
]


@pytest.mark.parametrize(("words", "command"), BARE)
def test_bare(words: bytes, command: Command) -> None:
    assert parsed(words) == parsed(words.lower()) == command
    assert refused(words + b" x").words == "there is something after the end of the command"


@pytest.mark.parametrize(
    ("superfluous", "strict"),
    [
        (b"NOOP  ", b"NOOP"),
        (b"LOGIN  a   b ", b"LOGIN a b"),
        (b"ENABLE CONDSTORE ", b"ENABLE CONDSTORE"),
        (b'LIST  ""  "*" ', b'LIST "" "*"'),
        (b"STATUS INBOX  ( MESSAGES  UNSEEN )", b"STATUS INBOX (MESSAGES UNSEEN)"),
        (b"FETCH 1  (FLAGS  UID ) ", b"FETCH 1 (FLAGS UID)"),
        (b"STORE 1 +FLAGS (\\Seen ) ", b"STORE 1 +FLAGS (\\Seen)"),
        (b"STORE 1 FLAGS  x  y ", b"STORE 1 FLAGS x y"),
        (b"SEARCH  SEEN  NOT  DELETED ", b"SEARCH SEEN NOT DELETED"),
        (b"SELECT {1}\r\nx ", b"SELECT {1}\r\nx"),
    ],
)
def test_quirk_superfluous_spaces(superfluous: bytes, strict: bytes) -> None:
    assert parsed(superfluous) == parsed(strict)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (b"LOGIN SMITH SESAME", Login(b"SMITH", b"SESAME")),
        (b'LOGIN "fred" "fo\\"o\\\\"', Login(b"fred", b'fo"o\\')),
        (b"LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man", Login(b"FRED FOOBAR", b"fat man")),
        (b"LOGIN NIL nil", Login(b"NIL", b"nil")),
        (b"LOGIN a]b {0}\r\n", Login(b"a]b", b"")),
        ('LOGIN joe "pässword"'.encode(), Login(b"joe", "pässword".encode())),
        (b"AUTHENTICATE GSSAPI", Authenticate("GSSAPI", None)),
        (b"AUTHENTICATE EXTERNAL =", Authenticate("EXTERNAL", b"")),
        (b"AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", Authenticate("PLAIN", b"test\0test\0test")),
        (b"AUTHENTICATE scram-sha-256 biws", Authenticate("SCRAM-SHA-256", b"n,,")),
        (
            b'ID ("name" "sodr" "version" "19.34" "vendor" NIL)',
            Id((("name", "sodr"), ("version", "19.34"), ("vendor", None))),
        ),
        (b"ID NIL", Id(())),
        (b"ID ()", Id(())),
        (b"ENABLE CONDSTORE X-GOOD-IDEA", Enable(("CONDSTORE", "X-GOOD-IDEA"))),
        (b"ENABLE UTF8=ACCEPT", Enable(("UTF8=ACCEPT",))),
        (b"COMPRESS DEFLATE", Compress("DEFLATE")),
    ],
)
def test_arguments(words: bytes, command: Command) -> None:
    assert parsed(words) == command


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"XPIG-LATIN",
        b"UID",
        b"UID NOOP",
        b"LOGIN",
        b"LOGIN a",
        b"LOGIN a b c",
        b'LOGIN a "b',
        b'LOGIN a "\\b"',
        b"LOGIN a {1}\r\n\0",
        b"LOGIN (a) b",
        b"AUTHENTICATE",
        b"AUTHENTICATE PLAIN ====",
        b"AUTHENTICATE PLAIN a",
        b"AUTHENTICATE PLAIN = x",
        b"ID",
        b"ID x",
        b'ID ("name")',
        b'ID ("name" "x"',
        b"ENABLE",
        b"ENABLE ",
        b"COMPRESS",
    ],
)
def test_refused(words: bytes) -> None:
    refused(words)


def test_tags() -> None:
    assert parse_tag(b"a.1#] NOOP") == "a.1#]"
    assert parse_tag(b"a1") == "a1"
    assert parse_tag(b"x" * 255 + b" NOOP") == "x" * 255
    for text in [
        b"x" * 256 + b" NOOP",
        b"",
        b"* x",
        b"+ x",
        b"a+1 x",
        b'"a" x',
        b"{3}\r\n x",
        b"a(b",
    ]:
        assert parse_tag(text) is None


def test_passwords_are_not_in_errors() -> None:
    for words in [b"LOGIN joe geheim geheim", b'LOGIN joe "geheim', b"LOGIN joe geheim\xfc"]:
        assert "geheim" not in repr(refused(words))
