"""ByteStream: a connection, whatever carries it.

`net/tcp.py` has it over a socket, `net/memory.py` as a pair within the process, `net/tls.py` on top
of any other.  All of them keep to what is written here; tests/net/test_stream_contract.py holds
them to it.

What goes wrong with a stream is always an OSError: ConnectionError when the line broke or was
aborted, TimeoutError when a limit struck, TlsError (an OSError too) when TLS refused.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeAlias

READ_LENGTH_MAX = 64 * 1024  # Octets one read() gives at most unless told otherwise.
READ_BUFFER_LENGTH_MAX = 64 * 1024
"""Octets received and not yet read, after which the line is no longer read: the other side has to wait."""
WRITE_BUFFER_LENGTH_MAX = 64 * 1024
"""Octets written and not yet sent, above which write() waits.  One chunk of a body: while the
kernel sends one, the next is made ready."""
CLOSE_SILENCE_S = 10.0
"""How long aclose() waits for the other side to take something of what is left to send."""

Octets: TypeAlias = bytes | bytearray | memoryview


class ByteStream(Protocol):
    """A connection that carries octets both ways, in order.

    One task may read while others write.  Two tasks must not read at the same time.
    """

    async def read(self, max_bytes: int = READ_LENGTH_MAX) -> bytes:
        """Return what has come, at least one octet and at most `max_bytes`; b"" at the end.

        What came before the line broke is given first.  May be cancelled without losing anything.

        Raises:
            ConnectionError: the line broke, or the stream was closed or aborted here.
        """
        ...

    async def write(self, data: Octets) -> None:
        """Send `data`; return when at most WRITE_BUFFER_LENGTH_MAX octets are unsent.

        All of `data` is taken over before the first wait: a cancelled write was written, and
        several tasks may write.  Who writes something large does it in chunks.

        Raises:
            ConnectionError: the line broke, or the stream was closed or aborted here.
        """
        ...

    async def send_eof(self) -> None:
        """Say that nothing more will be written; reading goes on.  Does not wait for the other side.

        Raises:
            ConnectionError: the line broke, or the stream was closed or aborted here.
        """
        ...

    async def aclose(self) -> None:
        """Send what is unsent, then close.

        Aborts where the other side takes nothing for CLOSE_SILENCE_S, or when cancelled.  Received
        and unread octets are thrown away.  Never raises but CancelledError; may be called again.
        """
        ...

    def abort(self) -> None:
        """Drop the connection now, unsent octets with it.

        The other side sees a broken line where the transport can say so, never a proper end.
        Whoever waits in read() or write() gets ConnectionAbortedError.  May be called again.
        """
        ...

    @property
    def unsent(self) -> int:
        """Octets (TLS records included) that were written and not yet given to the kernel."""
        ...

    @property
    def undelivered(self) -> int:
        """Octets that were written and that the other side's kernel has not acknowledged yet.

        Raises:
            ConnectionError: the connection is not established any more; nobody can know.
        """
        ...

    @property
    def unread(self) -> int:
        """Octets received and not yet read."""
        ...

    @property
    def moved(self) -> int:
        """Octets received and octets acknowledged so far, together: what time limits watch."""
        ...

    @property
    def peer(self) -> str:
        """The other side's address and port, for messages and logs."""
        ...

    @property
    def is_loopback(self) -> bool:
        """Whether the other side is on this machine, so that nobody can listen in between."""
        ...


class Change:
    """Wakes everybody who waits for a change of something; who is woken looks again.

    Costs nothing while nobody waits, which is why a connection has one of these and no asyncio.Event.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wake all who wait now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Return after the next notify()."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)


def renewed(failure: ConnectionError) -> ConnectionError:
    """Return the same failure to be raised anew: one instance raised often would grow its traceback."""
    return type(failure)(*failure.args)
