"""One connection to an IMAP server: everything goes through it, pipelined.

Theory of operation
===================

`submit()` puts a command into the flow and returns an Exchange; the writer sends it at once, behind
whatever was sent before.  The reader gives each untagged response to the oldest command that takes
it, and what nobody takes to `on_unsolicited`.  Commands in a selected mailbox are submitted within
`selecting()`, which puts a SELECT before them when another mailbox was selected last: the server
carries out what is about a mailbox one after the other, so nothing has to be waited for.

IDLE is ended by whatever is submitted.  The watchdog drops a line on which nothing moves though an
answer is due.

`run()` is the life of the connection; when it returns, every exchange has its outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import assert_never

from mailferry.mail.errors import SourceUnavailable
from mailferry.net.stream import ByteStream, Change
from mailferry.net.tls import client_tls
from mailferry.net.tls_context import ClientContext
from mailferry.observe import TRACE, logger
from mailferry.sources.imap.deflate import DeflateStream
from mailferry.sources.imap.exchange import Collector, Exchange, Sink
from mailferry.sources.imap.refusals import words_of
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.settings import COMMANDS_IN_FLIGHT_MAX
from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.client import (
    ClientFlow,
    Completed,
    Event,
    Greeting,
    Received,
    SectionData,
    SectionEnded,
    SectionStarted,
    SendData,
)
from mailferry.wire.imap.client_commands import AnyCommand, Command, Idle
from mailferry.wire.imap.responses import Status, StatusKind, Untagged

_log = logger(__name__)
_NOBODY = Collector()
WATCHDOG_LOOKS = 4  # Within one silence: a dead line is noticed at most a quarter late.


class Session:
    """One connection, from the greeting to the end."""

    def __init__(
        self,
        stream: ByteStream,
        *,
        encrypted: bool,
        silence_s: float,
        on_unsolicited: Callable[[Untagged], None],
    ) -> None:
        self.flow = ClientFlow()
        self.capabilities: frozenset[str] = frozenset()
        """Those to be used, in upper case."""
        self.enabled: frozenset[str] = frozenset()
        """What ENABLE has switched on."""
        self.tls: tuple[ClientContext, str] | None = None
        """What STARTTLS uses: whom to trust, and the server's name."""
        self.cause: BaseException | None = None
        """What broke the connection, if something did."""
        self.selection: Selection | None = None
        """What the commands submitted next will find selected."""
        self.selected: Selection | None = None
        """What the server has selected now, as far as it has told."""
        self.over = asyncio.Event()
        """Set when `run()` has ended."""
        self._stream = stream
        self._encrypted = encrypted
        self._silence_s = silence_s
        self._on_unsolicited = on_unsolicited
        self._greeting: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._greeting.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._exchanges: dict[bytes, Exchange] = {}
        self._sink: Sink | None = None
        self._sending: Exchange | None = None  # The one whose message is wanted now.
        self._changing_layer = False
        self._output_due = asyncio.Event()
        self._changed = Change()
        self._selecting = asyncio.Lock()
        self._ended = ""
        self._last_active = asyncio.get_running_loop().time()

    # For those who use it

    @property
    def ended(self) -> str:
        """Why the connection is of no more use; "" while it is."""
        return self._ended

    @property
    def confidential(self) -> bool:
        """Whether nobody in between can listen."""
        return self._encrypted or self._stream.is_loopback

    def has(self, capability: str) -> bool:
        """Whether the server has a capability that may be used."""
        return capability in self.capabilities

    async def greeting(self) -> Status:
        """Return the server's greeting.

        Raises:
            SourceUnavailable: the connection ended before.
        """
        return await asyncio.shield(self._greeting)

    def submit(self, command: AnyCommand, collector: Collector = _NOBODY) -> Exchange:
        """Send a command behind all others, ending IDLE."""
        exchange = Exchange(self.flow.enqueue(command), collector)
        if self._ended:
            exchange.interrupt(self._ended)
            return exchange
        self._exchanges[exchange.handle.tag] = exchange
        if not isinstance(command, Idle):
            self.flow.finish_idle()
            self._last_active = asyncio.get_running_loop().time()
        self._output_due.set()
        return exchange

    async def run_command(self, command: AnyCommand, collector: Collector = _NOBODY) -> Status:
        """Send a command that no selected mailbox matters to, and wait for its end.

        Raises:
            Interrupted: the connection ended before.
        """
        await self._room()
        return await self.submit(command, collector).status()

    @asynccontextmanager
    async def selecting(
        self, name: bytes, select: Command | None = None, collector: Collector = _NOBODY
    ) -> AsyncIterator[Selection]:
        """Have a mailbox selected for the commands submitted within.

        Nobody else changes the selection meanwhile; wait within for the selection only.  `select`
        is sent even when the mailbox is selected already; `collector` takes what it brings.
        """
        async with self._selecting:
            await self._room()
            current = self.selection
            if select is not None or current is None or current.name != name or current.lost:
                current = Selection(name, collector)
                current.exchange = self.submit(select or commands.select(name), current)
                self.selection = current
            try:
                yield current
            finally:
                if current.exchange.ended and current.lost:
                    self.forget_selection()

    def end_idle(self) -> None:
        """End IDLE, if it is on."""
        self.flow.finish_idle()
        self._output_due.set()

    async def deselect(self) -> None:
        """Have no mailbox selected that somebody is about to change; waits for nothing."""
        async with self._selecting:
            if self.selection is not None:
                self.submit(commands.UNSELECT if self.has("UNSELECT") else commands.EXAMINE_INBOX)
                self.selection = None

    def forget_selection(self) -> None:
        """Have the next user select anew: something made the present selection doubtful."""
        self.selection = None

    async def send_message(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> None:
        """Give the message that the exchange's command announced, when the server wants it.

        Returns also when the server has answered without wanting it.

        Raises:
            SourceUnavailable: the connection ended.
            LocalProtocolError: the message is not as long as announced; the connection is dropped.
        """
        try:
            await self._give_message(exchange, chunks)
        except BaseException:
            # The server waits for the rest and takes whatever comes for it.
            self.abort("a message could not be sent to its end")
            raise

    async def _give_message(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> None:
        while self._sending is not exchange:
            if exchange.ended:
                return
            await self._changed.wait()
        missing = self.flow.data_missing  # Counted here: behind the last octet, the next begins.
        async for chunk in chunks:
            if self._ended:
                raise SourceUnavailable(self._ended)
            self.flow.send_data(chunk)
            missing -= len(chunk)
            await self._write()
        if missing:
            raise LocalProtocolError("the message is shorter than announced")
        self._output_due.set()

    async def quiet(self, for_s: float) -> None:
        """Return when nothing was submitted or under way for that long."""
        while True:
            if self._ended:
                raise SourceUnavailable(self._ended)
            wait_s = self._last_active + for_s - asyncio.get_running_loop().time()
            if not self.flow.busy and wait_s <= 0:
                return
            await self._wait_for_change(max(wait_s, 0.0) if not self.flow.busy else None)

    def abort(self, reason: str) -> None:
        """Drop the connection now."""
        self._end(reason)
        self._stream.abort()

    # Its life

    async def run(self) -> None:
        """Read and write until the connection ends; never raises but CancelledError."""
        reason = "the connection was given up"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_on())
                group.create_task(self._watch_silence())
                group.create_task(self._read_on())
        except* _Over as caught:
            reason = str(caught.exceptions[0])
        except* (OSError, SourceUnavailable) as caught:
            self.cause = caught.exceptions[0]
            reason = f"the connection broke: {self.cause}"
        except* RemoteProtocolError as caught:
            reason = f"the server does not keep to IMAP: {caught.exceptions[0]}"
        except* Exception:  # noqa: BLE001  the top of a task
            _log.exception("session failed peer=%s", self._stream.peer)
            reason = "a fault of mailferry's own; the log has it"
        finally:
            self._end(reason)
            self._stream.abort()
            self.over.set()

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        self._ended = reason
        for exchange in self._exchanges.values():
            exchange.interrupt(reason)
        self._exchanges.clear()
        if not self._greeting.done():
            self._greeting.set_exception(SourceUnavailable(reason))
        self._output_due.set()
        self._changed.notify()

    async def _read_on(self) -> None:
        goodbye = "the server closed the connection"
        while data := await self._stream.read():
            self.flow.feed(data)
            while (event := self.flow.next_event()) is not None:
                if isinstance(event, Received) and isinstance(event.response, Status):
                    goodbye = _goodbye_of(event.response) or goodbye
                await self._dispatch(event)
            self._output_due.set()
            self._changed.notify()
        raise _Over(goodbye)

    async def _write_on(self) -> None:
        while not self._ended:
            await self._output_due.wait()
            self._output_due.clear()
            await self._write()

    async def _write(self) -> None:
        if self._changing_layer:
            return
        octets = self.flow.take_output()
        while (event := self.flow.next_event()) is not None:
            await self._dispatch(event)
        if octets:
            await self._stream.write(octets)

    async def _watch_silence(self) -> None:
        moved, silent_s = self._stream.moved, 0.0
        step_s = self._silence_s / WATCHDOG_LOOKS
        while True:
            await asyncio.sleep(step_s)
            due = bool(self.flow.outstanding) and not self.flow.idling
            due = due or not self._greeting.done()
            silent_s = silent_s + step_s if due and self._stream.moved == moved else 0.0
            moved = self._stream.moved
            if silent_s >= self._silence_s:
                raise SourceUnavailable(f"no answer for {self._silence_s:.0f} s")

    # What the server says

    async def _dispatch(self, event: Event) -> None:
        match event:
            case Greeting():
                if not self._greeting.done():
                    self._greeting.set_result(event.status)
            case Received():
                self._route(event.response)
            case Completed():
                await self._complete(event)
            case SendData():
                self._sending = self._exchanges.get(event.handle.tag)
                self._changed.notify()
            case SectionStarted():
                self._sink = self._sink_for(event)
            case SectionData():
                if self._sink is not None:
                    self._sink(event.data)
            case SectionEnded():
                self._sink = None
            case _:
                assert_never(event)

    def _route(self, response: Untagged) -> None:
        for place, handle in enumerate(self.flow.outstanding):
            exchange = self._exchanges.get(handle.tag)
            if exchange is None:
                continue
            if place == 0 and isinstance(exchange.collector, Selection):
                exchange.collector.begun = True
            if exchange.collector.take(response):
                return
        self._on_unsolicited(response)

    def _sink_for(self, event: SectionStarted) -> Sink | None:
        for handle in self.flow.outstanding:
            exchange = self._exchanges.get(handle.tag)
            if exchange is not None:
                sink = exchange.collector.begin_section(event.fetch, event.length)
                if sink is not None:
                    return sink
        return None

    async def _complete(self, event: Completed) -> None:
        handle = event.handle
        exchange = self._exchanges.get(handle.tag)
        status = handle.status
        if exchange is None or status is None:
            return
        TRACE.debug("%s %s %s", handle.command.name, status.kind.value, status.code_name)
        if status.ok and handle.command is commands.STARTTLS and self.tls is not None:
            self._changing_layer = True
            rest = self.flow.change_layer()
            self._stream = await client_tls(self._stream, *self.tls, already_read=rest)
            self._changing_layer = False
            self._encrypted = True
        elif status.ok and handle.command is commands.COMPRESS:
            self._stream = DeflateStream(self._stream, self.flow.change_layer())
        if isinstance(exchange.collector, Selection):
            self.selected = exchange.collector if status.ok else None
        elif handle.command in {commands.UNSELECT, commands.EXAMINE_INBOX}:
            self.selected = None
        elif status.kind is StatusKind.BAD:
            self.forget_selection()  # Perhaps there is none any more.
        del self._exchanges[handle.tag]  # Last: a failing layer interrupts it like any other.
        exchange.complete(status)

    async def _room(self) -> None:
        """Wait until another command may be sent."""
        while len(self._exchanges) >= COMMANDS_IN_FLIGHT_MAX and not self._ended:
            await self._changed.wait()

    async def _wait_for_change(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass


def _goodbye_of(status: Status) -> str:
    """Return a BYE in words, "" for anything else."""
    said_bye = status.kind is StatusKind.BYE
    return f"the server said goodbye: {words_of(status)}" if said_bye else ""


class _Over(Exception):
    """The connection came to its end."""
