"""Keeps one session with the server: connects when somebody needs it, backs off when it fails.

Theory of operation
===================

`session()` gives the session that is, or connects; all who ask meanwhile wait for the same attempt.
After a failure nobody connects again before a time that doubles with each failure, with jitter, so
that a server that comes back is not met by everybody at once; who asks earlier is told at once.

A session's tasks belong to the task group that was given; `aclose()` ends them, with LOGOUT.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from mailferry.mail.errors import (
    MailError,
    NotSupported,
    SourceUnavailable,
)
from mailferry.net.stream import ByteStream
from mailferry.net.tcp import connect
from mailferry.net.tls import client_tls
from mailferry.net.tls_context import ClientContext
from mailferry.net.tls_errors import TlsError
from mailferry.observe import logger
from mailferry.sources.imap.exchange import Interrupted
from mailferry.sources.imap.login import log_in
from mailferry.sources.imap.names import Names
from mailferry.sources.imap.quirks import QuirkReport
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import CredentialProvider, ImapSettings, Security
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import Untagged

_log = logger(__name__)
JITTER = 0.3  # Of a wait, more or less.
SHORT_LIFE_S = 5.0
"""A session that is lost sooner counts as a failed attempt: else a server that closes on us would be
called without a pause.  One that lived longer is opened again at once."""


class Connection:
    """The way to one server, with one user's credentials."""

    def __init__(
        self,
        settings: ImapSettings,
        credential: CredentialProvider,
        tls: ClientContext,
        tasks: asyncio.TaskGroup,
        report: QuirkReport,
        *,
        on_unsolicited: Callable[[Session, Untagged], None],
        on_reachable: Callable[[bool, str], None],
    ) -> None:
        """`on_reachable` is told when the server comes within reach or goes out of it, and why."""
        self.names = Names()
        self.lost_at: float | None = None
        """When a session was lost last, by the loop's clock."""
        self._settings = settings
        self._credential = credential
        self._tls = tls
        self._tasks = tasks
        self._report = report
        self._on_unsolicited = on_unsolicited
        self._on_reachable = on_reachable
        self._session: Session | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._failure: MailError = SourceUnavailable("not connected yet")
        self._reachable: bool | None = None
        self._past_round_trips = 0
        self._closed = False

    @property
    def round_trips(self) -> int:
        """Times that we had to wait for the server with everything sent, over all sessions."""
        return self._past_round_trips + (self._session.flow.round_trips if self._session else 0)

    @property
    def current(self) -> Session | None:
        """The session that is, if any."""
        return self._session if self._session is not None and not self._session.ended else None

    @property
    def retry_in_s(self) -> float:
        """How long it is until the next attempt to connect is allowed."""
        return max(0.0, self._not_before - asyncio.get_running_loop().time())

    async def session(self) -> Session:
        """Return a session that is logged in.

        Raises:
            SourceUnavailable: the server cannot be reached now, or the last failure was just now.
            AuthenticationFailed, NotSupported, ProtocolFault: it can be reached, and it is no use.
        """
        if (current := self.current) is not None:
            return current
        async with self._connecting:
            if (current := self.current) is not None:
                return current
            if self._closed:
                raise SourceUnavailable("the account is closed")
            if self.retry_in_s > 0:
                again = f"; the next attempt is in {self.retry_in_s:.0f} s"
                raise type(self._failure)(f"{self._failure}{again}")
            return await self._open()

    async def aclose(self) -> None:
        """Log out and close, within a time limit; no session comes after."""
        self._closed = True
        session = self.current
        if session is None:
            return
        try:
            async with asyncio.timeout(self._settings.logout_s):
                session.submit(commands.LOGOUT)
                await session.over.wait()
        except TimeoutError:
            _log.info("logout not answered host=%s", self._settings.host)
        finally:
            session.abort("closed")

    async def _open(self) -> Session:
        try:
            session = await self._connect()
        except MailError as error:
            self._note_failure(error)
            raise
        except (OSError, TimeoutError) as error:
            failure = _explained(error, self._settings)
            self._note_failure(failure)
            raise failure from error
        if self._closed:
            session.abort("closed")
            raise SourceUnavailable("the account is closed")
        self._session = session
        _log.info("session opened host=%s", self._settings.host)
        self._tell_reachable(True, "")
        return session

    async def _connect(self) -> Session:
        settings = self._settings
        credential = await self._credential()
        stream = await connect(settings.host, settings.port, timeout_s=settings.connect_timeout_s)
        if settings.security is Security.TLS:
            stream_in_use: ByteStream = await client_tls(stream, self._tls, settings.host)
        else:
            stream_in_use = stream
        session = Session(
            stream_in_use,
            encrypted=settings.security is Security.TLS,
            silence_s=settings.silence_s,
            on_unsolicited=lambda response: self._on_unsolicited(session, response),
        )
        session.tls = (self._tls, settings.host)
        self._tasks.create_task(self._live(session))
        try:
            self.names = await log_in(session, settings, credential)
        except BaseException:
            session.abort("the login failed")
            raise
        return session

    async def _live(self, session: Session) -> None:
        """Run a session to its end and note it."""
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        await session.run()
        for quirk in session.flow.quirks.met:
            self._report.note(quirk)
        self._past_round_trips += session.flow.round_trips
        if self._session is session:
            self._session = None
            _log.info("session ended host=%s reason=%s", self._settings.host, session.ended)
            if not self._closed:
                self.lost_at = loop.time()
                if self.lost_at - begun_at < SHORT_LIFE_S:
                    self._note_failure(SourceUnavailable(session.ended))
                else:
                    self._failures = 0
                self._tell_reachable(False, session.ended)

    def _note_failure(self, failure: MailError) -> None:
        settings = self._settings
        self._failures += 1
        wait_s = min(settings.backoff_max_s, settings.backoff_first_s * 2 ** (self._failures - 1))
        if not failure.temporary:
            wait_s = settings.backoff_max_s
        wait_s *= random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  not for secrecy
        self._not_before = asyncio.get_running_loop().time() + wait_s
        interrupted = isinstance(failure, Interrupted)
        self._failure = SourceUnavailable(str(failure)) if interrupted else failure
        _log.info("cannot connect host=%s again_s=%.0f: %s", settings.host, wait_s, failure)
        self._tell_reachable(False, str(failure))

    def _tell_reachable(self, reachable: bool, reason: str) -> None:
        if reachable != self._reachable:
            self._reachable = reachable
            self._on_reachable(reachable, reason)


def _explained(error: OSError, settings: ImapSettings) -> MailError:
    where = f"{settings.host}:{settings.port}"
    if isinstance(error, TlsError):
        kind = SourceUnavailable if error.temporary else NotSupported
        return kind(str(error))
    if isinstance(error, TimeoutError):
        return SourceUnavailable(f"{where} does not answer")
    return SourceUnavailable(f"cannot connect to {where}: {error.strerror or error}")
