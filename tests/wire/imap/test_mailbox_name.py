from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap.mailbox_name import (
    NAME_LENGTH_MAX,
    STRICT,
    ListPattern,
    NameQuirk,
    decode,
    encode,
)

NAMES = [
    (b"INBOX", "INBOX"),
    (b"", ""),
    # RFC 3501 §5.1.3.
    (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
    (b"&-", "&"),
    (b"R&-D", "R&D"),
    (b"&Jjo-!", "☺!"),
    (b"Entw&APw-rfe", "Entwürfe"),
    (b"&2D3cgA-", "\U0001f480"),
    (b"&AAA-", "\0"),
    (b"a b%*", "a b%*"),
]


@pytest.mark.parametrize(("wire", "name"), NAMES)
def test_names(wire: bytes, name: str) -> None:
    assert decode(wire, STRICT) == name
    assert encode(name) == wire


@pytest.mark.parametrize(
    ("wire", "lenient"),
    [
        (b"R&D", "R&D"),
        (b"&", "&"),
        # RFC 3501 §5.1.3: the shift is not ended; printable octets shifted; shifts in a row.
        (b"&Jjo!", "&Jjo!"),
        (b"&AGE-", "&AGE-"),
        (b"&ACY-", "&ACY-"),
        # Bits left over, half a character, half a pair, "/" for ",".
        (b"&Jjp-", "&Jjp-"),
        (b"&Jj-", "&Jj-"),
        (b"&2AA-", "&2AA-"),
        (b"&U/BTFw-", "&U/BTFw-"),
        ("Bücher".encode(), "Bücher"),
    ],
)
def test_quirks(wire: bytes, lenient: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(wire, STRICT)
    assert decode(wire) == lenient
    assert decode(encode(lenient), STRICT) == lenient


def test_limits_and_refusals() -> None:
    with pytest.raises(RemoteProtocolError, match="long"):
        decode(b"x" * (NAME_LENGTH_MAX + 1))
    with pytest.raises(RemoteProtocolError):
        decode(b"\xfc")
    with pytest.raises(RemoteProtocolError):
        decode("ü".encode(), frozenset({NameQuirk.STRAY_AMPERSAND}))
    with pytest.raises(LocalProtocolError):
        encode("\ud800")


@given(st.text())
def test_round_trip(name: str) -> None:
    wire = encode(name)
    assert re.fullmatch(rb"[\x20-\x7e]*", wire)
    if len(wire) <= NAME_LENGTH_MAX:
        assert decode(wire, STRICT) == name


@given(st.binary() | st.text("&-aAJj,+\u00fc").map(str.encode))
def test_any_octets_decode_or_are_refused(wire: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert encode(decode(wire, STRICT)) == wire
    with contextlib.suppress(RemoteProtocolError):
        name = decode(wire)
        assert decode(encode(name), STRICT) == name


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a/b", "INBOX", ""], []),
        ("%", ["a", "INBOX", ""], ["a/b"]),
        ("a/%", ["a/b", "a/"], ["a", "a/b/c", "b/a/b"]),
        ("a*", ["a", "a/b/c", "ab"], ["b"]),
        ("%/%", ["a/b"], ["a", "a/b/c"]),
        ("*%", ["a/b"], []),
        ("%%x", ["x", "abx"], ["a/x"]),
        ("*b*d", ["abcd", "a/b/c/d"], ["abc", "acd"]),
        ("a.b", ["a.b"], ["axb"]),
        ("inbox", ["INBOX"], ["inbox2", "Inbox/a"]),
        ("inB%", ["INBOX"], ["INBOXES"]),
        ("inbox/a", ["INBOX/a"], ["INBOX/A"]),
        ("", [""], ["a"]),
    ],
)
def test_list_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    compiled = ListPattern(pattern, "/")
    assert [name for name in matching if not compiled.matches(name)] == []
    assert [name for name in others if compiled.matches(name)] == []


def test_list_pattern_without_delimiter() -> None:
    assert ListPattern("%", "").matches("a/b")


def test_list_pattern_cannot_be_made_slow() -> None:
    assert not ListPattern("*a" * 50 + "b", "/").matches("a" * 500)


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
def test_list_pattern_means_what_a_regular_expression_does(pattern: str, name: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace("%", "[^/]*")
    assert ListPattern(pattern, "/").matches(name) == bool(re.fullmatch(expression, name))
