"""The items of a FETCH: what of them a summary answers, and how each is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mailferry.faces.imap.replies import Bad
from mailferry.faces.imap.structure import without_extension
from mailferry.faces.imap.view import View
from mailferry.mail.message import (
    HEADER_LENGTH_MAX,
    LISTED_FIELDS,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.wire.imap.commands.fetch import (
    BodySection,
    Fetch,
    FetchAttribute,
    FetchItem,
    SectionText,
)
from mailferry.wire.imap.dates import format_date_time
from mailferry.wire.imap.serialize import literal
from mailferry.wire.mime.header import drop_fields, select_fields

_LISTED: Final = frozenset(name.lower().encode() for name in LISTED_FIELDS)
_FIELDS: Final = frozenset({SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT})

_NEEDS: Final[dict[FetchAttribute, SummaryItem]] = {
    FetchAttribute.FLAGS: SummaryItem.FLAGS,
    FetchAttribute.INTERNALDATE: SummaryItem.INTERNAL_DATE,
    FetchAttribute.RFC822_SIZE: SummaryItem.SIZE,
    FetchAttribute.ENVELOPE: SummaryItem.ENVELOPE,
    FetchAttribute.BODY: SummaryItem.BODY_STRUCTURE,
    FetchAttribute.BODYSTRUCTURE: SummaryItem.BODY_STRUCTURE,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be asked of the source to answer a FETCH."""

    items: tuple[FetchItem, ...]
    """In the order asked, but for UID, which clients want first."""
    what: frozenset[SummaryItem]
    streams: bool
    """Whether there are sections that go straight from the source to the client."""
    marks_read: bool

    @classmethod
    def of(cls, command: Fetch, *, read_only: bool) -> Plan:
        """Make the plan of a command.

        Raises:
            Bad: it asks for something that was not offered.
        """
        items: list[FetchItem] = [item for item in command.items if item is not FetchAttribute.UID]
        if command.by_uid or FetchAttribute.UID in command.items:
            items.insert(0, FetchAttribute.UID)
        sections = [item for item in items if isinstance(item, BodySection)]
        marks_read = not read_only and any(not section.peek for section in sections)
        what = {need for item in items if (need := _need(item)) is not None}
        if marks_read:
            what.add(SummaryItem.FLAGS)
        return cls(
            tuple(items),
            frozenset(what),
            streams=any(_need(section) is None for section in sections),
            marks_read=marks_read,
        )

    @property
    def has_headers(self) -> bool:
        """Whether summaries will be long."""
        return SummaryItem.HEADER in self.what


def _need(item: FetchItem) -> SummaryItem | None:
    """Return what a summary must hold for this item; None: nothing, or it is streamed."""
    if isinstance(item, BodySection):
        if item.part or item.text not in {SectionText.HEADER, *_FIELDS}:
            return None
        if item.text is SectionText.HEADER_FIELDS and _names(item) <= _LISTED:
            return SummaryItem.HEADER_FIELDS
        return SummaryItem.HEADER
    if item is FetchAttribute.UID:
        return None
    if item not in _NEEDS:
        raise Bad(b"That item is not offered")
    return _NEEDS[item]


def _names(section: BodySection) -> frozenset[bytes]:
    return frozenset(name.lower() for name in section.fields)


_ATTRIBUTES: Final[dict[FetchAttribute, Callable[[View, Summary], bytes | None]]] = {
    FetchAttribute.UID: lambda _view, summary: b"%d" % summary.uid,
    FetchAttribute.FLAGS: lambda view, summary: (
        None if summary.flags is None else view.flags(summary.uid, summary.flags)
    ),
    FetchAttribute.INTERNALDATE: lambda _view, summary: (
        format_date_time(summary.internal_date) if summary.internal_date else None
    ),
    FetchAttribute.RFC822_SIZE: lambda _view, summary: (
        None if summary.size is None else b"%d" % summary.size
    ),
    FetchAttribute.ENVELOPE: lambda _view, summary: summary.envelope,
    FetchAttribute.BODYSTRUCTURE: lambda _view, summary: summary.body_structure,
    FetchAttribute.BODY: lambda _view, summary: (
        None if summary.body_structure is None else without_extension(summary.body_structure)
    ),
}


def written(item: FetchItem, view: View, summary: Summary) -> bytes | None:
    """Return name and value of an item; None: a section to be streamed, or the summary lacks it."""
    if isinstance(item, BodySection):
        data = _from_header(item, summary)
        return None if data is None else b"%b %b" % (item.response_name(), literal(data))
    value = _ATTRIBUTES[item](view, summary)
    return None if value is None else b"%b %b" % (item.value.encode(), value)


def _from_header(section: BodySection, summary: Summary) -> bytes | None:
    """Return a section of the message's own header, where the summary has (all of) it."""
    need = _need(section)
    if need is SummaryItem.HEADER_FIELDS and summary.header_fields is not None:
        return cut(select_fields(summary.header_fields, _names(section)), section.partial)
    if need is SummaryItem.HEADER and summary.header is not None:
        if len(summary.header) >= HEADER_LENGTH_MAX:
            return None
        return cut(filtered(section, summary.header), section.partial)
    return None


def filtered(section: BodySection, header: bytes) -> bytes:
    """Return what HEADER, HEADER.FIELDS or HEADER.FIELDS.NOT give of a header."""
    match section.text:
        case SectionText.HEADER_FIELDS:
            return select_fields(header, _names(section))
        case SectionText.HEADER_FIELDS_NOT:
            return drop_fields(header, _names(section))
        case _:
            return header


def cut(data: bytes, partial: tuple[int, int] | None) -> bytes:
    """Return the part of `data` that a partial asks for."""
    return data if partial is None else data[partial[0] : partial[0] + partial[1]]


def needs_filter(section: BodySection) -> bool:
    """Whether the section is made of a header and not simply read."""
    return section.text in _FIELDS


def source_section(section: BodySection) -> Section:
    """Return the section to be read from the source; that of a whole header, where it is filtered."""
    specifier = section.specifier
    if needs_filter(section):
        specifier = specifier.removesuffix(".NOT").removesuffix(".FIELDS")
    return Section(specifier)
