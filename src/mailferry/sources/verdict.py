"""Queries judged with three values: true, false, and unknown where it cannot be told from here.

And, Or and Not combine the three as Kleene's logic does: what is decided by the terms that are
known does not wait for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Protocol

from mailferry.mail.message import Flag, MessageId
from mailferry.mail.query import (
    And,
    BodyContains,
    Everything,
    HasFlag,
    HeaderContains,
    InternalDate,
    LargerThan,
    ModseqAtLeast,
    Not,
    Or,
    Query,
    Relation,
    SentDate,
    SmallerThan,
    TextContains,
    UidIn,
)


class Match(Enum):
    """What can be said about a message and a query."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Facts(Protocol):
    """What a source knows of a message without reading any of it."""

    @property
    def id(self) -> MessageId:
        """As the source names it."""
        ...

    @property
    def uid(self) -> int:
        """As a mail program sees it."""
        ...

    @property
    def flags(self) -> frozenset[Flag]:
        """As they are shown."""
        ...

    @property
    def modseq(self) -> int:
        """0 where the source has none."""
        ...

    @property
    def internal_date(self) -> datetime | None:
        """None: not known here."""
        ...

    @property
    def size(self) -> int | None:
        """None: not known here."""
        ...


Verdicts = Mapping[Query, Match]
"""What is known of the terms that need reading."""


def verdict(query: Query, message: Facts, verdicts: Verdicts) -> Match:
    """Judge a query by the facts of a message and the terms that were judged by reading."""
    match query:
        case And(terms):
            return _all(verdict(term, message, verdicts) for term in terms)
        case Or(left, right):
            none = _all(negated(verdict(term, message, verdicts)) for term in (left, right))
            return negated(none)
        case Not(term):
            return negated(verdict(term, message, verdicts))
        case HeaderContains() | SentDate() | BodyContains() | TextContains():
            return verdicts.get(query, Match.UNKNOWN)
        case _:
            return _fact(query, message)


def leaves(query: Query) -> Iterator[Query]:
    """Yield the terms of a query that are not made of others."""
    match query:
        case And(terms):
            for term in terms:
                yield from leaves(term)
        case Or(left, right):
            yield from leaves(left)
            yield from leaves(right)
        case Not(term):
            yield from leaves(term)
        case _:
            yield query


def said(truth: bool | None) -> Match:
    """Return a truth, or None for what nobody knows, as a match."""
    if truth is None:
        return Match.UNKNOWN
    return Match.YES if truth else Match.NO


def negated(match: Match) -> Match:
    """Return the opposite; of unknown, unknown."""
    return {Match.YES: Match.NO, Match.NO: Match.YES}.get(match, Match.UNKNOWN)


def related(relation: Relation, day: date, other: date) -> bool:
    """Say whether `day` is before, on, or since the `other`."""
    match relation:
        case Relation.BEFORE:
            return day < other
        case Relation.ON:
            return day == other
        case Relation.SINCE:
            return day >= other


def _fact(query: Query, message: Facts) -> Match:
    match query:
        case Everything():
            return Match.YES
        case HasFlag(flag):
            return said(flag in message.flags)
        case UidIn(ranges):
            return said(any(low <= message.uid <= high for low, high in ranges))
        case InternalDate(relation, day):
            arrived = message.internal_date
            return said(None if arrived is None else related(relation, arrived.date(), day))
        case LargerThan(octets):
            return said(None if message.size is None else message.size > octets)
        case SmallerThan(octets):
            return said(None if message.size is None else message.size < octets)
        case ModseqAtLeast(modseq):
            return said(message.modseq >= modseq if message.modseq else None)
        case _:
            return Match.UNKNOWN


def _all(matches: Iterator[Match]) -> Match:
    out = Match.YES
    for match in matches:
        if match is Match.NO:
            return Match.NO
        if match is Match.UNKNOWN:
            out = Match.UNKNOWN
    return out
