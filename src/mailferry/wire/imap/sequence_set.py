"""Sets of message sequence numbers or UIDs (RFC 9051 §9 sequence-set; RFC 4315 §4 uid-set).

A `SequenceSet` is what somebody wrote, "*" included.  `Ranges` are what it means in a mailbox:
ascending, disjoint, not adjacent, inclusive.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError

STAR: Final = 0
"""Stands for "*", the largest number in use; no message has the number 0."""

NUMBER_MAX: Final = 0xFFFF_FFFF

Ranges: TypeAlias = tuple[tuple[int, int], ...]

#   seq-number   = nz-number / "*"
#   seq-range    = seq-number ":" seq-number
#   sequence-set = (seq-number / seq-range) ["," sequence-set]
_NUMBER: Final = rb"(?:[1-9][0-9]{0,9}|\*)"
_SEQUENCE_SET: Final = re.compile(
    rb"%b(?::%b)?+(?:,%b(?::%b)?+)*+\Z" % (_NUMBER, _NUMBER, _NUMBER, _NUMBER)
)


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set as it was written: pairs of numbers, equal ones for a single, STAR for "*"."""

    parts: tuple[tuple[int, int], ...]

    @property
    def has_star(self) -> bool:
        """Whether its meaning depends on the largest number in use."""
        return any(STAR in part for part in self.parts)

    def resolve(self, largest: int) -> Ranges:
        """Return what the set means where `largest` is the largest number in use.

        "n:*" with n beyond it means n and it, in either order (RFC 9051 §9, seq-range).  Where
        nothing is in use (0), what has a "*" means nothing.
        """
        pairs = []
        for first, last in self.parts:
            if not largest and STAR in (first, last):
                continue
            pair = (first or largest, last or largest)
            pairs.append((min(pair), max(pair)))
        return merged(pairs)

    def format(self) -> bytes:
        """Return it as written on the wire."""
        return b",".join(
            _format_number(first)
            if first == last
            else b"%b:%b" % (_format_number(first), _format_number(last))
            for first, last in self.parts
        )


def parse(octets: bytes) -> SequenceSet:
    """Return the set that is written here.

    Raises:
        RemoteProtocolError: it is not one.
    """
    if _SEQUENCE_SET.match(octets) is None:
        raise RemoteProtocolError("not a sequence set")
    parts = []
    for part in octets.split(b","):
        first, colon, last = part.partition(b":")
        low = _parse_number(first)
        parts.append((low, _parse_number(last) if colon else low))
    return SequenceSet(tuple(parts))


def parse_ranges(octets: bytes) -> Ranges:
    """Return the ranges of a set without "*", as in ESEARCH, COPYUID and VANISHED.

    Raises:
        RemoteProtocolError: it is not one.
    """
    parsed = parse(octets)
    if parsed.has_star:
        raise RemoteProtocolError('"*" where only numbers can be')
    return parsed.resolve(0)


def _parse_number(octets: bytes) -> int:
    if octets == b"*":
        return STAR
    number = int(octets)
    if number > NUMBER_MAX:
        raise RemoteProtocolError("a number over 32 bits")
    return number


def _format_number(number: int) -> bytes:
    return b"*" if number == STAR else b"%d" % number


def merged(pairs: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges that overlap, touch, or are in any order, as Ranges."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    return tuple(result)


def compacted(numbers: Iterable[int]) -> Ranges:
    """Return ascending numbers as Ranges.

    Raises:
        LocalProtocolError: they do not ascend.
    """
    result: list[tuple[int, int]] = []
    low = high = -1
    for number in numbers:
        if number == high + 1 and high >= 0:
            high = number
            continue
        if number <= high:
            raise LocalProtocolError("numbers do not ascend")
        if high >= 0:
            result.append((low, high))
        low = high = number
    if high >= 0:
        result.append((low, high))
    return tuple(result)


def contains(ranges: Ranges, number: int) -> bool:
    """Whether the number is in one of the ranges."""
    at = bisect_right(ranges, (number, NUMBER_MAX + 1)) - 1
    return at >= 0 and number <= ranges[at][1]


def count(ranges: Ranges) -> int:
    """Return how many numbers the ranges hold."""
    return sum(high - low + 1 for low, high in ranges)


def expanded(ranges: Ranges, count_max: int) -> list[int]:
    """Return all numbers, ascending.

    Raises:
        RemoteProtocolError: there are more than `count_max`; the other end chose the ranges.
    """
    if count(ranges) > count_max:
        raise RemoteProtocolError("too many numbers in a set")
    return [number for low, high in ranges for number in range(low, high + 1)]


def format_ranges(ranges: Sequence[tuple[int, int]]) -> bytes:
    """Return ranges as written on the wire.

    Raises:
        LocalProtocolError: there are none: IMAP cannot write the empty set.
    """
    if not ranges:
        raise LocalProtocolError("an empty set cannot be written")
    return b",".join(_format_range(low, high) for low, high in ranges)


def format_in_pieces(ranges: Sequence[tuple[int, int]], length_max: int) -> Iterator[bytes]:
    """Yield ranges as sets of at most `length_max` octets each, for servers that limit lines.

    A single range is never cut, however small `length_max` is.
    """
    piece = bytearray()
    for low, high in ranges:
        written = _format_range(low, high)
        if piece and len(piece) + 1 + len(written) > length_max:
            yield bytes(piece)
            piece.clear()
        if piece:
            piece += b","
        piece += written
    if piece:
        yield bytes(piece)


def _format_range(low: int, high: int) -> bytes:
    return b"%d" % low if low == high else b"%d:%d" % (low, high)
