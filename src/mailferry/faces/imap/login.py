"""LOGIN, AUTHENTICATE, and what CAPABILITY tells (RFC 9051 §6.1.1, §6.2; RFC 4959)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from mailferry.faces.imap.logins import Logins
from mailferry.faces.imap.replies import Bad, No
from mailferry.wire.imap.commands.session import Authenticate, Login
from mailferry.wire.sasl_errors import SaslFault, SaslRejected
from mailferry.wire.sasl_server import (
    Accepted,
    Challenge,
    ServerMechanism,
    ServerStep,
    WantVerifier,
    server_mechanism,
)

MECHANISMS: Final = ("SCRAM-SHA-256", "PLAIN")
"""Best first."""

_BEFORE_LOGIN: Final = ("IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE")
_AFTER_LOGIN: Final = (
    *_BEFORE_LOGIN,
    "CHILDREN",
    "CREATE-SPECIAL-USE",
    "ESEARCH",
    "IDLE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "MOVE",
    "MULTIAPPEND",
    "NAMESPACE",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "UIDPLUS",
    "UNSELECT",
)

Ask = Callable[[bytes], Awaitable[bytes]]
"""Sends a challenge and returns the client's response."""


def capabilities(*, logged_in: bool, may_login: bool, may_start_tls: bool) -> bytes:
    """Return what follows CAPABILITY, in the state that the session is in."""
    if logged_in:
        return " ".join(_AFTER_LOGIN).encode()
    words = [*_BEFORE_LOGIN]
    if may_start_tls:
        words.append("STARTTLS")
    words += [f"AUTH={name}" for name in MECHANISMS] if may_login else ["LOGINDISABLED"]
    return " ".join(words).encode()


async def log_in(logins: Logins, decoy_key: bytes, command: Login) -> str:
    """Return the login that LOGIN proves.

    Raises:
        SaslRejected: it does not.
    """
    mechanism = _mechanism("PLAIN", decoy_key)
    try:
        step = mechanism.step(b"\0%b\0%b" % (command.user, command.password))
    except SaslFault as exc:
        raise SaslRejected("wrong login or password") from exc
    return await _finish(logins, mechanism, step, _ask_nothing)


async def authenticate(logins: Logins, decoy_key: bytes, command: Authenticate, ask: Ask) -> str:
    """Return the login that an AUTHENTICATE exchange proves.

    Raises:
        No: the mechanism is not offered.
        Bad: the client does not keep to the mechanism.
        SaslRejected: it does not prove anything.
    """
    mechanism = _mechanism(command.mechanism, decoy_key)
    try:
        response = command.initial_response
        if response is None:
            response = await ask(b"")
        return await _finish(logins, mechanism, mechanism.step(response), ask)
    except SaslFault as exc:
        raise Bad(b"That is not how the mechanism goes") from exc


def _mechanism(name: str, decoy_key: bytes) -> ServerMechanism:
    mechanism = server_mechanism(name, decoy_key=decoy_key)
    if mechanism is None:
        raise No(b"That mechanism is not offered", code=b"CANNOT")
    return mechanism


async def _finish(logins: Logins, mechanism: ServerMechanism, step: ServerStep, ask: Ask) -> str:
    while True:
        match step:
            case WantVerifier(login):
                step = mechanism.use(await logins.verifier(login))
            case Challenge(data):
                step = mechanism.step(await ask(data))
            case Accepted(login):
                return login


async def _ask_nothing(_challenge: bytes) -> bytes:
    raise SaslRejected("LOGIN has one step")
