"""Bodies in windows: partial FETCHes of a named length, two in flight (RFC 9051 §6.4.5).

Theory of operation
===================

A section is asked for piece by piece, so that it can begin anywhere, other commands come in between,
and the server never sends more than was asked for.  That is the backpressure: a window is asked for
when the one before it is being taken, so that a body holds at most WINDOWS_IN_FLIGHT windows however
slow its reader is, and the connection is never held up.

The first window is short and is waited for: it tells that the message is there, and how large it
claims to be (RFC822.SIZE).  A window that comes back short is the end of the section.  Where that is
not where the message was claimed to end, the size was wrong: a short message is told with its true
size; for a long one, whose size was told already, the reader gets ProtocolFault, and the true size is
remembered for the next attempt.

The first window of a part brings the body structure along: some servers give an empty section where
there is none.  It tells the part's length too.  The length of other sections (TEXT, a multipart) is
nowhere told: when one does not fit into the first window, its end is searched for with windows of one
octet, many in one command.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection
from typing import Final

from mailferry.mail.errors import ProtocolFault, SectionNotFound
from mailferry.mail.message import WHOLE, Body, MessageId, Section
from mailferry.sources.imap.quirks import QuirkReport, ServerQuirk
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import (
    FIRST_WINDOW_LENGTH,
    WINDOW_LENGTH,
    WINDOWS_IN_FLIGHT,
)
from mailferry.sources.imap.windows import Place, Probes, Window
from mailferry.wire.imap.structure_view import find_part

SIZES_KEPT_MAX: Final = 1000  # True sizes of messages with a wrong one; few servers have any.
PROBES_PER_COMMAND: Final = 100
"""Octets looked for at once: a command of 4 kB; the end of 50 MB is found in four round trips."""
SECTION_LENGTH_MAX: Final = (1 << 32) - 1  # A 32-bit number in IMAP4rev1.


class Bodies:
    """Opens bodies; one for a source."""

    def __init__(self, report: QuirkReport) -> None:
        self._report = report
        self._true_sizes: OrderedDict[tuple[MessageId, str], int] = OrderedDict()
        """Of sections whose claimed length was found to be wrong."""

    def true_size(self, message: MessageId) -> int | None:
        """Return the size of a message whose RFC822.SIZE was found to be wrong."""
        return self._true_sizes.get((message, WHOLE))

    async def open(
        self, session: Session, mailbox: bytes, message: MessageId, section: Section, offset: int
    ) -> Body:
        """See MailSource.body."""
        place = Place(session, mailbox, message, section)
        origin = min(offset, SECTION_LENGTH_MAX)
        first = Window(place, origin, FIRST_WINDOW_LENGTH, with_structure=True)
        await place.ask(first)
        await first.finish()
        if first.origin_missing:
            self._report.note(ServerQuirk.MISSING_ORIGIN)
        size = await self._size(place, first, self._claimed(place, first))
        return Body(size, self._chunks(place, first, size))

    def _claimed(self, place: Place, first: Window) -> int | None:
        """Return the length that the server claims for the section, None where it says nothing.

        Raises:
            SectionNotFound: the message has no such part.
        """
        if place.is_whole:
            return self._true_sizes.get((place.message, place.name), first.claimed_size)
        if not place.numbers or first.structure is None:
            return None
        part = find_part(first.structure, place.numbers)
        if part is None or (place.suffix in {"HEADER", "TEXT"} and not part.is_message):
            raise SectionNotFound("the message has no such section")
        if place.suffix:
            return None
        return self._true_sizes.get((place.message, place.name), part.octets)

    async def _size(self, place: Place, first: Window, claimed: int | None) -> int:
        """Return how long the section is, from what its first window told."""
        if first.is_full:
            if claimed is not None and claimed >= first.end:
                return claimed
            return await self._found_end(place, first.end, claimed)
        if first.received or not first.origin:
            if claimed is not None and claimed != first.end:
                self._note_size(place, first.end)
            return first.end
        # Nothing at the offset: it is at the end, or beyond.
        if claimed is not None and claimed <= first.origin:
            return claimed
        return await self._found_end(place, 0, claimed)

    async def _found_end(self, place: Place, least: int, claimed: int | None) -> int:
        end = await self._find_end(place, least)
        if claimed is not None and claimed != end:
            self._note_size(place, end)
        return end

    async def _find_end(self, place: Place, least: int) -> int:
        """Return the length of a section that is at least `least` long."""
        search = EndSearch(least)
        while search.origins:
            probes = Probes(place, search.origins)
            await place.ask(probes)
            await probes.finish()
            search.learn(probes.there)
        return search.end

    def _note_size(self, place: Place, size: int) -> None:
        self._report.note(ServerQuirk.WRONG_SIZE)
        key = (place.message, place.name)
        self._true_sizes[key] = size
        self._true_sizes.move_to_end(key)
        if len(self._true_sizes) > SIZES_KEPT_MAX:
            self._true_sizes.popitem(last=False)

    async def _chunks(self, place: Place, first: Window, size: int) -> AsyncIterator[bytes]:
        """Yield the octets, those of the first window first, asking ahead."""
        windows = deque([first])
        asked = size if not first.is_full else first.end
        while windows:
            while asked < size and len(windows) < WINDOWS_IN_FLIGHT:
                left = size - asked
                # The last one asks for an octet more than there should be, to see whether there is.
                window = Window(place, asked, WINDOW_LENGTH if left > WINDOW_LENGTH else left + 1)
                await place.ask(window)
                windows.append(window)
                asked += min(left, WINDOW_LENGTH)
            window = windows.popleft()
            left = size - window.origin
            while (chunk := await window.next_chunk()) is not None:
                if left > 0:
                    yield chunk[:left]
                left -= len(chunk)
            await window.finish()
            await self._check_end(place, window, size)

    async def _check_end(self, place: Place, window: Window, size: int) -> None:
        """Refuse to go on where the section ends elsewhere than where it was said to.

        Raises:
            ProtocolFault: so it is; the next attempt knows better.
        """
        expected = min(window.origin + window.length, max(size, window.origin))
        if window.end == expected:
            return
        end = window.end if window.end < expected else await self._find_end(place, window.end)
        self._note_size(place, end)
        raise ProtocolFault(f"the server claimed {size} octets for what has {end}; ask again")


class EndSearch:
    """Finds where something ends by asking for octets here and there, many at a time."""

    def __init__(self, least: int) -> None:
        """All octets before `least` are known to be there."""
        self.end = least
        """The end, when there is nothing left to ask: all before it is there."""
        self._beyond = SECTION_LENGTH_MAX  # From here on there is nothing.
        self.origins = self._spread_near()
        """The octets to ask for; empty when the end is found."""

    def learn(self, there: Collection[int]) -> None:
        """Take in which of `origins` exist."""
        self.end = max([self.end, *(origin + 1 for origin in there)])
        self._beyond = min([self._beyond, *(o for o in self.origins if o >= self.end)])
        step = max(1, -(-(self._beyond - self.end) // PROBES_PER_COMMAND))
        self.origins = list(range(self.end, self._beyond, step))

    def _spread_near(self) -> list[int]:
        """The end is more likely near: each place is a third farther than the one before."""
        places, distance = {self.end}, 1024.0
        while self.end + distance < self._beyond:
            places.add(self.end + int(distance))
            distance *= 4 / 3
        return sorted({*places, self._beyond - 1})
