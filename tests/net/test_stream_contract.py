"""What stream.ByteStream promises, over every carrier."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from mailferry.net import memory, tcp, tls
from mailferry.net.delivery import delivered
from mailferry.net.stream import (
    READ_BUFFER_LENGTH_MAX,
    READ_LENGTH_MAX,
    WRITE_BUFFER_LENGTH_MAX,
    ByteStream,
)
from tests.net.ends import Ends

CHUNK = bytes(range(256)) * 256  # 64 KiB
STUCK_S = 0.1  # Long enough for the loopback to take what it takes.
TAKEN_MAX = 64 * 1024 * 1024  # Far above the kernel's buffers (tcp_wmem, tcp_rmem: some MB each).


async def read_all(stream: ByteStream) -> bytes:
    received = bytearray()
    while data := await stream.read():
        received += data
    return bytes(received)


async def write_until_stuck(stream: ByteStream) -> int:
    """Write until the other side, which does not read, has filled every buffer; return octets written."""
    written = 0
    while written < TAKEN_MAX:
        written += len(CHUNK)
        try:
            async with asyncio.timeout(STUCK_S):
                await stream.write(CHUNK)
        except TimeoutError:
            return written
        assert stream.unsent <= WRITE_BUFFER_LENGTH_MAX + 2048  # TLS: the last records' overhead.
    raise AssertionError("nothing ever held the writer back")


@pytest.mark.parametrize("sizes", [[1], [1, 0, 2, 3], [16_384, 16_385], [300_000, 1, 70_000]])
async def test_octets_arrive_in_order(ends: Ends, sizes: Sequence[int]) -> None:
    chunks = [random.Random(size).randbytes(size) for size in sizes]
    for writer, reader in (ends, ends[::-1]):
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_all(reader))
            for chunk in chunks:
                await writer.write(chunk)
            await writer.send_eof()
        assert reading.result() == b"".join(chunks)


async def test_a_read_gives_what_is_there_up_to_its_limit(ends: Ends) -> None:
    one, other = ends
    await one.write(b"abcdef")
    assert await other.read(2) == b"ab"
    assert other.unread > 0
    assert await other.read(3) == b"cde"
    assert await other.read() == b"f"
    async with asyncio.TaskGroup() as group:
        group.create_task(one.write(CHUNK * 4))
        total = 0
        while total < 4 * len(CHUNK):
            data = await other.read()
            assert 0 < len(data) <= READ_LENGTH_MAX
            total += len(data)


async def test_any_kind_of_octets_can_be_written(ends: Ends) -> None:
    one, other = ends
    scratch = bytearray(b"abc")
    await one.write(memoryview(scratch)[1:])
    await one.write(scratch)
    scratch[:] = b"xyz"  # Taken over: what we do with it afterwards does not matter.
    received = b""
    while len(received) < 5:
        received += await other.read()
    assert received == b"bcabc"


async def test_the_end_is_told_again_and_again(ends: Ends) -> None:
    one, other = ends
    await one.send_eof()
    assert [await other.read(), await other.read()] == [b"", b""]


async def test_after_our_end_the_other_side_may_go_on(ends: Ends) -> None:
    one, other = ends
    await other.write(b"before")
    await one.send_eof()
    await other.write(b" after")
    assert await other.read() == b""
    await other.aclose()
    assert await read_all(one) == b"before after"
    with pytest.raises(ConnectionError):
        await one.write(b"x")


async def test_who_does_not_read_holds_the_writer_back(ends: Ends) -> None:
    one, other = ends
    written = await write_until_stuck(one)
    assert other.unread <= 2 * READ_BUFFER_LENGTH_MAX
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_all(other))
        await one.write(b"")
        await one.send_eof()
    assert len(reading.result()) == written  # The cancelled write included.
    assert reading.result() == CHUNK * (written // len(CHUNK))


async def test_a_cancelled_read_loses_nothing(ends: Ends) -> None:
    one, other = ends
    for _ in range(3):
        reading = asyncio.create_task(other.read())
        await asyncio.sleep(0)
        await one.write(b"x")
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await other.read() == b"x"


async def test_several_tasks_may_write(ends: Ends) -> None:
    one, other = ends
    async with asyncio.TaskGroup() as group:
        for letter in b"abc":
            group.create_task(one.write(bytes([letter]) * 200_000))
        received = bytearray()
        while len(received) < 600_000:
            received += await other.read()
    assert bytes(received) == b"a" * 200_000 + b"b" * 200_000 + b"c" * 200_000


async def test_closing_sends_what_is_left(ends: Ends) -> None:
    one, other = ends
    written = await write_until_stuck(one)
    await other.write(b"unread at the one who closes")
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read_all(other))
        await one.aclose()
    assert len(reading.result()) == written
    await one.aclose()
    with pytest.raises(ConnectionAbortedError):
        await one.read()
    with pytest.raises(ConnectionError):
        await one.write(b"x")
    with pytest.raises(ConnectionError):
        await one.send_eof()


async def test_closing_gives_up_on_who_takes_nothing(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory, tcp, tls):
        monkeypatch.setattr(module, "CLOSE_SILENCE_S", 0.05)
    one, other = ends
    await write_until_stuck(one)
    await one.aclose()
    with pytest.raises(ConnectionError):
        await read_all(other)


async def test_cancelled_closing_aborts(ends: Ends) -> None:
    one, other = ends
    await write_until_stuck(one)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(STUCK_S):
            await one.aclose()
    with pytest.raises(ConnectionError):
        await read_all(other)


async def test_aborting_wakes_everybody(ends: Ends) -> None:
    one, other = ends
    await write_until_stuck(one)
    waiting = [asyncio.create_task(one.read()), asyncio.create_task(one.write(CHUNK))]
    await asyncio.sleep(0)
    one.abort()
    one.abort()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionAbortedError] * 2
    with pytest.raises(ConnectionError):
        await read_all(other)
    with pytest.raises(ConnectionError):
        await write_until_stuck(other)
    await one.aclose()
    await other.aclose()


async def test_what_came_before_the_line_broke_is_read_first(ends: Ends) -> None:
    one, other = ends
    await one.write(b"last words")
    assert await delivered(one, silence_s=5)
    while not other.unread:
        await asyncio.sleep(0)
    one.abort()
    assert await other.read() == b"last words"
    with pytest.raises(ConnectionError):
        await other.read()


async def test_counts_what_moved_and_what_did_not(ends: Ends) -> None:
    one, other = ends
    before = one.moved, other.moved
    written = await write_until_stuck(one)
    assert one.undelivered >= one.unsent > 0
    reading = asyncio.create_task(read_all(other))
    assert await delivered(one, silence_s=5)
    assert one.undelivered == one.unsent == 0
    await one.send_eof()
    await reading
    assert await delivered(one, silence_s=5)
    assert one.moved - before[0] >= written
    assert other.moved - before[1] >= written


async def test_delivery_is_denied_on_a_dead_line(ends: Ends) -> None:
    one, other = ends
    await write_until_stuck(one)
    assert not await delivered(one, silence_s=0.1)
    other.abort()
    assert not await delivered(one, silence_s=5)
    one.abort()
    assert not await delivered(one, silence_s=5)


async def test_says_where_the_other_side_is(ends: Ends) -> None:
    for end in ends:
        assert end.is_loopback
        assert end.peer == "memory" or end.peer.startswith("127.0.0.1:")
