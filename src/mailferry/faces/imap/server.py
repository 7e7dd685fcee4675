"""ImapServer: the IMAP face of a node."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mailferry import observe
from mailferry.faces.imap.connection import Connection
from mailferry.faces.imap.limits import Limits
from mailferry.faces.imap.logins import Logins
from mailferry.faces.imap.session import Session
from mailferry.faces.imap.shared import Shared
from mailferry.net.listener import Listener, listen
from mailferry.net.stream import ByteStream
from mailferry.net.tls import server_tls

logger = observe.logger(__name__)

_SHUTTING_DOWN = b"[UNAVAILABLE] mailferry is shutting down; try again later"


class ImapServer:
    """Serves the mail of all logins to any number of mail programs.

    `tls` is what to show to clients that ask for TLS; without it there is none, and logins are taken
    from this machine alone.
    """

    def __init__(
        self,
        logins: Logins,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._tls = tls
        self._shared = Shared(logins, tls=tls, limits=limits or Limits(), entropy=entropy)
        self._connections: set[Connection] = set()
        self._closing = False

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[Listener]:
        """Listen while the block lasts: in the clear, with STARTTLS where there is a certificate."""
        async with listen(host, port, self.serve) as listener:
            try:
                yield listener
            finally:
                self.shut_down()

    @asynccontextmanager
    async def listening_in_tls(self, host: str, port: int) -> AsyncIterator[Listener]:
        """Listen while the block lasts, in TLS from the first octet on (RFC 8314 §3)."""
        async with listen(host, port, self.serve_in_tls) as listener:
            try:
                yield listener
            finally:
                self.shut_down()

    async def serve(self, stream: ByteStream) -> None:
        """Serve one connection to its end."""
        await self._serve(stream, is_encrypted=False)

    async def serve_in_tls(self, stream: ByteStream) -> None:
        """Serve one connection to its end that begins with a TLS handshake."""
        if self._tls is None:
            raise ValueError("there is no certificate")
        try:
            encrypted = await server_tls(stream, self._tls)
        except OSError as exc:
            logger.info("no TLS peer=%s: %s", stream.peer, exc)
            return
        await self._serve(encrypted, is_encrypted=True)

    def shut_down(self) -> None:
        """Say goodbye to everybody: at once where nothing is under way, else after it."""
        self._closing = True
        for connection in self._connections:
            connection.interrupt(_SHUTTING_DOWN)

    async def _serve(self, stream: ByteStream, *, is_encrypted: bool) -> None:
        connection = Connection(stream, self._shared.limits)
        if self._closing:
            connection.interrupt(_SHUTTING_DOWN)
        if not self._shared.arrive():
            await self._turn_away(connection)
            return
        self._connections.add(connection)
        try:
            await Session(connection, self._shared, is_encrypted=is_encrypted).run()
            await connection.stream.aclose()
        finally:
            self._connections.discard(connection)

    async def _turn_away(self, connection: Connection) -> None:
        connection.out.untagged(b"BYE [UNAVAILABLE] Too many connections; try again later")
        try:
            await connection.out.flush()
        except OSError as exc:
            logger.info("connection lost peer=%s: %s", connection.stream.peer, exc)
