"""Two connected ends, by every carrier there is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

from mailferry.net.listener import listen
from mailferry.net.memory import memory_pair
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect
from mailferry.net.tls import client_tls, server_tls
from mailferry.net.tls_context import ClientContext
from tests.lab import certificates

Ends: TypeAlias = tuple[ByteStream, ByteStream]
"""The client's end and the server's."""


def server_context() -> ssl.SSLContext:
    """Return a server's context with the laboratory's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.server_certificate().configure_cert(context)
    return context


def client_context() -> ClientContext:
    """Return a client's context that trusts it."""
    return ClientContext(certificates.trusting_context())


@asynccontextmanager
async def memory() -> AsyncIterator[Ends]:
    """Within the process."""
    ends = memory_pair()
    yield ends
    for end in ends:
        end.abort()


@asynccontextmanager
async def tcp() -> AsyncIterator[Ends]:
    """Over the loopback."""
    accepted: asyncio.Queue[ByteStream] = asyncio.Queue()
    done = asyncio.Event()

    async def handler(stream: ByteStream) -> None:
        accepted.put_nowait(stream)
        await done.wait()
        stream.abort()

    async with listen("127.0.0.1", 0, handler) as listener:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        yield client, await accepted.get()
        client.abort()
        done.set()


def in_tls(carrier: Callable[[], AbstractAsyncContextManager[Ends]]) -> Carrier:
    """Put TLS on top of another carrier."""

    @asynccontextmanager
    async def carry() -> AsyncIterator[Ends]:
        async with carrier() as (client, server):
            yield await asyncio.gather(
                client_tls(client, client_context(), "localhost"),
                server_tls(server, server_context()),
            )

    return carry


Carrier: TypeAlias = Callable[[], AbstractAsyncContextManager[Ends]]

CARRIERS: Final[Mapping[str, Carrier]] = {
    "memory": memory,
    "tcp": tcp,
    "tls over memory": in_tls(memory),
    "tls over tcp": in_tls(tcp),
}
