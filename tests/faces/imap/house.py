"""An ImapServer over memory sources, and a client that speaks raw IMAP to it."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from mailferry.faces.imap.limits import Limits
from mailferry.faces.imap.server import ImapServer
from mailferry.mail.source import StagingSource
from mailferry.net.memory import memory_pair
from mailferry.net.stream import ByteStream
from mailferry.sources.memory import MemorySource
from mailferry.wire.scram import ScramVerifier

PASSWORD = "sesame"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
QUICK = Limits(failure_delay_s=0.0)


def clock() -> datetime:
    return NOW


class House:
    """Some logins with their mail (Logins), and the server that shows it."""

    def __init__(
        self,
        *names: str,
        limits: Limits = QUICK,
        tls: ssl.SSLContext | None = None,
        make: Callable[[], MemorySource] = lambda: MemorySource(clock=clock),
    ) -> None:
        self.sources = {name: make() for name in names or ("ann",)}
        self._verifier = ScramVerifier.from_password(PASSWORD, salt=b"salt of the house")
        self.server = ImapServer(self, limits=limits, tls=tls, entropy=random.Random(7).randbytes)

    @property
    def source(self) -> MemorySource:
        return next(iter(self.sources.values()))

    async def verifier(self, login: str) -> ScramVerifier | None:
        return self._verifier if login in self.sources else None

    async def open(self, login: str) -> StagingSource:
        return self.sources[login]

    @asynccontextmanager
    async def line(
        self, seen_by_server: Callable[[ByteStream], ByteStream] = lambda stream: stream
    ) -> AsyncIterator[Client]:
        """A client on an in-memory line to the server; nothing has been read."""
        here, there = memory_pair()

        async def serve() -> None:
            await self.server.serve(seen_by_server(there))
            await there.aclose()

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve())
            try:
                yield Client(here)
            finally:
                here.abort()
                async with asyncio.timeout(10):
                    await serving

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A client that has read the greeting."""
        async with self.line() as client:
            await client.line()
            yield client

    @asynccontextmanager
    async def logged_in(self, name: str = "ann") -> AsyncIterator[Client]:
        async with self.connected() as client:
            await client.ok(f"LOGIN {name} {PASSWORD}")
            yield client


class Client:
    """Says commands and returns answers, line by line; literals stay in their lines."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._received = bytearray()
        self._count = 0

    async def send(self, octets: bytes) -> None:
        await self.stream.write(octets)

    async def line(self) -> bytes:
        """The next logical line without its end; b"" at the end of the connection."""
        line = bytearray()
        while True:
            while b"\r\n" not in self._received:
                if not await self._more():
                    assert not self._received
                    return bytes(line)
            end = self._received.index(b"\r\n") + 2
            line += self._received[:end]
            del self._received[:end]
            marker = re.search(rb"\{(\d+)\}\r\n\Z", line)
            if marker is None:
                return bytes(line[:-2])
            while len(self._received) < int(marker[1]):
                assert await self._more()
            line += self._received[: int(marker[1])]
            del self._received[: int(marker[1])]

    async def _more(self) -> bool:
        async with asyncio.timeout(10):
            data = await self.stream.read()
        self._received += data
        return bool(data)

    async def command(self, text: str | bytes) -> tuple[list[bytes], bytes]:
        """Say a command; return its untagged lines and what follows the tag."""
        self._count += 1
        tag = b"t%d" % self._count
        octets = text.encode() if isinstance(text, str) else text
        await self.send(tag + b" " + octets + b"\r\n")
        return await self.answer(tag)

    async def answer(self, tag: bytes) -> tuple[list[bytes], bytes]:
        lines: list[bytes] = []
        while True:
            line = await self.line()
            assert line, f"closed after {lines}"
            if line.startswith(tag + b" "):
                return lines, line[len(tag) + 1 :]
            lines.append(line)

    async def ok(self, text: str | bytes) -> list[bytes]:
        """Say what has to go well; return the untagged lines without their stars."""
        lines, tagged = await self.command(text)
        assert tagged.startswith(b"OK"), (text, lines, tagged)
        return [line.removeprefix(b"* ") for line in lines]

    async def no(self, text: str | bytes) -> bytes:
        """Say what has to be refused; return the words."""
        lines, tagged = await self.command(text)
        assert tagged.startswith(b"NO "), (text, lines, tagged)
        return tagged.removeprefix(b"NO ")

    async def bad(self, text: str | bytes) -> bytes:
        lines, tagged = await self.command(text)
        assert tagged.startswith(b"BAD "), (text, lines, tagged)
        return tagged.removeprefix(b"BAD ")

    async def closed(self) -> bool:
        """Whether the server has closed the connection; what it still said is dropped."""
        try:
            while await self._more():
                pass
        except ConnectionError:
            pass
        return True

    async def append(self, mailbox: str, message: bytes, options: str = "") -> bytes:
        """Append a message; return the tagged text."""
        self._count += 1
        tag = b"t%d" % self._count
        head = f"APPEND {mailbox} {options}".rstrip()
        await self.send(b"%b %b {%d+}\r\n%b\r\n" % (tag, head.encode(), len(message), message))
        _, tagged = await self.answer(tag)
        assert tagged.startswith(b"OK"), tagged
        return tagged
