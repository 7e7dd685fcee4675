"""Pieces of a body section, asked for and taken in (RFC 9051 §6.4.5, partial)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from mailferry.mail.errors import MessageNotFound, NotPermitted, SectionNotFound
from mailferry.mail.message import CHUNK_LENGTH_MAX, WHOLE, MessageId, Section
from mailferry.net.stream import Change
from mailferry.sources.imap.exchange import Collector, Exchange, Sink
from mailferry.sources.imap.names import uid_of, uid_validity_of
from mailferry.sources.imap.refusals import error_of, words_of
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import Fetch, FetchedSection, Untagged

#   section-spec = section-msgtext / (section-part ["." section-text])
_SECTION: Final = re.compile(
    r"([1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8})*)?(?:(?(1)\.)(HEADER|TEXT|(?(1)MIME|HEADER)))?",
    re.IGNORECASE,
)


class Place:
    """A section of a message in a mailbox, and the session that asks for it."""

    def __init__(
        self, session: Session, mailbox: bytes, message: MessageId, section: Section
    ) -> None:
        """Raises SectionNotFound when there can be no such section."""
        found = _SECTION.fullmatch(section)
        if found is None:
            raise SectionNotFound(f"no section is called {section[:40]!r}")
        self.message = message
        self.is_whole = section == WHOLE
        self.name = section.upper()
        self.numbers = [int(number) for number in (found[1] or "").split(".") if number]
        """The way to the part; empty for the message itself."""
        self.suffix = (found[2] or "").upper()
        """HEADER, TEXT or MIME."""
        self._session = session
        self._mailbox = mailbox

    async def ask(self, collector: Window | Probes) -> None:
        """Send a collector's command; what comes goes into it."""
        async with self._session.selecting(self._mailbox) as selection:
            command = commands.uid_fetch(b"%d" % uid_of(self.message), collector.items)
            exchange = self._session.submit(command, collector)
        collector.under_way(selection, exchange)


class _Pieces(Collector):
    """What windows and probes share: a command, and how it has to end."""

    def __init__(self, place: Place) -> None:
        self.seen = False
        """The message is there."""
        self.is_nil = False
        """There is no such section."""
        self._place = place
        self._selection: Selection
        self._exchange: Exchange

    def under_way(self, selection: Selection, exchange: Exchange) -> None:
        """Note what the command is waited for with."""
        self._selection = selection
        self._exchange = exchange

    async def finish(self) -> None:
        """Wait for the command's end.

        Raises:
            MessageNotFound, SectionNotFound: there is no such thing (any more).
            MailError: the server refused, or the connection ended.
        """
        place = self._place
        await self._selection.ready()
        status = await self._exchange.status()
        if self._selection.uid_validity != uid_validity_of(place.message):
            raise MessageNotFound("the server has numbered the mailbox anew")
        if not status.ok and not place.is_whole:
            raise SectionNotFound(words_of(status))
        if not status.ok:
            raise error_of(status, NotPermitted)
        # Dovecot says NIL and EXPUNGEISSUED for a message that another session has removed.
        gone = self.is_nil and (place.is_whole or status.code_name == "EXPUNGEISSUED")
        if gone or not self.seen:
            raise MessageNotFound("the message has gone")
        if self.is_nil:
            raise SectionNotFound("the message has no such section")

    def _is_about_ours(self, fetch: Fetch) -> bool:
        return fetch.uid is None or fetch.uid == uid_of(self._place.message)


class Window(_Pieces):
    """One piece: its octets as they come."""

    def __init__(
        self, place: Place, origin: int, length: int, *, with_structure: bool = False
    ) -> None:
        super().__init__(place)
        self._with_structure = with_structure
        self.origin = origin
        self.length = length
        self.claimed_size: int | None = None
        """RFC822.SIZE."""
        self.structure: bytes | None = None
        self.received = 0
        self.origin_missing = False
        self._chunks: deque[bytes] = deque()
        self._change = Change()

    @property
    def items(self) -> str:
        """What to fetch; with the structure where only that tells whether there is such a part."""
        structure = " BODYSTRUCTURE" if self._place.numbers and self._with_structure else ""
        section = f"BODY.PEEK[{self._place.name}]<{self.origin}.{self.length}>"
        return f"(UID RFC822.SIZE{structure} {section})"

    @property
    def end(self) -> int:
        """Where in the section the octets end that have come."""
        return self.origin + self.received

    @property
    def is_full(self) -> bool:
        """Whether all came that was asked for, so that there may be more behind."""
        return self.received == self.length

    def under_way(self, selection: Selection, exchange: Exchange) -> None:
        """See _Pieces."""
        super().under_way(selection, exchange)
        exchange.call_when_ended(self._change.notify)

    async def next_chunk(self) -> bytes | None:
        """Return the next octets, waiting for them; None: no more come."""
        while not self._chunks:
            if self._exchange.ended:
                return None
            await self._change.wait()
        return self._chunks.popleft()

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        if not isinstance(response, Fetch) or response.uid is None:
            return False
        ours = [section for section in response.sections if self._is_ours(section)]
        if not ours or not self._is_about_ours(response):
            return False
        self.seen = True
        self.claimed_size = response.size if response.size is not None else self.claimed_size
        self.structure = response.body_structure or self.structure
        for section in ours:
            if section.data is None:
                self.is_nil = True
            elif isinstance(section.data, bytes):
                self._add(section.data)
        return True

    def begin_section(self, fetch: Fetch, length: int) -> Sink | None:
        """See Collector."""
        del length
        if self.received or not self._is_about_ours(fetch):
            return None
        return self._add if self._is_ours(fetch.sections[-1]) else None

    def _is_ours(self, section: FetchedSection) -> bool:
        if section.name != self._place.name:
            return False
        if section.origin is None and self.origin == 0:
            self.origin_missing = True
            return True
        return section.origin == self.origin

    def _add(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self.length:
            raise RemoteProtocolError("more of a message than was asked for")
        self._chunks.extend(
            data[at : at + CHUNK_LENGTH_MAX] for at in range(0, len(data), CHUNK_LENGTH_MAX)
        )
        self._change.notify()


class Probes(_Pieces):
    """Looks which of some octets exist, all in one command."""

    def __init__(self, place: Place, origins: Sequence[int]) -> None:
        super().__init__(place)
        self.there: set[int] = set()
        """Those that exist."""
        self._origins = origins

    @property
    def items(self) -> str:
        """What to fetch."""
        items = (f"BODY.PEEK[{self._place.name}]<{origin}.1>" for origin in self._origins)
        return f"(UID {' '.join(items)})"

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        if not isinstance(response, Fetch) or response.uid is None:
            return False
        if not self._is_about_ours(response) or not response.sections:
            return False
        self.seen = True
        self.there |= {s.origin for s in response.sections if s.origin is not None and s.data}
        return True
