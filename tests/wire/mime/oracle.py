"""What a real server makes of a mail: a raw, pipelined IMAP client that asks and does not interpret."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

LITERAL_END = re.compile(rb"\{(\d+)\}\r\n\Z")
TOKEN = re.compile(
    rb' *(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([^\s()"{\[]+(?:\[[^\]]*\](?:<\d+>)?)?))',
    re.DOTALL,
)
ESCAPE = re.compile(rb"\\(.)")
APPENDS_IN_FLIGHT_MAX = 100
FETCHES_IN_FLIGHT_MAX = 20

Tree = list[Any]
"""Nested lists of bytes (atoms in lower case are not made: as sent), int and None for NIL."""


def tree_of(text: bytes, literals: Iterable[bytes] = ()) -> Tree:
    """Parse IMAP data; literals stand in `literals`, or in the text itself when there are none."""
    queue = list(literals)
    out: Tree = []
    stack = [out]
    position = 0
    while match := TOKEN.match(text, position):
        position = match.end()
        match match.lastindex:
            case 1:
                inner: Tree = []
                stack[-1].append(inner)
                stack.append(inner)
            case 2:
                stack.pop()
            case 3:
                stack[-1].append(ESCAPE.sub(rb"\1", match[3]))
            case 4 if queue:
                stack[-1].append(queue.pop(0))
            case 4:
                end = position + int(match[4])
                stack[-1].append(text[position:end])
                position = end
            case _:
                atom = match[5]
                stack[-1].append(None if atom == b"NIL" else int(atom) if atom.isdigit() else atom)
    assert text[position:].strip() == b"", text[position : position + 80]
    return out


class Oracle:
    """One connection to the server, with INBOX selected."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self._address = (host, port)
        self._login = b"LOGIN %b %b" % (user.encode(), password.encode())
        self._tags = 0
        self._ended: set[bytes] = set()
        self._answers: dict[int, dict[bytes, Any]] = {}

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address, limit=2**26)
        await self._reader.readline()
        await self._done(self._send(self._login))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def append_all(self, mails: Sequence[bytes]) -> None:
        """Append to INBOX, in order, and select it."""
        waiting: list[bytes] = []
        for mail in mails:
            waiting.append(self._send(b"APPEND INBOX {%d+}\r\n%b" % (len(mail), mail)))
            await self._writer.drain()
            if len(waiting) > APPENDS_IN_FLIGHT_MAX:
                await self._done(waiting.pop(0))
        for tag in waiting:
            await self._done(tag)
        await self._done(self._send(b"SELECT INBOX"))

    async def fetch_all(
        self, items: Iterable[tuple[int, bytes]]
    ) -> AsyncIterator[dict[bytes, Any]]:
        """Yield, for each (sequence number, items), the answer by item, in order.

        The server works on pipelined commands at the same time: an answer is known by its number.
        """
        asked: list[tuple[int, bytes]] = []
        for number, wanted in items:
            asked.append((number, self._send(b"FETCH %d (%b)" % (number, wanted))))
            if len(asked) > FETCHES_IN_FLIGHT_MAX:
                yield await self._fetched(*asked.pop(0))
        for number, tag in asked:
            yield await self._fetched(number, tag)

    def _send(self, command: bytes) -> bytes:
        self._tags += 1
        tag = b"t%d" % self._tags
        self._writer.write(tag + b" " + command + b"\r\n")
        return tag

    async def _response(self) -> tuple[bytes, list[bytes]]:
        line = b""
        literals: list[bytes] = []
        while True:
            line += await self._reader.readuntil(b"\r\n")
            match = LITERAL_END.search(line)
            if match is None:
                return line, literals
            literals.append(await self._reader.readexactly(int(match[1])))

    async def _done(self, tag: bytes) -> None:
        """Read up to the tagged response, which must be OK."""
        while tag not in self._ended:
            await self._take_in()
        self._ended.remove(tag)

    async def _fetched(self, number: int, tag: bytes) -> dict[bytes, Any]:
        await self._done(tag)
        return self._answers.pop(number)

    async def _take_in(self) -> None:
        line, literals = await self._response()
        tag, rest = line.split(b" ", 1)
        if tag != b"*":
            assert rest.startswith(b"OK"), line
            self._ended.add(tag)
        elif b" FETCH (" in line[:32]:
            _, number, _, pairs = tree_of(line, literals)
            self._answers.setdefault(number, {}).update(zip(pairs[::2], pairs[1::2], strict=True))
