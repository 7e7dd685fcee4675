"""A mail server that says what a test wants it to say, over a real connection.

A script is text, one line a step:

    < * OK ready            said to the client
    > LOGIN u p             expected next from the client, its tag left out; "..." stands for the rest
    < TAG OK in             TAG is the tag of the last line that was expected
    > raw: DONE             expected without a tag
    ! close                 ends the connection
    ! gone                  the client goes away from here on, whatever it still says

In what is said, \\r\\n stands for a line's end within a step, as before a literal's octets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LOGIN = """
< * OK [CAPABILITY IMAP4rev1 {capabilities}] ready
> LOGIN u p
< TAG OK [CAPABILITY IMAP4rev1 {capabilities}] in
> LIST "" ""
< * LIST (\\Noselect) "/" ""
< TAG OK done
"""
LOGOUT = """
> LOGOUT
< * BYE bye
< TAG OK out
! close
"""


class ScriptedServer:
    """Plays one script for each connection, in their order."""

    def __init__(self, scripts: list[str]) -> None:
        self.port = 0
        self.faults: list[str] = []
        """Where a client did not keep to its script."""
        self.finished = 0
        """How many scripts were played to their end."""
        self._scripts = scripts
        self._connections = 0
        self._playing: set[asyncio.Task[None]] = set()

    async def at_rest(self) -> None:
        """Return when no script is being played any more."""
        async with asyncio.timeout(5):
            while self._playing:
                await asyncio.wait(self._playing)

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)
        script, gone, _ = self._scripts[self._connections].partition("! gone")
        self._connections += 1
        try:
            await self._play(script, reader, writer)
            if gone:
                await reader.read()
            self.finished += 1
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.finished += bool(gone)
            if not gone:
                self.faults.append(f"the client went away: {error!r}")
        finally:
            writer.close()

    async def _play(
        self, script: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tag = ""
        for step in filter(None, map(str.strip, script.splitlines())):
            what, _, text = step.partition(" ")
            if what == "<":
                octets = text.replace("TAG", tag).replace("\\r\\n", "\r\n").encode("latin-1")
                writer.write(octets + b"\r\n")
                await writer.drain()
            elif what == ">":
                line = (await reader.readuntil(b"\r\n"))[:-2].decode("latin-1")
                if text.startswith("raw:"):
                    text = text.removeprefix("raw:").strip()
                else:
                    tag, _, line = line.partition(" ")
                self._compare(text, line)
            else:
                return

    def _compare(self, expected: str, line: str) -> None:
        beginning, dots, _ = expected.partition("...")
        if line != expected and not (dots and line.startswith(beginning)):
            self.faults.append(f"expected {expected!r}, got {line!r}")
            raise ConnectionAbortedError("the script is of no more use")


@asynccontextmanager
async def scripted(*scripts: str) -> AsyncIterator[ScriptedServer]:
    """Run a server with a script for each connection; checks afterwards that they were kept to."""
    played = ScriptedServer(list(scripts))
    server = await asyncio.start_server(played.play, "127.0.0.1", 0)
    played.port = server.sockets[0].getsockname()[1]
    try:
        yield played
    finally:
        server.close()
        await server.wait_closed()
    await played.at_rest()
    assert not played.faults, played.faults
    assert played.finished == len(scripts)
