"""COMPRESS=DEFLATE over streams in memory."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from mailferry.net.memory import memory_pair
from mailferry.sources.imap.deflate import DeflateStream


async def test_both_ways() -> None:
    here, there = memory_pair()
    ours, theirs = DeflateStream(here), DeflateStream(there)
    await ours.write(b"hello")
    assert await theirs.read() == b"hello"
    await theirs.write(b"x" * 100_000)
    got = b""
    while len(got) < 100_000:
        piece = await ours.read(1000)
        assert len(piece) <= 1000
        got += piece
    assert got == b"x" * 100_000
    await theirs.aclose()
    assert await ours.read() == b""
    await ours.aclose()


async def test_octets_that_came_before_belong_to_it() -> None:
    here, there = memory_pair()
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"hello") + packer.flush(zlib.Z_SYNC_FLUSH)
    stream = DeflateStream(here, packed[:3])
    assert stream.unread == 3
    await there.write(packed[3:])
    got = b""
    while got != b"hello":
        got += await stream.read()


async def test_a_bomb_is_inflated_piece_by_piece() -> None:
    here, there = memory_pair()
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(b"\0" * 10_000_000) + packer.flush()
    stream = DeflateStream(here)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(there.write(bomb))
        total = 0
        while total < 10_000_000:
            piece = await stream.read(4096)
            assert 0 < len(piece) <= 4096
            total += len(piece)
    assert await stream.read() == b""


async def test_damaged_data_breaks_the_connection() -> None:
    here, there = memory_pair()
    await there.write(b"\xff\xff\xff\xff")
    with pytest.raises(ConnectionError, match="damaged"):
        await DeflateStream(here).read()


async def test_it_passes_on_what_is_below() -> None:
    here, there = memory_pair()
    stream = DeflateStream(here)
    assert (stream.peer, stream.is_loopback) == (here.peer, here.is_loopback)
    assert (stream.unsent, stream.undelivered, stream.moved) == (0, 0, 0)
    await stream.send_eof()
    assert await there.read() == b""
    stream.abort()
    with pytest.raises(ConnectionError):
        await there.read()
