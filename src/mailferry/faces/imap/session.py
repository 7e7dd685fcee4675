"""One connection of a mail program: the loop that reads commands and answers them.

Theory of operation
===================

    greeting ─▶ NOT AUTHENTICATED ──LOGIN, AUTHENTICATE──▶ AUTHENTICATED ──SELECT──▶ SELECTED
                      │  ▲                                     ▲                        │
                  STARTTLS (a new flow over the same stream)   └──CLOSE, UNSELECT, DELETE

The states are not a variable of their own: `state.login` and `state.view` are there or not, and a
command that misses one is answered BAD (RFC 9051 §3).

Commands are answered one after the other, in one task.  While one is being answered nothing is read,
so a client that pipelines waits in its own buffers.  For each:

    carry out ─▶ tell what else happened ─▶ tagged line ─▶ flush ─▶ settle

An operation is staged while the command is carried out, and settled when the flush that has its
tagged line in it is over: DELIVERED, or LOST when the connection broke first (docs/rule.md).  Whatever
ends the session, nothing stays unsettled.

Reading ends with an exception: the client's end, a broken line, silence past its limit, or the server
that shuts down (`Ending`).  Where anybody can still hear it, BYE is said before closing.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import aclosing
from typing import NoReturn

from mailferry import observe
from mailferry.faces.imap import dispatch, idle, login
from mailferry.faces.imap.append import Appending, IncomingMessage
from mailferry.faces.imap.connection import MAILBOX_GONE, Connection, Ending, Invalid
from mailferry.faces.imap.errors import refusal
from mailferry.faces.imap.replies import Answer, Bad, LineUnusable, No
from mailferry.faces.imap.shared import Shared
from mailferry.faces.imap.state import SessionState
from mailferry.mail.errors import MailboxNotFound, MailError
from mailferry.mail.operation import Delivery
from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.commands.append import Append
from mailferry.wire.imap.commands.parse import Command
from mailferry.wire.imap.commands.session import (
    Authenticate,
    Capability,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    StartTls,
)
from mailferry.wire.imap.server import (
    AuthenticateCancelled,
    AuthenticateResponse,
    CommandInvalid,
    CommandReceived,
    MessageRefused,
    MessageStarted,
    ServerEvent,
)
from mailferry.wire.sasl_errors import SaslRejected

logger = observe.logger(__name__)


class Session:
    """One client, from greeting to goodbye."""

    def __init__(self, connection: Connection, shared: Shared, *, is_encrypted: bool) -> None:
        self._connection = connection
        self._shared = shared
        self._limits = shared.limits
        self._is_encrypted = is_encrypted
        self._out = connection.out
        self._state = SessionState(connection.out, shared.entropy, shared.limits)
        self._appending = Appending(self._state)
        self._append_failure: No | Bad | MailError | None = None
        self._failures = 0
        self._invalid = 0
        self._over = False

    async def run(self) -> None:
        """Serve the client to the end.  Never raises but CancelledError and faults of ours."""
        try:
            await self._converse()
        except Ending as exc:
            await self._say_bye(exc.bye)
        except RemoteProtocolError:
            await self._say_bye(b"That is not IMAP")
        except LineUnusable as exc:
            logger.info("answer broken off peer=%s: %s", self._connection.stream.peer, exc)
            self._connection.stream.abort()
        except OSError as exc:
            logger.info("connection lost peer=%s: %s", self._connection.stream.peer, exc)
            self._connection.stream.abort()
        finally:
            await self._leave()

    async def _converse(self) -> None:
        self._out.untagged(b"OK [CAPABILITY %b] mailferry is ready" % self._capabilities())
        await self._out.flush()
        while not self._over:
            await self._handle(await self._next())

    async def _next(self) -> ServerEvent:
        limits = self._limits
        known = self._state.login is not None
        return await self._connection.event(limits.silence_s if known else limits.login_silence_s)

    async def _say_bye(self, text: bytes) -> None:
        if text:
            self._out.untagged(b"BYE " + text)
            with contextlib.suppress(OSError):
                await self._out.flush()

    async def _leave(self) -> None:
        """Leave nothing behind, however the session ended."""
        try:
            await self._settle(Delivery.LOST)
        finally:
            self._shared.leave(self._state.login)

    # Answering

    async def _handle(self, event: ServerEvent) -> None:
        match event:
            case CommandReceived(tag, command):
                self._invalid = 0
                await self._command(tag, command)
            case CommandInvalid(_, response):
                await self._invalid_line(response)
            case MessageStarted():
                await self._message(event)
            case MessageRefused(tag):
                await self._answer(tag, self._append_failure or Bad(b"Refused"))
                self._append_failure = None
            case _:
                raise RemoteProtocolError("something that no command asked for")

    async def _invalid_line(self, response: bytes) -> None:
        self._appending.forget()
        self._invalid += 1
        self._out.put(response)
        await self._out.flush()
        if self._invalid >= self._limits.invalid_commands_max:
            raise Ending(b"Too many lines that are no commands")

    async def _command(self, tag: str, command: Command) -> None:
        observe.TRACE.debug("%s C: %s %r", self._connection.stream.peer, tag, command)
        try:
            result: Answer | No | Bad | MailError = await self._carry_out(tag, command)
        except Invalid as exc:
            await self._invalid_line(exc.response)
            return
        except (No, Bad, MailError) as exc:
            result = exc
        mailbox_gone = await self._tell_updates(command)
        await self._answer(tag, result)
        if mailbox_gone:
            raise Ending(MAILBOX_GONE)
        if isinstance(command, StartTls) and isinstance(result, Answer):
            await self._start_tls()

    async def _answer(self, tag: str, result: Answer | No | Bad | MailError) -> None:
        """Say the tagged line, deliver the answer, and settle what it was about."""
        line = _line(result)
        observe.TRACE.debug("%s S: %s %r", self._connection.stream.peer, tag, line)
        self._out.put(b"%b %b\r\n" % (tag.encode(), line))
        await self._out.flush()
        await self._settle(Delivery.DELIVERED)

    async def _settle(self, delivery: Delivery) -> None:
        unsettled, self._state.unsettled = self._state.unsettled, []
        if not unsettled:
            return
        try:
            await self._state.source.settle(unsettled, delivery)
        except MailError as exc:  # The answer is out: whoever asked cannot be told any more.
            logger.warning("operations not settled count=%d: %s", len(unsettled), exc)

    async def _tell_updates(self, command: Command) -> bool:
        """Tell what else happened; return whether the selected mailbox has gone."""
        expunges = dispatch.updates_with(command)
        if expunges is None or self._over:
            return False
        try:
            await self._state.sync(expunges)
        except MailboxNotFound:
            return True
        except MailError as exc:
            logger.warning("updates not told: %s", type(exc).__name__)
        return False

    async def _carry_out(self, tag: str, command: Command) -> Answer:
        match command:
            case Append():
                return await self._append(command)
            case Capability():
                self._out.untagged(b"CAPABILITY " + self._capabilities())
                return Answer(b"CAPABILITY completed")
            case Id():
                self._out.untagged(b'ID ("name" "mailferry")')
                return Answer(b"ID completed")
            case Enable():
                return self._enable()
            case Idle():
                return await idle.idle(self._state, self._connection)
            case Login() | Authenticate():
                return await self._log_in(command)
            case StartTls():
                return self._may_start_tls()
            case Logout():
                return self._log_out()
            case _:
                return await dispatch.answer(self._state, tag, command)

    # The session itself

    def _capabilities(self) -> bytes:
        return login.capabilities(
            logged_in=self._state.login is not None,
            may_login=self._may_log_in,
            may_start_tls=self._shared.tls is not None and not self._is_encrypted,
        )

    @property
    def _may_log_in(self) -> bool:
        """A password must not go where others can listen."""
        return self._is_encrypted or self._connection.stream.is_loopback

    def _enable(self) -> Answer:
        if self._state.user is not None:
            self._out.untagged(b"ENABLED")  # Nothing that we offer has to be enabled.
        return Answer(b"ENABLE completed")

    def _log_out(self) -> Answer:
        self._over = True
        self._out.untagged(b"BYE Goodbye")
        return Answer(b"LOGOUT completed")

    def _may_start_tls(self) -> Answer:
        if self._shared.tls is None or self._is_encrypted or self._state.login is not None:
            raise Bad(b"STARTTLS is not offered here")
        return Answer(b"Begin TLS now")

    async def _start_tls(self) -> None:
        if self._shared.tls is not None:
            await self._connection.start_tls(self._shared.tls)
            self._is_encrypted = True

    async def _log_in(self, command: Login | Authenticate) -> Answer:
        if self._state.login is not None:
            raise Bad(b"Already logged in")
        if not self._may_log_in:
            raise No(b"Not without TLS: a password would be seen", code=b"PRIVACYREQUIRED")
        logins, decoy_key = self._shared.logins, self._shared.decoy_key
        try:
            if isinstance(command, Login):
                name = await login.log_in(logins, decoy_key, command)
            else:
                name = await login.authenticate(logins, decoy_key, command, self._ask)
        except SaslRejected:
            await self._login_failed()
        self._state.login = await self._shared.enter(name)
        logger.info("logged in login=%s peer=%s", name, self._connection.stream.peer)
        return Answer(b"[CAPABILITY %b] Logged in" % self._capabilities())

    async def _login_failed(self) -> NoReturn:
        self._failures += 1
        logger.info("login refused peer=%s count=%d", self._connection.stream.peer, self._failures)
        await asyncio.sleep(self._limits.failure_delay_s * self._failures)
        if self._failures >= self._limits.failures_max:
            raise Ending(b"Too many refused logins")
        raise No(b"Wrong login or password", code=b"AUTHENTICATIONFAILED")

    async def _ask(self, challenge: bytes) -> bytes:
        self._out.put(self._connection.flow.challenge(challenge))
        await self._out.flush()
        match await self._next():
            case AuthenticateResponse(data):
                return data
            case CommandInvalid(_, response):
                raise Invalid(response)
            case AuthenticateCancelled():
                raise Bad(b"AUTHENTICATE cancelled")
            case _:
                raise RemoteProtocolError("no response to a challenge")

    # APPEND

    async def _message(self, event: MessageStarted) -> None:
        """Take in a message of an APPEND, or refuse it before it comes."""
        if event.index == 0:
            self._appending.forget()
            self._append_failure = None
        flow = self._connection.flow
        try:
            await self._appending.check(event.mailbox, event.message)
        except (No, Bad, MailError) as exc:
            self._append_failure = exc
            flow.refuse_message()
            return
        self._out.put(flow.accept_message())
        await self._out.flush()
        message = IncomingMessage(self._next)
        try:
            async with aclosing(message.octets()) as octets:
                await self._appending.take(octets)
        except Invalid as exc:
            await self._invalid_line(exc.response)
        except MailError as exc:
            self._append_failure = exc
            if not message.has_ended:
                flow.refuse_message()

    async def _append(self, command: Append) -> Answer:
        failure, self._append_failure = self._append_failure, None
        if failure is not None:
            raise failure
        return await self._appending.finish(command)


def _line(result: Answer | No | Bad | MailError) -> bytes:
    """Return the tagged line without its tag."""
    match result:
        case Answer(text):
            return b"OK " + text
        case No(text=text):
            return b"NO " + text
        case Bad(text=text):
            return b"BAD " + text
        case MailError():
            logger.info("refused %s: %s", type(result).__name__, result)
            return b"NO [%b] %b" % refusal(result)
