"""A bad line in a thread of its own, for benchmarks that are written as one thing after another."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mailferry.net.badline import BadLine, Shape, bad_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A line as somebody has it."""

    delay_s: float
    up_bits_per_s: float
    down_bits_per_s: float


PROFILES = {
    "geostationary": Profile(delay_s=0.3, up_bits_per_s=128_000, down_bits_per_s=512_000),
    "edge": Profile(delay_s=0.25, up_bits_per_s=60_000, down_bits_per_s=120_000),
    "good": Profile(delay_s=0.01, up_bits_per_s=10_000_000, down_bits_per_s=50_000_000),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one step cost."""

    seconds: float
    up: int
    """Octets on the line, from this side."""
    down: int
    round_trips: int


class Meter:
    """Measures steps on a line."""

    def __init__(self, line: BadLine) -> None:
        self._line = line
        self.port = line.port

    def start(self) -> None:
        """Begin a step."""
        self._begun = time.monotonic()
        self._up, self._down = self._line.up.octets, self._line.down.octets
        self._round_trips = self._line.round_trips

    def stop(self) -> Measured:
        """End it."""
        return Measured(
            time.monotonic() - self._begun,
            self._line.up.octets - self._up,
            self._line.down.octets - self._down,
            self._line.round_trips - self._round_trips,
        )


@contextmanager
def metered_line(port: int, profile: Profile) -> Iterator[Meter]:
    """Have a line of this kind to a port of this machine."""
    meters: queue.Queue[Meter] = queue.Queue()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def run() -> None:
        async with bad_line(
            "127.0.0.1",
            port,
            up=Shape(delay_s=profile.delay_s, bits_per_s=profile.up_bits_per_s),
            down=Shape(delay_s=profile.delay_s, bits_per_s=profile.down_bits_per_s),
        ) as line:
            meters.put(Meter(line))
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        yield meters.get(timeout=10)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
