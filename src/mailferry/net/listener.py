"""Listening: accept connections and run a handler for each, all in one task group."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from mailferry import observe
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import SocketStream

CONNECTIONS_MAX = 8192
"""Connections a listener serves at once; more wait in the kernel's queue until one ends.  Far above
what a household needs, and with 8 kB each (20 kB with TLS) no danger to the machine."""
BACKLOG = 128  # Connections that the kernel keeps ready for us.
SHUTDOWN_S = 10.0  # How long handlers may go on once the listener closes.
CANCEL_S = 5.0  # How long cancelled handlers may take to say goodbye.
OUT_OF_RESOURCES_PAUSE_S = (
    0.5  # Before the next accept() when there are no descriptors or no memory left.
)

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Handler: TypeAlias = Callable[[ByteStream], Awaitable[None]]

logger = observe.logger(__name__)


class Listener:
    """An open listener: where it listens, and how many it serves."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.host, self.port = address
        """The first address that is listened on, and the real port where 0 was asked for."""
        self.connections = 0
        """Connections served at this moment."""


@asynccontextmanager
async def listen(
    host: str,
    port: int,
    handler: Handler,
    *,
    connections_max: int = CONNECTIONS_MAX,
    shutdown_s: float = SHUTDOWN_S,
) -> AsyncIterator[Listener]:
    """Listen while the block lasts; each connection runs `handler(stream)` in a task of its own.

    The stream is closed when the handler returns and aborted when it raises; what it raises is
    logged and touches nobody else.  On leaving the block: no new connections, handlers have
    `shutdown_s` to end by themselves, then they are cancelled, then their connections aborted.
    Who wants idle sessions to end at once tells the handlers before leaving.

    `host` may be a name with several addresses; all are listened on, with the same port.

    Raises:
        OSError: the address cannot be listened on.
    """
    sockets = await _bind(host, port)
    listener = Listener(sockets[0].getsockname()[:2])
    room = asyncio.Semaphore(connections_max)
    try:
        async with asyncio.TaskGroup() as connections:
            serving: set[asyncio.Task[None]] = set()

            async def serve(connection: socket.socket) -> None:
                listener.connections += 1
                try:
                    await _serve(connection, handler)
                finally:
                    listener.connections -= 1
                    room.release()

            async def accept(listening: socket.socket) -> None:
                while True:
                    await room.acquire()
                    connection = await _accept(listening)
                    task = connections.create_task(serve(connection))
                    serving.add(task)
                    task.add_done_callback(serving.discard)

            accepting = [connections.create_task(accept(s)) for s in sockets]
            try:
                yield listener
            finally:
                for task in accepting:
                    task.cancel()
                await asyncio.wait(accepting)
                _close(sockets)
                await _end(serving, shutdown_s)
    except BaseExceptionGroup as group:
        # No task in the group raises, so this is what the block raised, wrapped by the group.
        raise group.exceptions[0] from None
    finally:
        _close(sockets)


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for all addresses of `host`, on one port."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((f, a) for f, _, _, _, a in found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # Else "::" would also take the IPv4 port.
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            given = port or sockets[0].getsockname()[1]
            listening.bind((address[0], given, *address[2:]))
            listening.listen(BACKLOG)
    except BaseException:
        _close(sockets)
        raise
    return sockets


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


async def _accept(listening: socket.socket) -> socket.socket:
    """Return the next connection, whatever goes wrong with single ones."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError as exc:
            # Everything else concerns the connection that was to be accepted (accept(2)): take the next.
            if exc.errno in _OUT_OF_RESOURCES:
                logger.warning("cannot accept connections: %s", exc.strerror)
                await asyncio.sleep(OUT_OF_RESOURCES_PAUSE_S)
        else:
            return connection


async def _serve(connection: socket.socket, handler: Handler) -> None:
    """Run the handler on one connection; the top of its task."""
    loop = asyncio.get_running_loop()
    try:
        _, stream = await loop.connect_accepted_socket(SocketStream, connection)
    except OSError:  # Gone already.
        connection.close()
        return
    try:
        await handler(stream)
    except ConnectionError as exc:
        logger.info("connection lost peer=%s: %s", stream.peer, exc)
    except Exception:
        logger.exception("connection failed peer=%s", stream.peer)
    else:
        await stream.aclose()
    finally:
        stream.abort()


async def _end(serving: set[asyncio.Task[None]], shutdown_s: float) -> None:
    """Let the handlers end, then make them."""
    if serving:
        await asyncio.wait(serving, timeout=shutdown_s)
    for task in serving:
        task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CANCEL_S):
            while serving:
                await asyncio.wait(serving)
