from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError
from mailferry.wire.imap import serialize
from mailferry.wire.imap.serialize import CommandWriter, LiteralMode, Segment
from mailferry.wire.imap.tokens import tokenize


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (b"INBOX", b"INBOX"),
        (b"[Gmail]/Trash", b"[Gmail]/Trash"),
        (b"", b'""'),
        (b"NIL", b'"NIL"'),
        (b"nil", b'"nil"'),
        (b"Sent Mail", b'"Sent Mail"'),
        (b'a"b\\c', rb'"a\"b\\c"'),
        (b"50%", b'"50%"'),
        (b"*", b'"*"'),
        (b"a\tb", b'"a\tb"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        ("ü".encode(), "{2}\r\nü".encode()),
        (b"a\0b", b"{3}\r\na\x80b"),
        (b"x" * 2000, b"x" * 2000),
        (b" " * 2000, b"{2000}\r\n" + b" " * 2000),
    ],
)
def test_astring(value: bytes, written: bytes) -> None:
    assert serialize.astring(value) == written


def test_strings() -> None:
    assert serialize.nstring(None) == b"NIL"
    assert serialize.nstring(b"x") == b'"x"'
    assert serialize.string(b"x") == b'"x"'
    assert serialize.parenthesised([b"a", b"b"]) == b"(a b)"
    assert serialize.literal_marker(3) == b"{3}\r\n"


def test_flags() -> None:
    assert serialize.flag_list(["\\Seen", "$Junk", "\\*"]) == b"(\\Seen $Junk \\*)"
    for name in ["", "\\", "a b", "a)", "ü", "\\a\\", "*"]:
        with pytest.raises(LocalProtocolError):
            serialize.flag(name)


def test_atom_and_quoted_refuse() -> None:
    for value in [b"", b"a]", b"a b", b"\xfc"]:
        with pytest.raises(LocalProtocolError):
            serialize.atom(value)
    for value in [b"a\n", b"\xfc", b"x" * 1025]:
        with pytest.raises(LocalProtocolError):
            serialize.quoted(value)


PASSWORD = "pässword".encode()
LOGIN_SEGMENTS = {
    LiteralMode.SYNCHRONISING: [
        Segment(b"a1 LOGIN joe {9}\r\n", waits=True),
        Segment(PASSWORD + b"\r\n"),
    ],
    LiteralMode.MINUS: [Segment(b"a1 LOGIN joe {9+}\r\n" + PASSWORD + b"\r\n")],
    LiteralMode.PLUS: [Segment(b"a1 LOGIN joe {9+}\r\n" + PASSWORD + b"\r\n")],
}


@pytest.mark.parametrize("mode", LiteralMode)
def test_command_writer(mode: LiteralMode) -> None:
    writer = CommandWriter(mode)
    writer.raw(b"a1 LOGIN ").astring(b"joe").raw(b" ").astring(PASSWORD).raw(b"\r\n")
    assert writer.segments() == LOGIN_SEGMENTS[mode]
    assert writer.segments() == []


def test_command_writer_streams() -> None:
    writer = CommandWriter(LiteralMode.MINUS)
    writer.raw(b"a1 APPEND x ").literal_marker(5000)
    assert writer.segments() == [Segment(b"a1 APPEND x {5000}\r\n", waits=True)]
    writer.raw(b"\r\n")
    assert writer.segments() == [Segment(b"\r\n")]
    writer.raw(b"a1 APPEND x ").literal_marker(4096)
    assert writer.segments() == [Segment(b"a1 APPEND x {4096+}\r\n")]


def test_command_writer_refuses_nul() -> None:
    with pytest.raises(LocalProtocolError):
        CommandWriter(LiteralMode.PLUS).astring(b"a\0")


@given(st.binary().filter(lambda value: not value.isdigit()))
def test_round_trip(value: bytes) -> None:
    written = serialize.astring(value)
    if written.startswith(b"{"):
        marker, _, data = written.partition(b"\r\n")
        assert tokenize(marker + b"\r\n", [data]) == [value.replace(b"\0", b"\x80")]
    else:
        assert tokenize(written) == [value]
