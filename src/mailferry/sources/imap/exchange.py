"""One command with its answer: what is sent, what is collected, how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from mailferry.mail.errors import SourceUnavailable
from mailferry.wire.imap.client import Handle
from mailferry.wire.imap.responses import Fetch, Status, Untagged

Sink: TypeAlias = Callable[[bytes], None]
"""Takes the octets of a long section, piece by piece; must not wait."""


class Collector:
    """Takes the untagged responses that belong to a command.  This one takes none."""

    def take(self, response: Untagged) -> bool:
        """Take a response; False: it is not for this command."""
        del response
        return False

    def begin_section(self, fetch: Fetch, length: int) -> Sink | None:
        """Return who takes the long section that begins; None: it is not for this command."""
        del fetch, length
        return None


class Interrupted(SourceUnavailable):
    """The connection ended before the command was answered."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent
        """The server may have all of the command, and so may have carried it out."""


class Exchange:
    """A command under way.  Await `status()`; whoever gives up just stops waiting."""

    def __init__(self, handle: Handle, collector: Collector) -> None:
        self.handle = handle
        self.collector = collector
        self._ended: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting: an exchange that failed unheard is no fault of the program.
        self._ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def status(self) -> Status:
        """Return how the server completed the command.

        Raises:
            Interrupted: the connection ended before.
        """
        # Shielded: several may wait for one exchange, a SELECT for instance.
        return await asyncio.shield(self._ended)

    @property
    def ended(self) -> bool:
        """Whether there is an outcome."""
        return self._ended.done()

    def call_when_ended(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when there is an outcome."""
        self._ended.add_done_callback(lambda _: callback())

    def complete(self, status: Status) -> None:
        """Tell those who wait."""
        if not self._ended.done():
            self._ended.set_result(status)

    def interrupt(self, reason: str) -> None:
        """Tell those who wait that there will be no answer."""
        if not self._ended.done():
            self._ended.set_exception(Interrupted(reason, sent=self.handle.sent))
