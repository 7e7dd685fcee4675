"""A pair of connected streams within the process, bounded like the real ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailferry.net.deadline import silence_limit
from mailferry.net.stream import (
    CLOSE_SILENCE_S,
    READ_BUFFER_LENGTH_MAX,
    READ_LENGTH_MAX,
    WRITE_BUFFER_LENGTH_MAX,
    ByteStream,
    Change,
    Octets,
    renewed,
)


def memory_pair() -> tuple[ByteStream, ByteStream]:
    """Return the two ends of a connection."""
    there, back = _Direction(), _Direction()
    return MemoryStream(incoming=back, outgoing=there), MemoryStream(incoming=there, outgoing=back)


@dataclass(slots=True)
class _Direction:
    """What is on its way from one end to the other."""

    unsent: bytearray = field(default_factory=bytearray)
    arrived: bytearray = field(default_factory=bytearray)
    moved: int = 0
    """Octets that arrived so far."""
    ending: bool = False
    """Nothing will follow what is unsent."""
    broken: ConnectionError | None = None
    """Nothing can be written any more, and nothing read but what has arrived."""
    change: Change = field(default_factory=Change)

    def push(self) -> None:
        """Let arrive what there is room for."""
        moving = self.unsent[: READ_BUFFER_LENGTH_MAX - len(self.arrived)]
        self.arrived += moving
        del self.unsent[: len(moving)]
        self.moved += len(moving)
        self.change.notify()

    def break_off(self, reason: ConnectionError) -> None:
        """Lose what is unsent."""
        if self.broken is None:
            self.broken = reason
            self.unsent.clear()
            self.change.notify()


class MemoryStream:
    """One end of a pair."""

    def __init__(self, *, incoming: _Direction, outgoing: _Direction) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed: ConnectionError | None = None

    async def read(self, max_bytes: int = READ_LENGTH_MAX) -> bytes:
        """See ByteStream."""
        incoming = self._incoming
        while not incoming.arrived:
            self._check(incoming)
            if incoming.ending and not incoming.unsent:
                return b""
            await incoming.change.wait()
        data = bytes(incoming.arrived[:max_bytes])
        del incoming.arrived[:max_bytes]
        incoming.push()
        return data

    async def write(self, data: Octets) -> None:
        """See ByteStream."""
        outgoing = self._outgoing
        self._check_writable()
        outgoing.unsent += data
        outgoing.push()
        while len(outgoing.unsent) > WRITE_BUFFER_LENGTH_MAX:
            await outgoing.change.wait()
            self._check(outgoing)

    async def send_eof(self) -> None:
        """See ByteStream."""
        self._check_writable()
        self._outgoing.ending = True
        self._outgoing.push()

    async def aclose(self) -> None:
        """See ByteStream."""
        outgoing = self._outgoing
        self._incoming.arrived.clear()
        self._incoming.push()
        outgoing.ending = True
        outgoing.push()
        try:
            async with silence_limit(lambda: self.moved, CLOSE_SILENCE_S):
                while outgoing.unsent:
                    await outgoing.change.wait()
        except TimeoutError:
            self.abort()
        except BaseException:
            self.abort()
            raise
        self._end(ConnectionAbortedError("this stream was closed"))
        self._incoming.break_off(ConnectionResetError("the other side closed the connection"))

    def abort(self) -> None:
        """See ByteStream."""
        if self._closed is None:
            self._end(ConnectionAbortedError("this stream was aborted"))
            reset = ConnectionResetError("the other side dropped the connection")
            self._incoming.break_off(reset)
            self._outgoing.break_off(reset)

    @property
    def unsent(self) -> int:
        """See ByteStream."""
        return len(self._outgoing.unsent)

    @property
    def undelivered(self) -> int:
        """See ByteStream."""
        self._check(self._outgoing)
        return len(self._outgoing.unsent)

    @property
    def unread(self) -> int:
        """See ByteStream."""
        return len(self._incoming.arrived)

    @property
    def moved(self) -> int:
        """See ByteStream."""
        return self._incoming.moved + self._outgoing.moved

    @property
    def peer(self) -> str:
        """See ByteStream."""
        return "memory"

    @property
    def is_loopback(self) -> bool:
        """See ByteStream."""
        return True

    def _check(self, direction: _Direction) -> None:
        failure = self._closed or direction.broken
        if failure is not None:
            raise renewed(failure)

    def _check_writable(self) -> None:
        self._check(self._outgoing)
        if self._outgoing.ending:
            raise BrokenPipeError("the end of this stream was already sent")

    def _end(self, reason: ConnectionError) -> None:
        if self._closed is None:
            self._closed = reason
            self._incoming.arrived.clear()
            self._incoming.change.notify()
            self._outgoing.change.notify()
