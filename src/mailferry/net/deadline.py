"""Time limits that follow progress, not size.

A body of 52 MB over 2.4 kbit/s takes two days and nothing is wrong with it; a line on which not one
octet moved for a minute is dead.  So a wait is limited by the silence in it: each octet that moves
renews the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LOOKS_PER_LIMIT = 4
"""How often progress is looked at within one limit: the limit strikes at most a quarter late."""


@asynccontextmanager
async def silence_limit(moved: Callable[[], int], silence_s: float) -> AsyncIterator[None]:
    """Limit the time in which `moved()` stays the same.

    `moved` returns a count of what has moved so far, such as `ByteStream.moved`; it is called a few
    times per `silence_s` and has to be cheap.

    Raises:
        TimeoutError: nothing moved for `silence_s` (and at most a quarter of that more).
    """
    loop = asyncio.get_running_loop()
    look_every_s = silence_s / LOOKS_PER_LIMIT
    seen = moved()
    next_look: asyncio.TimerHandle
    async with asyncio.timeout(silence_s) as limit:

        def look() -> None:
            nonlocal seen, next_look
            if limit.expired():
                return
            now = moved()
            if now != seen:
                seen = now
                limit.reschedule(loop.time() + silence_s)
            next_look = loop.call_later(look_every_s, look)

        next_look = loop.call_later(look_every_s, look)
        try:
            yield
        finally:
            next_look.cancel()
