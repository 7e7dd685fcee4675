"""TLS over any ByteStream, by driving ssl.MemoryBIO.

Theory of operation.  The SSL object knows no line: it takes records from one memory BIO and leaves
records in another.  `_exchange` turns every call of it into the same three steps: call; give what
it left to the stream below; when it wants more, read more from the stream below and call again.
So nothing is hidden: what is unsent is what the stream below says, records and all, and an idle
connection costs 18 kB instead of the 280 kB of asyncio's own TLS transport.

STARTTLS upgrades in place: the stream that was plain until now is handed to `client_tls` or
`server_tls` and must not be used by itself afterwards.  Octets that were read before the handshake
came in the clear, from anybody; to go on with them would take an attacker's words for the peer's
(CVE-2011-0411, CVE-2021-38371 and many more), hence `already_read`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ssl
from collections.abc import Callable
from typing import TypeVar

from mailferry.net.deadline import silence_limit
from mailferry.net.stream import CLOSE_SILENCE_S, READ_LENGTH_MAX, ByteStream, Octets
from mailferry.net.tls_context import ClientContext, fingerprint
from mailferry.net.tls_errors import TlsError, TlsFault, explain

RECORD_READ_LENGTH = 16 * 1024 + 512
"""Octets taken from below at a time: one record of the largest size with its overhead (RFC 8446 §5.2)."""
HANDSHAKE_LENGTH_MAX = 256 * 1024
"""Octets a peer may send before it is agreed; long certificate chains have 20 kB."""
HANDSHAKE_S = 90.0
"""6 kB of certificates at 2.4 kbit/s take 20 s, two round trips over a radio 8 s; the rest is patience."""

_T = TypeVar("_T")


async def client_tls(
    stream: ByteStream,
    context: ClientContext,
    server_hostname: str,
    *,
    already_read: bytes = b"",
    timeout_s: float = HANDSHAKE_S,
) -> ByteStream:
    """Shake hands as the client and return the encrypted stream.

    `already_read` is what the caller has read from `stream` and not used: nothing, or somebody
    meddles.  When this raises, `stream` has been closed.

    Raises:
        TlsError: the server is not who it should be, or does not speak TLS; says what to do.
        ConnectionError: the line broke.
        TimeoutError: the handshake took longer than `timeout_s`.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.ssl.wrap_bio(
        incoming,
        outgoing,
        server_hostname=server_hostname,
        session=context.sessions.get(server_hostname),
    )
    upgraded = TlsStream(stream, tls, incoming, outgoing, name=server_hostname)
    try:
        # A server speaks second: whatever is here before our first record was put here in the clear.
        _refuse_clear_text(len(already_read) + stream.unread)
        await upgraded.handshake(timeout_s)
        _check_pin(tls, context, server_hostname)
        upgraded.keep_session_in(context.sessions)
    except TlsError:
        await stream.aclose()  # Not aborted: the alert that says why should arrive.
        raise
    except BaseException:
        stream.abort()
        raise
    return upgraded


async def server_tls(
    stream: ByteStream,
    context: ssl.SSLContext,
    *,
    already_read: bytes = b"",
    timeout_s: float = HANDSHAKE_S,
) -> ByteStream:
    """Shake hands as the server and return the encrypted stream; raises as `client_tls` does."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    upgraded = TlsStream(stream, tls, incoming, outgoing, name=stream.peer)
    try:
        # What the stream itself holds goes into the handshake, so clear text there fails by itself.
        _refuse_clear_text(len(already_read))
        await upgraded.handshake(timeout_s)
    except TlsError:
        await stream.aclose()  # Not aborted: the alert that says why should arrive.
        raise
    except BaseException:
        stream.abort()
        raise
    return upgraded


class TlsStream:
    """A ByteStream in TLS.  Made by client_tls and server_tls."""

    def __init__(
        self,
        below: ByteStream,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        name: str,
    ) -> None:
        self._below = below
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._name = name
        self._eof_sent = False
        self._drained = bytearray()
        """Decrypted before the time, by send_eof; at most what one record read brings."""
        self._sessions: dict[str, ssl.SSLSession] | None = None

    def keep_session_in(self, sessions: dict[str, ssl.SSLSession]) -> None:
        """Leave the session there when the connection ends, so that the next one can resume it."""
        self._sessions = sessions

    async def handshake(self, timeout_s: float) -> None:
        """Agree with the other side; see client_tls for what it raises."""
        start = self._below.moved

        def step() -> None:
            if self._below.moved - start > HANDSHAKE_LENGTH_MAX:
                raise TlsError(TlsFault.OTHER, self._name, "the handshake has no end")
            self._tls.do_handshake()

        async with asyncio.timeout(timeout_s):
            try:
                await self._exchange(step)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError) as exc:
                raise TlsError(TlsFault.INTERRUPTED, self._name) from exc
            await self._flush()

    async def read(self, max_bytes: int = READ_LENGTH_MAX) -> bytes:
        """See ByteStream.

        A line that ends without TLS's own goodbye is an end like any other: many programs leave
        that way, and our protocols say themselves whether something is complete.
        """
        if self._drained:
            data = bytes(self._drained[:max_bytes])
            del self._drained[:max_bytes]
            return data
        try:
            return await self._exchange(lambda: self._tls.read(max_bytes))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: Octets) -> None:
        """See ByteStream."""
        if self._eof_sent:
            raise BrokenPipeError("the end of this stream was already sent")
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except ssl.SSLError as exc:
            raise explain(exc, self._name) from exc
        await self._below.write(self._outgoing.read())

    async def send_eof(self) -> None:
        """See ByteStream."""
        await self._say_goodbye()
        await self._below.send_eof()

    async def aclose(self) -> None:
        """See ByteStream."""
        self._keep_session()
        try:
            async with silence_limit(lambda: self.moved, CLOSE_SILENCE_S):
                await self._say_goodbye()
        except TimeoutError:
            self.abort()
        except ConnectionError:
            pass
        except BaseException:
            self.abort()
            raise
        self._drained.clear()
        await self._below.aclose()

    def abort(self) -> None:
        """See ByteStream."""
        self._keep_session()
        self._drained.clear()
        self._below.abort()

    @property
    def unsent(self) -> int:
        """See ByteStream."""
        return self._outgoing.pending + self._below.unsent

    @property
    def undelivered(self) -> int:
        """See ByteStream."""
        return self._outgoing.pending + self._below.undelivered

    @property
    def unread(self) -> int:
        """See ByteStream: octets of records where they are not decrypted yet."""
        here = len(self._drained) + self._tls.pending() + self._incoming.pending
        return here + self._below.unread

    @property
    def moved(self) -> int:
        """See ByteStream."""
        return self._below.moved

    @property
    def peer(self) -> str:
        """See ByteStream."""
        return self._below.peer

    @property
    def is_loopback(self) -> bool:
        """See ByteStream."""
        return self._below.is_loopback

    def _keep_session(self) -> None:
        # Not before the end: what resumes a session of TLS 1.3 comes some time after the handshake.
        session = self._tls.session
        if self._sessions is not None and session is not None and session.has_ticket:
            self._sessions[self._name] = session

    async def _exchange(self, step: Callable[[], _T]) -> _T:
        """Carry out `step`, with as many octets from below as it wants.

        Nothing is waited for once it has succeeded: what a cancelled read() had would be lost.
        Its own output, if any, waits for the next call of anything.
        """
        while True:
            await self._flush()
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise
            except ssl.SSLError as exc:
                await self._flush()  # The alert: it tells the other side why.
                raise explain(exc, self._name) from exc
            await self._flush()
            data = await self._below.read(RECORD_READ_LENGTH)
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._below.write(self._outgoing.read())

    async def _say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 §6.1); what the other side still says can be read."""
        if not self._eof_sent:
            self._eof_sent = True
            self._drain()
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        await self._flush()

    def _drain(self) -> None:
        """Decrypt what is here: the SSL object takes it amiss when it finds data while leaving."""
        with contextlib.suppress(ssl.SSLError):
            while data := self._tls.read(RECORD_READ_LENGTH):
                self._drained += data


def _refuse_clear_text(octets: int) -> None:
    if octets:
        raise TlsError(TlsFault.CLEAR_TEXT, "the connection")


def _check_pin(tls: ssl.SSLObject, context: ClientContext, name: str) -> None:
    if context.pinned is None:
        return
    seen = fingerprint(tls.getpeercert(binary_form=True) or b"")
    if not hmac.compare_digest(seen, context.pinned):
        raise TlsError(TlsFault.FINGERPRINT, name, f"its SHA-256 fingerprint is {seen}")
