"""A small IMAP client that believes nothing and hides nothing: the tests' view of a real server.

Not ours: it shares no code with the wire layer under test.  It keeps whole responses in memory.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

LINE_LENGTH_MAX = 16 * 1024 * 1024  # A SEARCH over a whole corpus is one line.
ANSWER_S = 60.0

_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n\Z")
_UID = re.compile(rb"\bUID (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_BODY = re.compile(rb"BODY\[\] \{(\d+)\}\r\n")
_SHORT_BODY = re.compile(rb'BODY\[\] "((?:[^"\\]|\\.)*)"')


class Refused(Exception):
    """The server answered NO or BAD; the text is its answer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the server has it."""

    flags: frozenset[str]
    """Without \\Recent."""
    content: bytes


class RawImap:
    """One session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tag = 0

    async def greeting(self) -> bytes:
        """Return the server's first line."""
        return await self.response()

    async def response(self) -> bytes:
        """Return the next response, literals and all, without its line end."""
        parts = bytearray()
        async with asyncio.timeout(ANSWER_S):
            while True:
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    raise ConnectionResetError("the server closed the connection")
                parts += line
                literal = _LITERAL.search(line)
                if literal is None:
                    return bytes(parts).rstrip(b"\r\n")
                parts += await self._reader.readexactly(int(literal[1]))

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self._writer.write(octets)

    async def run(self, command: str, *literals: bytes) -> list[bytes]:
        """Run a command and return the untagged responses and, last, the tagged line.

        Each `{}` in the command stands for the next of `literals`, sent as LITERAL+.

        Raises:
            Refused: NO or BAD.
        """
        self._tag += 1
        tag = b"T%d" % self._tag
        pieces = [piece.encode() for piece in command.split("{}")]
        self.send(tag + b" " + pieces[0])
        for literal, piece in zip(literals, pieces[1:], strict=True):
            self.send(b"{%d+}\r\n" % len(literal))
            self.send(literal + piece)
            await self._writer.drain()
        self.send(b"\r\n")
        responses = []
        while True:
            responses.append(await self.response())
            if responses[-1].startswith(tag + b" "):
                break
        if not responses[-1].startswith(tag + b" OK"):
            raise Refused(responses[-1].decode(errors="replace"))
        return responses

    async def append(
        self, mailbox: str, content: bytes, *, flags: Sequence[str] = (), date: str = ""
    ) -> int | None:
        """File a message; return its UID where the server says it."""
        when = f' "{date}"' if date else ""
        answer = await self.run(f'APPEND "{mailbox}" ({" ".join(flags)}){when} {{}}', content)
        found = re.search(rb"APPENDUID \d+ (\d+)", answer[-1])
        return int(found[1]) if found else None

    async def messages(self, mailbox: str) -> dict[int, Stored]:
        """Return everything in a mailbox by UID, without marking anything."""
        await self.run(f'EXAMINE "{mailbox}"')
        found: dict[int, Stored] = {}
        for response in await self.run("UID FETCH 1:* (UID FLAGS BODY.PEEK[])"):
            uid, body = _UID.search(response), _BODY.search(response)
            flags, short = _FLAGS.search(response), _SHORT_BODY.search(response)
            if uid is None or flags is None:
                continue
            content = b""
            if body is not None:
                content = response[body.end() : body.end() + int(body[1])]
            elif short is not None:
                content = re.sub(rb"\\(.)", rb"\1", short[1])
            found[int(uid[1])] = Stored(
                frozenset(flags[1].decode().split()) - {"\\Recent"}, content
            )
        await self.run("CLOSE")
        return found


@asynccontextmanager
async def session(
    host: str, port: int, user: str, password: str, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawImap]:
    """Log in, and out again; the connection is closed in any case."""
    async with connection(host, port, tls=tls) as client:
        await client.greeting()
        await client.run(f'LOGIN "{user}" "{password}"')
        yield client
        await client.run("LOGOUT")


@asynccontextmanager
async def connection(
    host: str, port: int, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawImap]:
    """Connect without logging in."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls, limit=LINE_LENGTH_MAX)
    try:
        yield RawImap(reader, writer)
    finally:
        writer.transport.abort()
