"""ByteStream over a TCP socket.

A BufferedProtocol that reads into one buffer per thread and copies out what came: an idle
connection holds no buffer at all (measured with this kind of protocol: under 2 kB a connection,
against 6 kB of asyncio's streams).  No TLS here: see net/tls.py for the reason.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import socket
import struct
import sys
import termios
import threading
from typing import Final

from mailferry.net.deadline import silence_limit
from mailferry.net.stream import (
    CLOSE_SILENCE_S,
    READ_BUFFER_LENGTH_MAX,
    READ_LENGTH_MAX,
    WRITE_BUFFER_LENGTH_MAX,
    Change,
    Octets,
    renewed,
)

HAPPY_EYEBALLS_DELAY_S = 0.25  # RFC 8305 §5: the recommended Connection Attempt Delay.
NOT_SENT_LENGTH_MAX = 128 * 1024
"""Octets the kernel keeps beyond what is under way (TCP_NOTSENT_LOWAT): on a slow line the rest stays
with us, where it is counted."""

_SIOCOUTQ: Final = termios.TIOCOUTQ
"""tcp(7): octets in the send queue, sent and not acknowledged ones included."""
_UNBROKEN: Final = frozenset({1, 4, 5, 8})
"""ESTABLISHED, FIN_WAIT1 and FIN_WAIT2 (we sent our end), CLOSE_WAIT (they did): linux/tcp_states.h."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, for 0 s.


class _Scratch(threading.local):
    """Where the kernel copies to; emptied before anybody else can use it, hence one per thread."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BUFFER_LENGTH_MAX))


_scratch = _Scratch()


async def connect(host: str, port: int, *, timeout_s: float) -> SocketStream:
    """Connect by TCP, over IPv6 or IPv4, whichever answers first (RFC 8305).

    Raises:
        TimeoutError: no connection within `timeout_s`, the name's resolution included.
        OSError: the name is unknown, or nobody accepts connections there.
    """
    loop = asyncio.get_running_loop()
    # asyncio's race leaves a socket open when it is cancelled at its end: no race for one address.
    delay_s = None if _is_address(host) else HAPPY_EYEBALLS_DELAY_S
    async with asyncio.timeout(timeout_s):
        _, stream = await loop.create_connection(
            SocketStream, host, port, happy_eyeballs_delay=delay_s
        )
    return stream


class SocketStream(asyncio.BufferedProtocol):
    """A connected TCP socket."""

    __slots__ = (
        "_acknowledged",
        "_change",
        "_closing",
        "_ending",
        "_eof",
        "_failure",
        "_octets_received",
        "_octets_written",
        "_paused",
        "_received",
        "_socket",
        "_transport",
        "_writable",
        "peer",
    )

    peer: str

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._socket: socket.socket
        self._received = bytearray()
        self._change = Change()
        self._failure: ConnectionError | None = None
        self._eof = False
        self._ending = False
        self._closing = False
        self._paused = False
        self._writable = True
        self._octets_received = 0
        self._octets_written = 0
        self._acknowledged = 0

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connected transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what BufferedProtocol is promised
        self._transport = transport
        # The transport's own view of the socket has all that is needed, except that its type is unknown.
        self._socket = transport.get_extra_info("socket")
        transport.set_write_buffer_limits(high=WRITE_BUFFER_LENGTH_MAX)
        if self._socket.family in {socket.AF_INET, socket.AF_INET6}:
            self._set_tcp_options()
        # A connection that was reset before it was taken has no address any more.
        address = transport.get_extra_info("peername")
        self.peer = _address_text(address) if address else "an address that has gone"

    def _set_tcp_options(self) -> None:
        # asyncio sets this on sockets that it made itself only.  Without it each second small answer
        # waits for the other side's delayed acknowledgement, some 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            self._socket.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_LENGTH_MAX
            )

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the kernel as much room as there is below the limit."""
        del sizehint
        if self._closing:
            return _scratch.view
        return _scratch.view[: READ_BUFFER_LENGTH_MAX - len(self._received)]

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came; stop reading at the limit."""
        self._octets_received += nbytes
        if self._closing:
            return
        self._received += _scratch.view[:nbytes]
        if len(self._received) >= READ_BUFFER_LENGTH_MAX:
            self._transport.pause_reading()
            self._paused = True
        self._change.notify()

    def eof_received(self) -> bool:
        """Note the end; we may still write."""
        self._eof = True
        self._change.notify()
        return True

    def pause_writing(self) -> None:
        """Make write() wait."""
        self._writable = False

    def resume_writing(self) -> None:
        """Let those go on who wait in write()."""
        self._writable = True
        self._change.notify()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note how the connection ended."""
        if self._failure is None:
            if isinstance(exc, ConnectionError):
                self._failure = exc
            elif exc is not None:  # ETIMEDOUT, EHOSTUNREACH ...: the line broke all the same.
                self._failure = ConnectionResetError(*exc.args)
            else:
                self._failure = ConnectionAbortedError("this stream was closed")
        self._change.notify()

    # What ByteStream promises.

    async def read(self, max_bytes: int = READ_LENGTH_MAX) -> bytes:
        """See ByteStream."""
        while not self._received:
            if self._failure is not None:
                raise renewed(self._failure)
            if self._eof:
                return b""
            await self._change.wait()
        if len(self._received) <= max_bytes:
            data = bytes(self._received)
            self._received.clear()
        else:
            data = bytes(memoryview(self._received)[:max_bytes])
            del self._received[:max_bytes]
        if self._paused and len(self._received) <= READ_BUFFER_LENGTH_MAX // 2:
            self._resume_reading()
        return data

    async def write(self, data: Octets) -> None:
        """See ByteStream."""
        self._check_writable()
        self._octets_written += len(data)
        # Taken over: from Python 3.12 on the transport would keep a view of the caller's buffer.
        self._transport.write(bytes(data))
        while not self._writable:
            await self._change.wait()
            if self._failure is not None:
                raise renewed(self._failure)

    async def send_eof(self) -> None:
        """See ByteStream."""
        self._check_writable()
        self._ending = True
        self._transport.write_eof()

    async def aclose(self) -> None:
        """See ByteStream."""
        try:
            async with silence_limit(lambda: self.moved, CLOSE_SILENCE_S):
                await self._flush()
                self._transport.close()
                while self._failure is None:
                    await self._change.wait()
        except TimeoutError:
            self.abort()
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """See ByteStream."""
        if self._failure is not None:
            return
        self._failure = ConnectionAbortedError("this stream was aborted")
        self._received.clear()
        # Without this the kernel would send a FIN, and a cut message would look like a whole one.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()
        self._change.notify()

    @property
    def unsent(self) -> int:
        """See ByteStream."""
        return self._transport.get_write_buffer_size()

    @property
    def undelivered(self) -> int:
        """See ByteStream."""
        if self._failure is not None:
            raise renewed(self._failure)
        state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state not in _UNBROKEN:
            raise ConnectionResetError("the connection is no longer established")
        return self.unsent + self._unacknowledged()

    @property
    def unread(self) -> int:
        """See ByteStream."""
        return len(self._received)

    @property
    def moved(self) -> int:
        """See ByteStream."""
        if self._failure is None:
            self._acknowledged = self._octets_written - self.unsent - self._unacknowledged()
        return self._octets_received + self._acknowledged

    @property
    def is_loopback(self) -> bool:
        """See ByteStream."""
        address = self._transport.get_extra_info("peername")
        return bool(address) and _is_loopback(address[0])

    def _check_writable(self) -> None:
        if self._failure is not None:
            raise renewed(self._failure)
        if self._closing:
            raise ConnectionAbortedError("this stream was closed")
        if self._ending:
            raise BrokenPipeError("the end of this stream was already sent")

    def _unacknowledged(self) -> int:
        queued = fcntl.ioctl(self._socket.fileno(), _SIOCOUTQ, struct.pack("i", 0))
        length: int = struct.unpack("i", queued)[0]
        # The kernel counts the end (FIN) as an octet, once we have no more before it.
        return length - 1 if length and self._ending and not self.unsent else length

    def _resume_reading(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    async def _flush(self) -> None:
        """Wait until the kernel has all.  Meanwhile what comes is read and dropped.

        A socket that is closed with something unread in it resets the connection, and the last
        answer would be lost on the way.
        """
        self._closing = True
        self._received.clear()
        if self._paused:
            self._resume_reading()
        self._transport.set_write_buffer_limits(high=0)
        while self.unsent and self._failure is None:
            await self._change.wait()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _address_text(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
