from __future__ import annotations

import asyncio

import pytest

from mailferry.net.deadline import silence_limit


async def test_progress_renews_the_limit() -> None:
    moved = 0
    async with silence_limit(lambda: moved, 0.05):
        for _ in range(20):
            await asyncio.sleep(0.01)
            moved += 1


async def test_silence_ends_the_wait() -> None:
    with pytest.raises(TimeoutError):
        async with silence_limit(lambda: 7, 0.02):
            await asyncio.Event().wait()


async def test_silence_after_progress_ends_the_wait() -> None:
    looks = 0

    def moved() -> int:
        nonlocal looks
        looks += 1
        return min(looks, 10)

    with pytest.raises(TimeoutError):
        async with silence_limit(moved, 0.02):
            await asyncio.Event().wait()
    assert looks > 10


async def test_a_cancellation_passes() -> None:
    async def limited() -> None:
        async with silence_limit(lambda: 0, 5):
            await asyncio.Event().wait()

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
