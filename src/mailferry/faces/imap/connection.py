"""A connection as its session reads it: events of the flow, within limits, until it ends."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from mailferry.faces.imap.limits import Limits
from mailferry.faces.imap.output import Output
from mailferry.net.deadline import silence_limit
from mailferry.net.stream import ByteStream
from mailferry.net.tls import server_tls
from mailferry.wire.imap.server import SendNow, ServerEvent, ServerFlow

MAILBOX_GONE: Final = b"The selected mailbox has been deleted"


class Ending(Exception):
    """The session ends here; `bye` is what to tell the client, where it can still hear it."""

    def __init__(self, bye: bytes = b"") -> None:
        super().__init__(bye)
        self.bye = bye


class Invalid(Exception):
    """What was being read turned out to be no command; `response` is its answer, ready to be sent."""

    def __init__(self, response: bytes) -> None:
        super().__init__(response)
        self.response = response


class Connection:
    """Reads a stream through a ServerFlow; can be interrupted while it waits for the client."""

    def __init__(self, stream: ByteStream, limits: Limits) -> None:
        self.stream = stream
        self.flow = ServerFlow()
        self.out = Output(stream, silence_s=limits.unread_s)
        self._interruption: bytes | None = None
        self._reading: asyncio.Timeout | None = None

    async def event(self, silence_s: float) -> ServerEvent:
        """Return what the client says next.

        Raises:
            Ending: nothing more will come: the client left, is silent, or we were interrupted.
            RemoteProtocolError: what comes cannot be followed any more.
            ConnectionError: the line broke.
        """
        while True:
            event = self.flow.next_event()
            if isinstance(event, SendNow):
                self.out.put(event.octets)
                await self.out.flush()
            elif event is not None:
                return event
            else:
                self.flow.feed(await self._read(silence_s))

    async def _read(self, silence_s: float) -> bytes:
        self._check_interruption()
        try:
            async with asyncio.timeout(None) as self._reading:
                async with silence_limit(lambda: self.stream.moved, silence_s):
                    data = await self.stream.read()
        except TimeoutError:
            self._check_interruption()
            raise Ending(b"Too long in silence") from None
        finally:
            self._reading = None
        if not data:
            raise Ending
        return data

    def _check_interruption(self) -> None:
        if self._interruption is not None:
            raise Ending(self._interruption)

    def interrupt(self, bye: bytes) -> None:
        """End the session when it next waits for the client, or now if it does."""
        self._interruption = bye
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on in TLS; what came too early, in the clear, ends the connection.

        Raises:
            OSError: it did not work; the stream is aborted.
        """
        already_read = self.flow.change_layer()
        self.stream = await server_tls(self.stream, context, already_read=already_read)
        self.flow = ServerFlow()
        self.out.go_on_over(self.stream)
