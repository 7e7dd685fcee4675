from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import sequence_set
from mailferry.wire.imap.sequence_set import NUMBER_MAX, STAR, Ranges, SequenceSet

RFC_EXAMPLES = [
    # RFC 9051 §9, sequence-set and seq-range.
    (b"2,4:7,9,12:*", 15, {2, 4, 5, 6, 7, 9, 12, 13, 14, 15}),
    (b"*:4,5:7", 10, {4, 5, 6, 7, 8, 9, 10}),
    (b"2:4", 10, {2, 3, 4}),
    (b"4:2", 10, {2, 3, 4}),
    (b"*", 3, {3}),
    # Beyond the end: the last message is meant.
    (b"3291:*", 12, set(range(12, 3292))),
    (b"*:*", 7, {7}),
    (b"1:*", 0, set()),
    (b"*,5", 0, {5}),
]


@pytest.mark.parametrize(("octets", "largest", "numbers"), RFC_EXAMPLES)
def test_rfc_examples(octets: bytes, largest: int, numbers: set[int]) -> None:
    parsed = sequence_set.parse(octets)
    assert parsed.format() == octets or octets == b"*:*"
    assert set(sequence_set.expanded(parsed.resolve(largest), 10_000)) == numbers


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"0",
        b"01",
        b"1,",
        b",1",
        b"1:",
        b":1",
        b"1:2:3",
        b"1 2",
        b"a",
        b"4294967296",
        b"1\n",
        b"**",
    ],
)
def test_refused(octets: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        sequence_set.parse(octets)


def test_star() -> None:
    parsed = sequence_set.parse(b"7,3:*")
    assert parsed == SequenceSet(((7, 7), (3, STAR)))
    assert parsed.has_star
    with pytest.raises(RemoteProtocolError):
        sequence_set.parse_ranges(b"1,*")


def test_contains() -> None:
    ranges = ((2, 4), (9, 9), (NUMBER_MAX, NUMBER_MAX))
    inside = {1: False, 2: True, 4: True, 5: False, 9: True, 10: False, NUMBER_MAX: True}
    for number, expected in inside.items():
        assert sequence_set.contains(ranges, number) is expected
    assert not sequence_set.contains((), 1)


def test_expansion_is_bounded() -> None:
    with pytest.raises(RemoteProtocolError, match="too many"):
        sequence_set.expanded(((1, NUMBER_MAX),), 1000)


def test_what_cannot_be_written() -> None:
    with pytest.raises(LocalProtocolError):
        sequence_set.format_ranges(())
    with pytest.raises(LocalProtocolError):
        sequence_set.compacted([2, 1])
    with pytest.raises(LocalProtocolError):
        sequence_set.compacted([1, 1])


def test_pieces() -> None:
    ranges: Ranges = ((1, 3), (5, 5), (100, 200), (300, 300))
    assert list(sequence_set.format_in_pieces(ranges, 5)) == [b"1:3,5", b"100:200", b"300"]
    assert list(sequence_set.format_in_pieces(ranges, 100)) == [b"1:3,5,100:200,300"]
    assert list(sequence_set.format_in_pieces((), 100)) == []


numbers_strategy = st.sets(st.integers(1, 60)).map(sorted)


@given(numbers_strategy)
def test_compacted_round_trip(numbers: list[int]) -> None:
    ranges = sequence_set.compacted(numbers)
    assert sequence_set.expanded(ranges, 100) == numbers
    assert sequence_set.count(ranges) == len(numbers)
    assert [n for n in range(70) if sequence_set.contains(ranges, n)] == numbers
    assert sequence_set.merged(ranges) == ranges
    if numbers:
        assert sequence_set.parse_ranges(sequence_set.format_ranges(ranges)) == ranges


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1), st.integers(0, 30))
def test_resolve(parts: list[tuple[int, int]], largest: int) -> None:
    written = SequenceSet(tuple(parts))
    assert sequence_set.parse(written.format()) == written
    expected: set[int] = set()
    for first, last in parts:
        if largest or (first and last):
            ends = (first or largest, last or largest)
            expected |= set(range(min(ends), max(ends) + 1))
    assert sequence_set.expanded(written.resolve(largest), 100) == sorted(expected)


@given(st.binary() | st.text("0123456789,:*").map(str.encode))
def test_any_octets_parse_or_are_refused(octets: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert sequence_set.parse(octets).parts
