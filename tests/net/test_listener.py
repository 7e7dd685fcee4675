from __future__ import annotations

import asyncio
import errno
import logging
import socket

import pytest

from mailferry.net import listener as listener_module
from mailferry.net.listener import listen
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect


async def echo(stream: ByteStream) -> None:
    while data := await stream.read():
        await stream.write(data)


async def test_serves_many_at_once_and_closes_for_them() -> None:
    async with listen("127.0.0.1", 0, echo) as listener:
        clients = [await connect(listener.host, listener.port, timeout_s=5) for _ in range(20)]
        for client in clients:
            await client.write(client.peer.encode())
        for client in clients:
            assert await client.read() == client.peer.encode()
        assert listener.connections == 20
        for client in clients:
            await client.send_eof()
            assert await client.read() == b""
            await client.aclose()


async def test_all_addresses_of_a_name_share_the_port() -> None:
    async with listen("localhost", 0, echo) as listener:
        for family, address in {
            (found[0], found[4][0]) for found in socket.getaddrinfo("localhost", None)
        }:
            client = await connect(str(address), listener.port, timeout_s=5)
            assert client.peer.endswith(f"]:{listener.port}") == (family == socket.AF_INET6)
            assert client.is_loopback
            client.abort()


async def test_one_failing_handler_touches_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def fragile(stream: ByteStream) -> None:
        if await stream.read() == b"fail":
            raise ValueError("something of ours")
        await stream.write(b"fine")

    async with listen("127.0.0.1", 0, fragile) as listener:
        victim = await connect("127.0.0.1", listener.port, timeout_s=5)
        other = await connect("127.0.0.1", listener.port, timeout_s=5)
        await victim.write(b"fail")
        with pytest.raises(ConnectionResetError):
            await victim.read()
        await other.write(b"go")
        assert await other.read() == b"fine"
        other.abort()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert "connection failed" in record.message


async def test_more_than_the_limit_have_to_wait() -> None:
    async with listen("127.0.0.1", 0, echo, connections_max=1) as listener:
        first = await connect("127.0.0.1", listener.port, timeout_s=5)
        await first.write(b"1")
        assert await first.read() == b"1"
        second = await connect("127.0.0.1", listener.port, timeout_s=5)
        await second.write(b"2")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.read(), 0.1)
        assert listener.connections == 1
        await first.aclose()
        assert await second.read() == b"2"
        await second.aclose()


async def test_handlers_may_end_before_the_listener_does() -> None:
    said_goodbye = asyncio.Event()

    async def polite(stream: ByteStream) -> None:
        await stream.write(b"hello")
        await stream.read()
        await stream.write(b"bye")
        said_goodbye.set()

    async with listen("127.0.0.1", 0, polite) as listener:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        assert await client.read() == b"hello"
        await client.write(b"please end")
    assert said_goodbye.is_set()
    assert await client.read() == b"bye"
    await client.aclose()
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", listener.port, timeout_s=5)


async def test_a_handler_that_does_not_end_is_made_to() -> None:
    async def stubborn(stream: ByteStream) -> None:
        await stream.write(b"hello")
        try:
            await stream.read()
        finally:
            await stream.write(b"cancelled")
            await stream.aclose()

    async with listen("127.0.0.1", 0, stubborn, shutdown_s=0.05) as listener:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        assert await client.read() == b"hello"
    assert await client.read() == b"cancelled"
    await client.aclose()


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError):
        async with listen("127.0.0.1", 0, echo):
            raise LookupError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), listen("127.0.0.1", 0, echo):
            await asyncio.Event().wait()


async def test_a_port_that_is_taken_is_refused() -> None:
    async with listen("127.0.0.1", 0, echo) as listener:
        with pytest.raises(OSError, match="in use"):
            async with listen("127.0.0.1", listener.port, echo):
                pass


async def test_goes_on_accepting_after_running_out_of_descriptors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    accept = loop.sock_accept
    failures = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ECONNABORTED, "gone")]

    async def failing(listening: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop(0)
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", failing)
    monkeypatch.setattr(listener_module, "OUT_OF_RESOURCES_PAUSE_S", 0.01)
    async with listen("127.0.0.1", 0, echo) as listener:
        client = await connect("127.0.0.1", listener.port, timeout_s=5)
        await client.write(b"x")
        assert await client.read() == b"x"
        client.abort()
    assert [record.message for record in caplog.records if "cannot accept" in record.message]


async def test_connecting_fails_in_time_and_says_why() -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", 1, timeout_s=5)
    with pytest.raises(OSError, match=r"[Nn]ame"):
        await connect("nowhere.invalid", 1, timeout_s=5)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]

        async def connect_often() -> None:
            for _ in range(10):  # The kernel's queue takes one or two before it stops answering.
                stream = await connect("127.0.0.1", port, timeout_s=0.1)
                stream.abort()

        with pytest.raises(TimeoutError):
            await connect_often()
