"""Summaries: what a list of messages needs, in batches (RFC 9051 §6.4.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mailferry.mail.message import (
    HEADER_LENGTH_MAX,
    LISTED_FIELDS,
    MessageId,
    Summary,
    SummaryItem,
)
from mailferry.sources.imap.changed import FlagSets
from mailferry.sources.imap.exchange import Collector, Exchange, Sink
from mailferry.sources.imap.mailboxes import keeps_modseq
from mailferry.sources.imap.names import uid_of, uid_validity_of, uids_of
from mailferry.sources.imap.quirks import QuirkReport, ServerQuirk
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import (
    BATCHES_IN_FLIGHT,
    SUMMARIES_BATCH,
    UID_SET_LENGTH_MAX,
)
from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.dates import parse_date_time
from mailferry.wire.imap.framing import StreamedLiteral
from mailferry.wire.imap.responses import Expunged, Fetch, FetchedSection, Untagged, Vanished
from mailferry.wire.imap.sequence_set import compacted, contains, format_in_pieces

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_FETCH_ITEMS: Final[Mapping[SummaryItem, str]] = {
    SummaryItem.FLAGS: "FLAGS",
    SummaryItem.INTERNAL_DATE: "INTERNALDATE",
    SummaryItem.SIZE: "RFC822.SIZE",
    SummaryItem.ENVELOPE: "ENVELOPE",
    SummaryItem.BODY_STRUCTURE: "BODYSTRUCTURE",
    SummaryItem.HEADER_FIELDS: f"BODY.PEEK[HEADER.FIELDS ({' '.join(LISTED_FIELDS)})]",
    SummaryItem.HEADER: f"BODY.PEEK[HEADER]<0.{HEADER_LENGTH_MAX}>",
}


class _Batch(Collector):
    """FETCH responses of some messages, those about one message put together."""

    def __init__(self, uids: frozenset[int]) -> None:
        self.fetched: dict[int, Fetch] = {}
        self._headers: dict[tuple[int, str], bytes] = {}
        self._sequences: dict[int, int] = {}
        self._coming: dict[str, bytearray] = {}
        """Headers of the response under way that are too long to come in one piece."""
        self._uids = uids

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Expunged():
                self._forget_sequence(response.sequence)
            case Vanished():
                for uid in [uid for uid in self.fetched if contains(response.uids, uid)]:
                    del self.fetched[uid]
            case Fetch(uid=int(uid)) if uid in self._uids:
                is_news = uid in self.fetched
                self._take_fetch(response, uid)
                return not is_news  # What comes a second time has changed meanwhile.
            case _:
                pass
        return False  # Those who watch want to know of removals and changes.

    def begin_section(self, fetch: Fetch, length: int) -> Sink | None:
        """See Collector: a long header is cut where a header ends for us."""
        del length
        section = fetch.sections[-1]
        foreign = fetch.uid is not None and fetch.uid not in self._uids
        if foreign or not section.name.startswith("HEADER"):
            return None
        taken = self._coming[_kind(section)] = bytearray()

        def sink(data: bytes) -> None:
            taken.extend(data[: HEADER_LENGTH_MAX - len(taken)])

        return sink

    def header(self, uid: int, kind: str) -> bytes | None:
        """Return the section HEADER or HEADER.FIELDS of a message."""
        return self._headers.get((uid, kind))

    def _take_fetch(self, response: Fetch, uid: int) -> None:
        for section in response.sections:
            data = section.data
            if isinstance(data, StreamedLiteral):
                data = bytes(self._coming.pop(_kind(section), b""))
            if data is not None:
                self._headers[uid, _kind(section)] = data
        known = self.fetched.get(uid)
        self.fetched[uid] = response if known is None else _joined(known, response)
        self._sequences[uid] = response.sequence

    def _forget_sequence(self, gone: int) -> None:
        """Drop the message that was removed while we asked; those behind it move up."""
        for uid, sequence in list(self._sequences.items()):
            if sequence == gone:
                del self._sequences[uid]
                self.fetched.pop(uid, None)
            elif sequence > gone:
                self._sequences[uid] = sequence - 1


def _kind(section: FetchedSection) -> str:
    return section.name.partition(" ")[0]  # Without the names of the fields.


def _joined(first: Fetch, second: Fetch) -> Fetch:
    """Two responses about one message: the later one counts where both say something."""
    for name in ("flags", "modseq", "internal_date", "size", "envelope", "body_structure"):
        if getattr(second, name) is None:
            setattr(second, name, getattr(first, name))
    second.email_id = second.email_id or first.email_id
    second.thread_id = second.thread_id or first.thread_id
    return second


@dataclass(slots=True)
class _Flight:
    """One batch under way."""

    messages: Sequence[MessageId]
    uid_validity: int
    selection: Selection
    exchanges: list[Exchange]
    batch: _Batch


class Summaries:
    """Fetches summaries; one for a source."""

    def __init__(self, report: QuirkReport, true_size: Callable[[MessageId], int | None]) -> None:
        """`true_size` knows those of messages whose RFC822.SIZE was found to be wrong."""
        self._report = report
        self._true_size = true_size
        self._flag_sets = FlagSets()

    async def fetch(
        self,
        session: Session,
        name: bytes,
        messages: Sequence[MessageId],
        what: frozenset[SummaryItem],
    ) -> AsyncIterator[Sequence[Summary]]:
        """See MailSource.summaries."""
        starts = iter(range(0, len(messages), SUMMARIES_BATCH))
        flights: deque[_Flight] = deque()
        items = _items(session, what)
        while True:
            while len(flights) < BATCHES_IN_FLIGHT and (start := next(starts, None)) is not None:
                part = messages[start : start + SUMMARIES_BATCH]
                flights.append(await _begin(session, name, part, items))
            if not flights:
                return
            yield await self._land(flights.popleft(), what)

    async def _land(self, flight: _Flight, what: frozenset[SummaryItem]) -> Sequence[Summary]:
        await flight.selection.ready()
        for exchange in flight.exchanges:
            status = await exchange.status()
            if not status.ok:
                self._report.note(ServerQuirk.FETCH_REFUSED)
        if flight.selection.uid_validity != flight.uid_validity:
            return []
        return [
            self._summary(message, fetched, flight.batch, what)
            for message in flight.messages
            if uid_validity_of(message) == flight.uid_validity
            and (fetched := flight.batch.fetched.get(uid_of(message))) is not None
            and _has_something(fetched, what)
        ]

    def _summary(
        self, message: MessageId, fetched: Fetch, batch: _Batch, what: frozenset[SummaryItem]
    ) -> Summary:
        def asked(item: SummaryItem) -> bool:
            return item in what

        names = fetched.flags if fetched.flags is not None else frozenset()
        true_size = self._true_size(message)
        size = fetched.size if true_size is None else true_size
        fields = batch.header(uid_of(message), "HEADER.FIELDS")
        return Summary(
            id=message,
            uid=uid_of(message),
            flags=self._flag_sets.get(names) if asked(SummaryItem.FLAGS) else None,
            modseq=fetched.modseq or 0,
            internal_date=_date(fetched) if asked(SummaryItem.INTERNAL_DATE) else None,
            size=size if asked(SummaryItem.SIZE) else None,
            envelope=fetched.envelope if asked(SummaryItem.ENVELOPE) else None,
            body_structure=fetched.body_structure if asked(SummaryItem.BODY_STRUCTURE) else None,
            header_fields=fields if asked(SummaryItem.HEADER_FIELDS) else None,
            header=batch.header(uid_of(message), "HEADER") if asked(SummaryItem.HEADER) else None,
            email_id=fetched.email_id if asked(SummaryItem.EMAIL_ID) else None,
            thread_id=fetched.thread_id if asked(SummaryItem.THREAD_ID) else None,
        )


async def _begin(
    session: Session, name: bytes, messages: Sequence[MessageId], items: str
) -> _Flight:
    uid_validity = uid_validity_of(messages[0])
    uids = uids_of(messages, uid_validity)
    batch = _Batch(frozenset(uids))
    async with session.selecting(name) as selection:
        exchanges = [
            session.submit(commands.uid_fetch(piece, items), batch)
            for piece in format_in_pieces(compacted(uids), UID_SET_LENGTH_MAX)
        ]
    return _Flight(messages, uid_validity, selection, exchanges, batch)


def _items(session: Session, what: frozenset[SummaryItem]) -> str:
    items = ["UID"] + [name for item, name in _FETCH_ITEMS.items() if item in what]
    if SummaryItem.FLAGS in what and keeps_modseq(session):
        items.append("MODSEQ")
    gmail = session.has("X-GM-EXT-1")
    if SummaryItem.EMAIL_ID in what and (gmail or session.has("OBJECTID")):
        items.append("X-GM-MSGID" if gmail else "EMAILID")
    if SummaryItem.THREAD_ID in what and (gmail or session.has("OBJECTID")):
        items.append("X-GM-THRID" if gmail else "THREADID")
    return f"({' '.join(items)})"


def _has_something(fetched: Fetch, what: frozenset[SummaryItem]) -> bool:
    """Whether this is more than a change of flags that came on the way: that message has gone."""
    told = (fetched.internal_date, fetched.size, fetched.envelope, fetched.body_structure)
    asked_only_flags = what <= {SummaryItem.FLAGS, SummaryItem.EMAIL_ID, SummaryItem.THREAD_ID}
    return asked_only_flags or bool(fetched.sections) or any(item is not None for item in told)


def _date(fetched: Fetch) -> datetime | None:
    try:
        return parse_date_time(fetched.internal_date) if fetched.internal_date else None
    except RemoteProtocolError:
        return _EPOCH  # Servers give nonsense for mail that was put in with nonsense.
