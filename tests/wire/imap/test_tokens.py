from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.framing import Line, Literal, ResponseFramer, StreamedLiteral
from mailferry.wire.imap.serialize import is_quotable, quoted
from mailferry.wire.imap.tokens import NESTING_MAX, Value, tokenize

SAMPLES: list[tuple[bytes, tuple[Literal, ...], list[Value]]] = [
    (b"", (), []),
    (b"* 18 EXISTS", (), [b"*", 18, b"EXISTS"]),
    (
        rb"* 12 FETCH (FLAGS (\Seen $Work) INTERNALDATE NIL)",
        (),
        [b"*", 12, b"FETCH", [b"FLAGS", [rb"\Seen", b"$Work"], b"INTERNALDATE", None]],
    ),
    # Only atoms become NIL and numbers.
    (b'NIL nil "NIL" 12 "12"', (), [None, None, b"NIL", 12, b"12"]),
    # What could not be written back as it was stays octets.
    (
        b"007 0 00 -1 123456789012345678901",
        (),
        [b"007", 0, b"00", b"-1", b"1" + b"23456789012345678901"],
    ),
    (rb'"a\"b\\c" ""', (), [rb"a\"b\c".replace(rb"\"", b'"'), b""]),
    (
        b"X {3}\r\n Y ~{2}\r\n",
        (b"a\r\n", StreamedLiteral(2)),
        [b"X", b"a\r\n", b"Y", StreamedLiteral(2)],
    ),
    (
        b'BODY[HEADER.FIELDS (DATE "X]Y")]<0> x body[] NIL',
        (),
        [b'BODY[HEADER.FIELDS (DATE "X]Y")]<0>', b"x", b"body[]", None],
    ),
    (b'() "/" [Gmail]/Trash', (), [[], b"/", b"[Gmail]/Trash"]),
    # No space between addresses and parts; one too many at the end (named faults of servers).
    (b'(("a" NIL)("b" NIL)) ', (), [[[b"a", None], [b"b", None]]]),
    ("(Bücher)".encode(), (), [["Bücher".encode()]]),
]


@pytest.mark.parametrize(("text", "literals", "values"), SAMPLES)
def test_samples(text: bytes, literals: tuple[Literal, ...], values: list[Value]) -> None:
    assert tokenize(text, literals) == values


def test_start() -> None:
    assert tokenize(b"* OK [UIDNEXT 5]"[6:-1]) == [b"UIDNEXT", 5]
    assert tokenize(b'* LIST () "/" x', (), 7) == [[], b"/", b"x"]


@pytest.mark.parametrize(
    "text", [b"(a", b"a)", b'"a', b'"a\\"', b"a\tb", b"{3}\r\n", b"a{b", b'"\r"', b"\0", b"{x}"]
)
def test_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        tokenize(text)


def test_nesting_is_limited() -> None:
    tokenize(b"(" * NESTING_MAX + b")" * NESTING_MAX)
    with pytest.raises(RemoteProtocolError, match="deep"):
        tokenize(b"(" * (NESTING_MAX + 1) + b")" * (NESTING_MAX + 1))


def test_a_long_string_with_escapes_costs_no_memory_of_its_own() -> None:
    value = b'\\"' * 500_000
    assert tokenize(b'"%b"' % value) == [b'"' * 500_000]


@given(st.binary())
def test_any_octets_parse_or_are_refused(text: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        tokenize(text)


def write(value: Value) -> bytes:
    match value:
        case None:
            return b"NIL"
        case int():
            return b"%d" % value
        case bytes():
            return quoted(value) if is_quotable(value) else b"{%d}\r\n%b" % (len(value), value)
        case list():
            return b"(" + b" ".join(map(write, value)) + b")"
        case _:
            raise AssertionError(value)


values_strategy: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.binary(max_size=20) | st.integers(0, 2**63 - 1),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(values_strategy, max_size=4))
def test_round_trip(values: list[Value]) -> None:
    framer = ResponseFramer()
    framer.feed(b"* X " + b" ".join(map(write, values)) + b"\r\n")
    line = framer.next_event()
    assert isinstance(line, Line)
    assert tokenize(line.text, line.literals) == [b"*", b"X", *values]
