"""Whether a message matches a query, as far as can be told from what is here.

What is cheap is looked at first, and more only while the answer is still unknown:

    1. facts that every message has (flags, UID, dates, size)
    2. the listed fields, when a term asks for one of them
    3. the whole header
    4. the content, in one pass for all terms, stopping when all are found

Text is compared as wire/mime/fold.py says.  A header field is compared by its decoded value; TEXT
looks into all headers of a message, also those of its parts, and so finds names of attachments.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_tz
from typing import Final, Protocol

from mailferry.mail.message import LISTED_FIELDS, MessageId
from mailferry.mail.query import BodyContains, HeaderContains, Query, SentDate, TextContains
from mailferry.sources.verdict import Facts, Match, leaves, related, said, verdict
from mailferry.wire.mime.fold import Finder, fold
from mailferry.wire.mime.header import field_name, field_value, raw_fields, unfold
from mailferry.wire.mime.part import Part
from mailferry.wire.mime.text import Kind, TextReader
from mailferry.wire.mime.words import field_text, header_text

_LISTED: Final = frozenset(name.lower().encode() for name in LISTED_FIELDS)


@dataclass(frozen=True, slots=True)
class Content:
    """The octets of a message that is here as a whole, from its beginning, and its tree."""

    structure: Part
    chunks: AsyncGenerator[bytes, None]
    """Closed when enough was seen."""


class Candidate(Facts, Protocol):
    """A message as its source knows it; what can be read is asked for only when needed."""

    async def listed_fields(self) -> bytes | None:
        """Return the LISTED_FIELDS that the message has; None: not here."""
        ...

    async def header(self) -> bytes | None:
        """Return the whole header; None: not here.  Who has the content has the header."""
        ...

    async def content(self) -> Content | None:
        """Open the content; None: not here."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a search among messages gave."""

    matching: tuple[MessageId, ...]
    unknown: tuple[MessageId, ...]
    """Cannot be told from what is here."""


class Matcher:
    """A query, made ready to be asked of many messages."""

    def __init__(self, query: Query) -> None:
        """Fold the query's texts once."""
        self._query = query
        terms = set(leaves(query))
        self._fields = [term for term in terms if isinstance(term, HeaderContains)]
        self._dates = [term for term in terms if isinstance(term, SentDate)]
        self._texts = [term for term in terms if isinstance(term, TextContains)]
        self._bodies = [term for term in terms if isinstance(term, BodyContains)]
        self._listed = [term for term in self._fields if _name(term) in _LISTED]
        with_text: list[HeaderContains | TextContains | BodyContains]
        with_text = [*self._fields, *self._texts, *self._bodies]
        self._folded = {term.text: fold(term.text) for term in with_text}

    def at_once(self, message: Facts) -> Match:
        """Say what can be said without reading anything."""
        return verdict(self._query, message, {})

    async def match(self, message: Candidate) -> Match:
        """Say whether the message matches, reading no more of it than that takes."""
        verdicts: dict[Query, Match] = {}
        answer = self.at_once(message)
        for read in (self._read_listed, self._read_header, self._read_content):
            if answer is not Match.UNKNOWN:
                break
            await read(message, verdicts)
            answer = verdict(self._query, message, verdicts)
        return answer

    async def _read_listed(self, message: Candidate, verdicts: dict[Query, Match]) -> None:
        asked = self._listed or self._dates
        if asked and (fields := await message.listed_fields()) is not None:
            self._judge_fields(fields, self._listed, verdicts)

    async def _read_header(self, message: Candidate, verdicts: dict[Query, Match]) -> None:
        asked = self._fields or self._dates or self._texts
        if not asked or (header := await message.header()) is None:
            return
        self._judge_fields(header, self._fields, verdicts)
        text = fold(header_text(header)) if self._texts else ""
        for term in self._texts:
            if self._folded[term.text] in text:
                verdicts[term] = Match.YES

    def _judge_fields(
        self, header: bytes, terms: Sequence[HeaderContains], verdicts: dict[Query, Match]
    ) -> None:
        fields = [(field_name(raw), raw) for raw in raw_fields(header)]
        for term in terms:
            pattern = self._folded[term.text]
            values = (raw for name, raw in fields if name == _name(term))
            verdicts[term] = said(any(pattern in fold(field_text(raw)) for raw in values))
        if self._dates:
            day = _sent_day([raw for name, raw in fields if name == b"date"])
            for sent in self._dates:
                verdicts[sent] = said(day is not None and related(sent.relation, day, sent.day))

    async def _read_content(self, message: Candidate, verdicts: dict[Query, Match]) -> None:
        bodies = [term for term in self._bodies if term not in verdicts]
        texts = [term for term in self._texts if term not in verdicts]
        if not (bodies or texts) or (content := await message.content()) is None:
            return
        in_body = Finder(frozenset(self._folded[term.text] for term in bodies))
        in_text = Finder(frozenset(self._folded[term.text] for term in texts))
        await _look(content, in_body, in_text)
        for in_bodies in bodies:
            verdicts[in_bodies] = said(self._folded[in_bodies.text] in in_body.found)
        for anywhere in texts:
            verdicts[anywhere] = said(self._folded[anywhere.text] in in_text.found)


async def search(query: Query, messages: Iterable[Candidate]) -> Found:
    """Ask a query of messages; the answer is in their order."""
    matcher = Matcher(query)
    matching: list[MessageId] = []
    unknown: list[MessageId] = []
    for message in messages:
        match await matcher.match(message):
            case Match.YES:
                matching.append(message.id)
            case Match.UNKNOWN:
                unknown.append(message.id)
            case Match.NO:
                pass
    return Found(tuple(matching), tuple(unknown))


async def _look(content: Content, in_body: Finder, in_text: Finder) -> None:
    """Read the content until everything was found or nothing more can be."""
    reader = TextReader(content.structure, set(Kind) if in_text.missing else {Kind.BODY})
    async with aclosing(content.chunks) as chunks:
        async for chunk in chunks:
            for kind, text in reader.feed(chunk):
                in_text.feed(text)
                if kind is Kind.BODY:
                    in_body.feed(text)
            if reader.done or not (in_body.missing or in_text.missing):
                return


def _sent_day(raws: Sequence[bytes]) -> date | None:
    """Return the day in the last Date field, in its own zone; None: there is none to be read."""
    if not raws:
        return None
    text = unfold(field_value(raws[-1])).decode("ascii", "replace")
    try:
        fields = parsedate_tz(text)
        return date(*fields[:3]) if fields else None
    except (ValueError, IndexError, TypeError, OverflowError):
        return None  # The standard library has failed on foreign dates in each of these ways.


def _name(term: HeaderContains) -> bytes:
    return term.name.lower().encode("utf-8", "replace")
