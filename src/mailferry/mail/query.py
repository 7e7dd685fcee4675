"""Search queries as values (RFC 9051 §6.4.4); text compares as substrings, without case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias

from mailferry.mail.message import Flag, MessageId


class Relation(Enum):
    """How a date compares; times of day and zones are disregarded."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class Everything:
    """Matches all messages."""


@dataclass(frozen=True, slots=True)
class And:
    """All of them match."""

    terms: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them matches."""

    left: Query
    right: Query


@dataclass(frozen=True, slots=True)
class Not:
    """It does not match."""

    term: Query


@dataclass(frozen=True, slots=True)
class HasFlag:
    """The flag is set."""

    flag: Flag


@dataclass(frozen=True, slots=True)
class UidIn:
    """The UID is in one of the inclusive ranges (sequence numbers end at the face)."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class HeaderContains:
    """A header field of that name has the text in its decoded value; "" asks for the field alone."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyContains:
    """The decoded text of the body has it."""

    text: str


@dataclass(frozen=True, slots=True)
class TextContains:
    """The decoded header or the decoded text of the body has it."""

    text: str


@dataclass(frozen=True, slots=True)
class InternalDate:
    """The date of arrival compares so."""

    relation: Relation
    day: date


@dataclass(frozen=True, slots=True)
class SentDate:
    """The Date field compares so."""

    relation: Relation
    day: date


@dataclass(frozen=True, slots=True)
class LargerThan:
    """More octets than that."""

    octets: int


@dataclass(frozen=True, slots=True)
class SmallerThan:
    """Fewer octets than that."""

    octets: int


@dataclass(frozen=True, slots=True)
class ModseqAtLeast:
    """The modification sequence is that or higher (RFC 7162 §3.1.5)."""

    modseq: int


Query: TypeAlias = (
    Everything
    | And
    | Or
    | Not
    | HasFlag
    | UidIn
    | HeaderContains
    | BodyContains
    | TextContains
    | InternalDate
    | SentDate
    | LargerThan
    | SmallerThan
    | ModseqAtLeast
)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Matching messages in ascending order of UID."""

    messages: tuple[MessageId, ...]
    complete: bool = True
    """False when bodies that are not here could not be searched: the answer covers what is here."""
