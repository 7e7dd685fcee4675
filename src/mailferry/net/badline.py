"""A bad line without root: a relay for TCP connections that delays, slows down, counts and cuts.

For the demonstration and the tests.  What it cannot do: it ends TCP on both sides, so the kernels
here acknowledge what is still on its way, and nothing is lost, reordered or retransmitted.

Theory of operation.  Each connection has two directions.  In each, one task reads and notes when
every piece has to come out (when the line was free, plus its length by the rate, plus the delay),
and another waits for that time and writes.  The rate is that of the line, shared by all its
connections.  Whatever is cut is cut where a piece would come out: exactly what the counters say
has passed.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mailferry import observe
from mailferry.net.delivery import delivered
from mailferry.net.listener import listen
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect

PIECE_S = 0.05  # A piece occupies the line for this long at most, so that connections take turns.
PIECE_LENGTH_MIN = 32  # Octets; below, the relay would be all overhead.
PIECE_LENGTH_MAX = 16 * 1024
PIECES_ON_THE_WAY_MAX = 64
"""Pieces a direction of a connection holds: 1 MB at most; then the sender has to wait, as before a modem."""
CONNECT_S = 10.0
LAST_OCTETS_S = 5.0  # How long the octets before a planned cut may take to the other side's kernel.

logger = observe.logger(__name__)


class Cut(enum.Enum):
    """How a connection ends when the line is cut."""

    RESET = "reset"
    """Both ends are told at once (RST)."""
    SILENCE = "silence"
    """Nobody is told anything and nothing passes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one direction of a line is like."""

    delay_s: float = 0.0
    bits_per_s: float = math.inf

    @property
    def piece_length(self) -> int:
        """Octets that travel together."""
        wanted = min(self.bits_per_s * PIECE_S / 8, PIECE_LENGTH_MAX)
        return max(PIECE_LENGTH_MIN, int(wanted))


@dataclass(slots=True)
class Direction:
    """One direction of the line: what it is like now, and what passed so far."""

    shape: Shape
    octets: int = 0
    """Octets that came out at the end."""
    _free_at: float = 0.0
    _cut_at: int | None = None
    _cut_how: Cut = Cut.RESET

    def due(self, length: int, now: float) -> float:
        """Occupy the line for `length` octets; return when they come out."""
        self._free_at = max(self._free_at, now) + length * 8 / self.shape.bits_per_s
        return self._free_at + self.shape.delay_s

    def cut_after(self, octets: int, how: Cut) -> None:
        """Cut the line when `octets` more have passed in this direction: exactly these come out."""
        self._cut_at, self._cut_how = self.octets + octets, how

    def passing(self, length: int) -> tuple[int, Cut | None]:
        """Return how many of `length` octets still pass, and how the line is cut after them."""
        if self._cut_at is None or self.octets + length < self._cut_at:
            return length, None
        length = self._cut_at - self.octets
        self._cut_at = None
        return length, self._cut_how


@dataclass(eq=False, slots=True)
class _Connection:
    near: ByteStream
    far: ByteStream
    client_spoke_last: bool = False
    silent: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class BadLine:
    """The line: where to connect to, what it is like, what passed, and the knife."""

    def __init__(self, host: str, port: int, *, up: Shape, down: Shape) -> None:
        self._target = (host, port)
        self.port = 0
        """Where it listens, on the loopback."""
        self.up = Direction(up)
        """From those who connect to the target."""
        self.down = Direction(down)
        self.connections = 0
        """How many were made so far."""
        self.round_trips = 0
        """How often a client spoke after it had heard something (or first of all): an upper bound of
        the times that somebody had to wait for the whole way there and back."""
        self._live: set[_Connection] = set()
        self._down: Cut | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self, how: Cut) -> None:
        """Cut the connections that there are; new ones work."""
        for connection in list(self._live):
            if how is Cut.SILENCE:
                connection.silent = True
            else:
                self._drop(connection)

    def go_down(self, how: Cut) -> None:
        """Cut the connections that there are, and all that will be made until `come_up`."""
        self._down = how
        self.cut(how)

    def hold(self) -> None:
        """Let nothing pass until `come_up`; the connections stay, and go on then."""
        self._flowing.clear()

    def come_up(self) -> None:
        """End `go_down` and `hold`.  What was silenced stays silent."""
        self._down = None
        self._flowing.set()

    async def carry(self, near: ByteStream) -> None:
        """Carry one connection, until it ends."""
        if self._down is Cut.RESET:
            near.abort()
            return
        try:
            far = await connect(*self._target, timeout_s=CONNECT_S)
        except OSError as exc:
            logger.info("bad line: no connection to its end: %s", exc)
            near.abort()
            return
        connection = _Connection(near, far, silent=self._down is Cut.SILENCE)
        self.connections += 1
        self._live.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(connection, self.up, near, far))
                both.create_task(self._carry(connection, self.down, far, near))
        except* ConnectionError:
            pass
        finally:
            self._drop(connection)

    async def _carry(
        self, connection: _Connection, direction: Direction, source: ByteStream, sink: ByteStream
    ) -> None:
        """Carry one direction of a connection."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_ON_THE_WAY_MAX)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._take_in(direction, source, on_the_way))
            ends.create_task(self._give_out(connection, direction, sink, on_the_way))

    async def _take_in(
        self,
        direction: Direction,
        source: ByteStream,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        """Read to the end; b"" stands for the end."""
        loop = asyncio.get_running_loop()
        piece = b"first"
        while piece:
            piece = await source.read(direction.shape.piece_length)
            await on_the_way.put((direction.due(len(piece), loop.time()), piece))

    async def _give_out(
        self,
        connection: _Connection,
        direction: Direction,
        sink: ByteStream,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await on_the_way.get()
            await asyncio.sleep(max(0, due - loop.time()))
            await self._flowing.wait()
            if connection.silent or connection.over.is_set():
                await connection.over.wait()
                return
            if not piece:
                await sink.send_eof()
                return
            self._count(connection, direction)
            length, cut = direction.passing(len(piece))
            direction.octets += length
            await sink.write(piece[:length])
            if cut is not None:
                await delivered(sink, silence_s=LAST_OCTETS_S)
                self.cut(cut)

    def _count(self, connection: _Connection, direction: Direction) -> None:
        client_speaks = direction is self.up
        if client_speaks and not connection.client_spoke_last:
            self.round_trips += 1
        connection.client_spoke_last = client_speaks

    def _drop(self, connection: _Connection) -> None:
        connection.over.set()
        connection.near.abort()
        connection.far.abort()
        self._live.discard(connection)


@asynccontextmanager
async def bad_line(
    host: str,
    port: int,
    *,
    up: Shape | None = None,
    down: Shape | None = None,
    listen_port: int = 0,
) -> AsyncIterator[BadLine]:
    """Have a line to `host`:`port` while the block lasts; it is cut (RESET) at its end.

    It listens on the loopback at `listen_port`, or at any port: see BadLine.port.
    """
    line = BadLine(host, port, up=up or Shape(), down=down or Shape())
    async with listen("127.0.0.1", listen_port, line.carry) as listener:
        line.port = listener.port
        try:
            yield line
        finally:
            line.go_down(Cut.RESET)
