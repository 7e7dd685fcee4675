from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from mailferry.net.badline import BadLine, Cut, Direction, Shape, bad_line
from mailferry.net.listener import listen
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect

QUIET_S = 0.1  # How long a test listens to be sure that nothing comes.


async def echo(stream: ByteStream) -> None:
    while data := await stream.read():
        await stream.write(data)


@asynccontextmanager
async def line_to_echo(
    *, up: Shape | None = None, down: Shape | None = None
) -> AsyncIterator[BadLine]:
    async with (
        listen("127.0.0.1", 0, echo) as server,
        bad_line("127.0.0.1", server.port, up=up, down=down) as line,
    ):
        yield line


@asynccontextmanager
async def client_of(line: BadLine) -> AsyncIterator[ByteStream]:
    stream = await connect("127.0.0.1", line.port, timeout_s=5)
    try:
        yield stream
    finally:
        stream.abort()


async def exactly(stream: ByteStream, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = await stream.read(length - len(received))
        assert piece
        received += piece
    return received


async def everything(stream: ByteStream) -> bytes:
    """Read until the line ends, is broken, or falls silent."""
    received = b""
    try:
        while piece := await asyncio.wait_for(stream.read(), QUIET_S):
            received += piece
    except (ConnectionError, TimeoutError):
        pass
    return received


def test_a_piece_comes_out_when_the_line_was_free_and_after_the_delay() -> None:
    direction = Direction(Shape(delay_s=0.3, bits_per_s=800))
    assert direction.due(100, now=10.0) == pytest.approx(11.3)
    assert direction.due(100, now=10.0) == pytest.approx(12.3)
    assert direction.due(100, now=20.0) == pytest.approx(21.3)
    assert Direction(Shape()).due(1_000_000, now=5.0) == 5.0


async def test_carries_both_ways_and_counts() -> None:
    async with line_to_echo(up=Shape(delay_s=0.01)) as line, client_of(line) as client:
        for _ in range(3):
            await client.write(b"x" * 40_000)
            assert await exactly(client, 40_000) == b"x" * 40_000
        assert line.round_trips >= 3
        await client.send_eof()
        assert await client.read() == b""
        assert (line.up.octets, line.down.octets, line.connections) == (120_000, 120_000, 1)


async def test_counts_how_often_the_client_spoke_after_listening() -> None:
    async with line_to_echo() as line, client_of(line) as client:
        for _ in range(5):
            await client.write(b"x")
            await exactly(client, 1)
        assert line.round_trips == 5


async def test_the_connections_share_the_rate() -> None:
    async with line_to_echo(up=Shape(bits_per_s=1_600_000)) as line:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with client_of(line) as one, client_of(line) as other:
            for client in one, other:
                await client.write(b"x" * 20_000)
            for client in one, other:
                await exactly(client, 20_000)
        assert loop.time() - start >= 0.2  # 40,000 octets at 200,000 a second, never sooner.


@pytest.mark.parametrize("how", Cut)
@pytest.mark.parametrize("octets", [0, 1, 2, 30_000])
@pytest.mark.parametrize("way", [lambda line: line.up, lambda line: line.down], ids=["up", "down"])
async def test_exactly_so_many_octets_pass_before_a_planned_cut(
    way: Callable[[BadLine], Direction], octets: int, how: Cut
) -> None:
    async with line_to_echo() as line:
        async with client_of(line) as client:
            way(line).cut_after(octets, how)
            await client.write(b"x" * 50_000)
            received = await everything(client)
            assert way(line).octets == octets
            if way(line) is line.down:
                assert len(received) == octets
        async with client_of(line) as client:  # The line is whole again for who comes next.
            await client.write(b"again")
            assert await exactly(client, 5) == b"again"


async def test_a_reset_is_seen_and_silence_is_not() -> None:
    async with line_to_echo() as line:
        async with client_of(line) as client:
            await client.write(b"x")
            await exactly(client, 1)
            line.cut(Cut.RESET)
            with pytest.raises(ConnectionResetError):
                await client.read()
        async with client_of(line) as client:
            await client.write(b"x")
            await exactly(client, 1)
            line.cut(Cut.SILENCE)
            await client.write(b"x")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.read(), QUIET_S)


@pytest.mark.parametrize("how", Cut)
async def test_a_line_that_is_down_carries_nothing_until_it_is_up(how: Cut) -> None:
    async with line_to_echo() as line:
        line.go_down(how)
        async with client_of(line) as client:
            assert await everything(client) == b""
        line.come_up()
        async with client_of(line) as client:
            await client.write(b"x")
            assert await exactly(client, 1) == b"x"


async def test_a_held_line_goes_on_where_it_was() -> None:
    async with line_to_echo() as line, client_of(line) as client:
        line.hold()
        await client.write(b"x" * 1000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.read(), QUIET_S)
        line.come_up()
        assert await exactly(client, 1000) == b"x" * 1000


async def test_an_end_that_is_not_there_resets_the_connection() -> None:
    async with listen("127.0.0.1", 0, echo) as server:
        port = server.port
    async with bad_line("127.0.0.1", port) as line, client_of(line) as client:
        with pytest.raises(ConnectionResetError):
            await client.read()
