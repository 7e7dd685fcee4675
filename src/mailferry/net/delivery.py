"""Was it delivered?  What we wrote counts as delivered when the other side's kernel acknowledged it.

docs/rule.md says what hangs on that, and why it does not hold for a listener behind a relay.
"""

from __future__ import annotations

import asyncio

from mailferry.net.deadline import silence_limit
from mailferry.net.stream import ByteStream

# The kernel does not tell when an acknowledgement comes; it has to be asked (tcp(7), SIOCOUTQ).  Soon at
# first, because on a good line it takes less than a millisecond; then seldom, because others take seconds.
POLL_FIRST_S = 0.001
POLL_MAX_S = 0.1


async def delivered(stream: ByteStream, *, silence_s: float) -> bool:
    """Wait until everything written to `stream` is delivered; tell whether it was.

    False: the connection broke, or for `silence_s` nothing more was acknowledged.  Nobody else
    should write meanwhile, or that has to be delivered too.
    """
    pause_s = POLL_FIRST_S
    try:
        left = stream.undelivered
        async with silence_limit(lambda: left, silence_s):
            while left:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, POLL_MAX_S)
                left = stream.undelivered
    except (ConnectionError, TimeoutError):
        return False
    return True
