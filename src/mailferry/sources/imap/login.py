"""From a connection to a session that is logged in (RFC 9051 §3, §6.1, §6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailferry.mail.errors import (
    AuthenticationFailed,
    MailError,
    NotSupported,
    ProtocolFault,
    SourceUnavailable,
)
from mailferry.net.tls_errors import TlsError
from mailferry.observe import logger
from mailferry.sources.imap.exchange import Collector, Exchange, Interrupted
from mailferry.sources.imap.names import Names
from mailferry.sources.imap.refusals import error_of, words_of
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import ImapSettings, Security
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.response_parser import names_of
from mailferry.wire.imap.responses import (
    Capabilities,
    Enabled,
    ListEntry,
    Namespaces,
    ResponseCode,
    ServerId,
    Status,
    StatusKind,
    Untagged,
)
from mailferry.wire.imap.serialize import LiteralMode
from mailferry.wire.sasl import AccessToken, Credential, Password, client_mechanisms

_log = logger(__name__)
_IDENTITY: Final = {"name": "mailferry"}
# Implied by what is enabled: QRESYNC includes CONDSTORE (RFC 7162 §3.2.3).
_TO_ENABLE: Final = ("QRESYNC", "CONDSTORE")


class _Told(Collector):
    """What the server says about itself."""

    def __init__(self) -> None:
        self.capabilities: frozenset[str] | None = None
        self.enabled: frozenset[str] = frozenset()
        self.namespaces: Namespaces | None = None
        self.delimiter: bytes | None = None
        self.server: dict[str, str] = {}

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Capabilities():
                self.capabilities = response.names
            case Enabled():
                self.enabled |= response.names
            case Namespaces():
                self.namespaces = response
            case ListEntry():
                self.delimiter = response.delimiter
            case ServerId():
                self.server = dict(response.parameters)
            case _:
                return False
        return True


async def log_in(session: Session, settings: ImapSettings, credential: Credential) -> Names:
    """Take a fresh session to where mailboxes can be asked for; return how they are named.

    Raises:
        AuthenticationFailed: the server refused the user information.
        NotSupported: there is no way to log in that both sides know.
        TlsError: TLS could not be set up.
        SourceUnavailable: the connection ended, or the server is not available now.
        ProtocolFault: the server says what IMAP does not allow.
    """
    greeting = await session.greeting()
    if greeting.kind is StatusKind.BYE:
        raise SourceUnavailable(f"the server does not serve now: {words_of(greeting)}")
    _take_code(session, settings, greeting.code)
    if settings.security is Security.STARTTLS:
        await _start_tls(session, settings, greeting)
    if not session.capabilities:
        await _ask_capabilities(session, settings)
    if greeting.kind is not StatusKind.PREAUTH:
        await _authenticate(session, settings, credential)
    return await _settle_in(session)


async def _start_tls(session: Session, settings: ImapSettings, greeting: Status) -> None:
    # Never negotiated by capability: somebody in between could take it off the list.
    if greeting.kind is StatusKind.PREAUTH:
        raise ProtocolFault("the server is logged in before TLS began: somebody is in between")
    try:
        status = await session.run_command(commands.STARTTLS)
    except Interrupted:
        await session.over.wait()
        if isinstance(session.cause, TlsError):
            raise session.cause from None  # It says what to do about it.
        raise
    if not status.ok:
        raise NotSupported(f"the server refuses STARTTLS: {words_of(status)}")
    session.capabilities = frozenset()  # What was said in the clear does not count.
    await _ask_capabilities(session, settings)


async def _ask_capabilities(session: Session, settings: ImapSettings) -> None:
    told = _Told()
    status = await session.run_command(commands.CAPABILITY, told)
    if told.capabilities is None:
        raise ProtocolFault(f"the server does not tell what it can: {words_of(status)}")
    _take_capabilities(session, settings, told.capabilities)


def _take_code(session: Session, settings: ImapSettings, code: ResponseCode | None) -> None:
    """Take the capabilities out of a response code, which saves asking."""
    if code is not None and code.name == "CAPABILITY":
        _take_capabilities(session, settings, names_of(code.values))


def _take_capabilities(session: Session, settings: ImapSettings, names: frozenset[str]) -> None:
    session.capabilities = names - settings.disabled_capabilities
    session.flow.sasl_ir = session.has("SASL-IR")
    session.flow.literal_mode = LiteralMode.SYNCHRONISING
    if session.has("LITERAL+"):
        session.flow.literal_mode = LiteralMode.PLUS
    elif session.has("LITERAL-"):
        session.flow.literal_mode = LiteralMode.MINUS


async def _authenticate(session: Session, settings: ImapSettings, credential: Credential) -> None:
    """Try what both sides know, the safest first, until one is accepted."""
    secret = credential.password if isinstance(credential, Password) else credential.token
    if "\0" in credential.user + secret:
        raise AuthenticationFailed("a user name or password cannot hold NUL")
    attempts = _attempts(session, settings, credential)
    kind = "password" if isinstance(credential, Password) else "access token"
    if not attempts:
        raise NotSupported(f"the server offers no way to log in with a {kind} that may be used")
    told = _Told()
    session.capabilities = frozenset()
    failure: Exception | None = None
    for command in attempts:
        exchange = session.submit(command, told)
        status = await exchange.status()
        if exchange.handle.error is not None:
            raise AuthenticationFailed(str(exchange.handle.error))
        if status.ok:
            _take_code(session, settings, status.code)
            if told.capabilities is not None:
                _take_capabilities(session, settings, told.capabilities)
            if not session.capabilities:
                await _ask_capabilities(session, settings)
            return
        failure = _explained(error_of(status, AuthenticationFailed), settings, kind)
        if not isinstance(failure, AuthenticationFailed) or not session.confidential:
            raise failure  # Somebody in between must not talk us out of SCRAM.
        _log.info("login refused command=%s code=%s", command.name, status.code_name)
    assert failure is not None  # noqa: S101  there was at least one attempt.
    raise failure


def _explained(failure: MailError, settings: ImapSettings, kind: str) -> MailError:
    """Put words of ours before the server's, which are often no more than "failed"."""
    if not isinstance(failure, AuthenticationFailed):
        return failure
    return AuthenticationFailed(f"{settings.host} refused the user name or {kind}: {failure}")


def _attempts(
    session: Session, settings: ImapSettings, credential: Credential
) -> Sequence[commands.AnyCommand]:
    allowed = settings.mechanisms
    offered = {
        name.removeprefix("AUTH=") for name in session.capabilities if name.startswith("AUTH=")
    }
    offered = {name for name in offered if allowed is None or name in allowed}
    mechanisms = client_mechanisms(credential, offered, host=settings.host, port=settings.port)
    attempts: list[commands.AnyCommand] = list(map(commands.Authenticate, mechanisms))
    if isinstance(credential, AccessToken):
        return attempts
    plain = {"PLAIN", "LOGIN"} & {mechanism.name for mechanism in mechanisms}
    if not plain and not session.has("LOGINDISABLED") and (allowed is None or "LOGIN" in allowed):
        user, password = credential.user.encode(), credential.password.encode()
        attempts.append(commands.login(user, password))
    return attempts


async def _settle_in(session: Session) -> Names:
    """Ask for and switch on what the rest of the session uses, all in one go."""
    told = _Told()
    exchanges: list[Exchange] = []
    if session.has("ID"):
        exchanges.append(session.submit(commands.identify(_IDENTITY), told))
    wanted = [name for name in _TO_ENABLE if session.has(name)][:1]
    if wanted and session.has("ENABLE"):
        exchanges.append(session.submit(commands.enable(wanted), told))
    ask_names = commands.NAMESPACE if session.has("NAMESPACE") else commands.LIST_DELIMITER
    exchanges.append(session.submit(ask_names, told))
    if session.has("COMPRESS=DEFLATE"):
        exchanges.append(session.submit(commands.COMPRESS))
    for exchange in exchanges:
        await exchange.status()
    session.enabled = told.enabled
    if "name" in told.server:
        _log.info(
            "server id name=%s version=%s",
            told.server["name"][:60],
            told.server.get("version", "")[:60],
        )
    return Names.of(told.namespaces, told.delimiter)
