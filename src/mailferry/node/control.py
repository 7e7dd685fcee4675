"""The control socket: how commands reach the running node.

A UNIX socket in the data directory, for its owner alone.  A connection carries one request, a line
of JSON, and its answers, a line each, until the node closes it.

The path of such a socket is limited to about 108 octets, which home directories exceed.  Both
sides therefore name it through an open descriptor of the directory, which is always short.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from mailferry import observe
from mailferry.node.control_messages import LINE_LENGTH_MAX, Answer, Failure, Request

CONNECTIONS_MAX: Final = 32  # Commands at the same time; more wait in the kernel's queue.
REQUEST_TIMEOUT_S: Final = 10.0  # To send one line over a local socket.
ANSWER_TIMEOUT_S: Final = 30.0  # A busy node on a slow disk is still quicker.

logger = observe.logger(__name__)

_requests: Final = msgspec.json.Decoder(Request)
_answers: Final = msgspec.json.Decoder(Answer)

Handler = Callable[[Request], AsyncGenerator[Answer, None]]


class NodeUnreachable(Exception):
    """No node runs on this data directory, or it does not answer."""


class NodeRefused(Exception):
    """The node says why it does not do what was asked."""


@asynccontextmanager
async def serve_control(path: Path, handler: Handler) -> AsyncIterator[None]:
    """Answer requests while the block lasts.

    The caller must have the data directory for itself: a socket that is there is a dead one.
    """
    listening = _listen(path)
    try:
        async with asyncio.TaskGroup() as serving:
            accepting = serving.create_task(_accept(listening, handler))
            try:
                yield
            finally:
                accepting.cancel()
    finally:
        listening.close()
        _remove(path)


def ask(path: Path, request: Request) -> Iterator[Answer]:
    """Send a request and yield the answers.  Blocks; for the command line.

    A follower waits for ever: end it with close().

    Raises:
        NodeUnreachable: nobody is there, or it went away or silent.
        NodeRefused: the node says no.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            with _short(path) as name:
                connection.connect(name)
            connection.sendall(msgspec.json.encode(request) + b"\n")
        except OSError as exc:
            raise NodeUnreachable("no mailferry runs on this data directory") from exc
        if getattr(request, "follow", False):
            connection.settimeout(None)
        yield from _read(connection)


def _read(connection: socket.socket) -> Iterator[Answer]:
    with connection.makefile("rb") as lines:
        while True:
            try:
                line = lines.readline(LINE_LENGTH_MAX + 1)
            except OSError as exc:
                raise NodeUnreachable("the running mailferry does not answer") from exc
            if not line:
                return
            try:
                answer = _answers.decode(line)
            except msgspec.MsgspecError as exc:
                raise NodeUnreachable(
                    "the running mailferry answers in an unknown way: is it another version?"
                ) from exc
            if isinstance(answer, Failure):
                raise NodeRefused(answer.error)
            yield answer


async def _accept(listening: socket.socket, handler: Handler) -> None:
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(CONNECTIONS_MAX)

    async def serve(connection: socket.socket) -> None:
        try:
            await _serve(connection, handler)
        finally:
            room.release()

    async with asyncio.TaskGroup() as connections:
        while True:
            await room.acquire()
            connection, _ = await loop.sock_accept(listening)
            connections.create_task(serve(connection))


async def _serve(connection: socket.socket, handler: Handler) -> None:
    """Answer one request; the top of its task."""
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_LENGTH_MAX)
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            line = await reader.readline()
        await _answer(_requests.decode(line), handler, reader, writer)
    except (ConnectionError, TimeoutError):
        return  # The command went away.
    except (msgspec.MsgspecError, ValueError):
        await _write(writer, Failure("an unknown request: is this another version?"))
    except Exception:
        logger.exception("a control request failed")
        with contextlib.suppress(ConnectionError):
            await _write(writer, Failure("the node failed at this; its log says more"))
    finally:
        writer.close()


async def _answer(
    request: Request,
    handler: Handler,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Write what the handler answers, until it ends or the other side goes."""

    async def write_all() -> None:
        async with contextlib.aclosing(handler(request)) as answers:
            async for answer in answers:
                await _write(writer, answer)

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write_all())

        async def watch_goodbye() -> None:
            await reader.read(1)  # The other side sends nothing more: this is its end.
            writing.cancel()

        watching = group.create_task(watch_goodbye())
        await asyncio.wait([writing])
        watching.cancel()


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


def _listen(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        _remove(path)
        with _short(path) as name:
            listening.bind(name)
        path.chmod(0o600)  # Before listen(): until then nobody can connect.
        listening.listen(CONNECTIONS_MAX)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a short name of `path` that works while the block lasts."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
