from __future__ import annotations

import socket
import struct

from mailferry.net.listener import listen
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def test_a_connection_that_was_reset_before_it_was_taken_harms_nobody() -> None:
    """Its socket has no peer's address any more (getpeername: ENOTCONN)."""
    taken: list[str] = []

    async def handler(stream: ByteStream) -> None:
        taken.append(stream.peer)
        assert stream.peer.startswith("127.0.0.1:") == stream.is_loopback
        await stream.write(b"here")
        await stream.aclose()

    async with listen("127.0.0.1", 0, handler) as listener:
        # The loop does not run between these lines, so the listener finds the connection already dead.
        gone = socket.create_connection((listener.host, listener.port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        gone.close()
        client = await connect(listener.host, listener.port, timeout_s=5)
        assert await client.read() == b"here"
        await client.aclose()
    assert len(taken) == 2
    assert sum(peer.startswith("127.0.0.1:") for peer in taken) == 1
