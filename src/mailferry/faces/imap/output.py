"""What the server says, on its way to the client: gathered, sent in chunks, never waiting for long."""

from __future__ import annotations

import asyncio
from typing import Final

from mailferry.net.deadline import silence_limit
from mailferry.net.stream import ByteStream

CHUNK_LENGTH: Final = 16 * 1024  # Octets gathered before they are sent: a TLS record's worth.
SILENCE_S: Final = 600.0
"""How long a client may take nothing of what is sent: a line may be away for minutes and come back
to the same connection, but what an answer holds (a body's memory, an operation) is held meanwhile."""


class Output:
    """Gathers octets for a stream; `room()` between pieces keeps what is gathered small.

    Everything that waits raises ConnectionError when the line broke, and TimeoutError when the client
    took nothing for `silence_s`.
    """

    def __init__(self, stream: ByteStream, *, silence_s: float = SILENCE_S) -> None:
        self._stream = stream
        self._silence_s = silence_s
        self._gathered = bytearray()

    def put(self, octets: bytes) -> None:
        """Add octets; the caller keeps them short or calls `room()` after each piece."""
        self._gathered += octets

    def untagged(self, text: bytes) -> None:
        """Add an untagged response, given without "* " and line end."""
        self._gathered += b"* %b\r\n" % text

    async def room(self) -> None:
        """Send what is gathered once that is a chunk, and wait while the client does not read."""
        if len(self._gathered) >= CHUNK_LENGTH:
            await self.flush()
            await asyncio.sleep(0)  # A client that reads fast must not keep the others waiting.

    async def flush(self) -> None:
        """Send everything that is gathered."""
        if self._gathered:
            octets, self._gathered = self._gathered, bytearray()
            async with silence_limit(lambda: self._stream.moved, self._silence_s):
                await self._stream.write(octets)

    def go_on_over(self, stream: ByteStream) -> None:
        """Send what follows over another stream: the same one in TLS."""
        self._stream = stream
