"""SASL (RFC 4422) without I/O, the client's side: how we prove to a mail server who we are.

All values are the raw octets of the exchange; the protocols around it (IMAP, SMTP, POP3) add base64.

Theory of operation: take `initial()` (None: the server speaks first), answer each challenge with
`step()`, and when the protocol reports success call `finish()`, which refuses a server that did not
prove that it knows the password (SCRAM).
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

from mailferry.wire.sasl_errors import MESSAGE_LENGTH_MAX, SaslFault, SaslRejected
from mailferry.wire.saslprep import saslprep_or_as_it_is
from mailferry.wire.scram import (
    ITERATIONS_MAX,
    ITERATIONS_MIN,
    SCRAM_SHA_256,
    Keys,
    attributes_of,
    escaped,
    from_base64,
    hmac_sha256,
    to_base64,
    xor,
)


@dataclass(frozen=True, slots=True)
class Password:
    """A user and a password."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A user and an OAuth 2.0 access token (RFC 6750)."""

    user: str
    token: str = field(repr=False)


Credential: TypeAlias = Password | AccessToken


class ClientMechanism(Protocol):
    """The client's part of one exchange; used once."""

    name: ClassVar[str]

    def initial(self) -> bytes | None:
        """Return the initial response, or None where the server speaks first."""
        ...

    def step(self, challenge: bytes) -> bytes:
        """Return the answer to a challenge.

        Raises:
            SaslFault: the challenge is not one of this mechanism.
            SaslRejected: the server does not know the password.
        """
        ...

    def finish(self) -> None:
        """Accept the end of the exchange.

        Raises:
            SaslRejected: the server reported success without having proved itself.
        """
        ...


class Plain:
    """PLAIN (RFC 4616)."""

    name: ClassVar[str] = "PLAIN"

    def __init__(self, credential: Password) -> None:
        self._message = f"\0{credential.user}\0{credential.password}".encode()

    def initial(self) -> bytes | None:
        """Return the only message."""
        return self._message

    def step(self, challenge: bytes) -> bytes:
        """Refuse: PLAIN has no challenges."""
        raise SaslFault("a challenge after PLAIN was complete")

    def finish(self) -> None:
        """Accept: the server proves nothing."""


class Login:
    """LOGIN, which has no RFC (draft-murchison-sasl-login): user and password, one at a time.

    The words of the two challenges differ between servers, so only their order counts.
    """

    name: ClassVar[str] = "LOGIN"

    def __init__(self, credential: Password) -> None:
        self._answers = [credential.password.encode(), credential.user.encode()]

    def initial(self) -> bytes | None:
        """Return None: the server asks."""
        return None

    def step(self, challenge: bytes) -> bytes:
        """Return the user, then the password."""
        if not self._answers:
            raise SaslFault("a third challenge in LOGIN")
        return self._answers.pop()

    def finish(self) -> None:
        """Accept: the server proves nothing."""


class XOAuth2:
    """XOAUTH2, Google's and Microsoft's forerunner of OAUTHBEARER."""

    name: ClassVar[str] = "XOAUTH2"

    def __init__(self, credential: AccessToken) -> None:
        self._message = f"user={credential.user}\1auth=Bearer {credential.token}\1\1".encode()
        self.server_error = ""

    def initial(self) -> bytes | None:
        """Return the only message."""
        return self._message

    def step(self, challenge: bytes) -> bytes:
        """Take the server's reason; an empty answer asks it for the final failure."""
        self.server_error = _oauth_error(challenge)
        return b""

    def finish(self) -> None:
        """Accept: the server proves nothing."""


class OAuthBearer:
    """OAUTHBEARER (RFC 7628)."""

    name: ClassVar[str] = "OAUTHBEARER"

    def __init__(self, credential: AccessToken, *, host: str = "", port: int = 0) -> None:
        """`host` and `port`, where given, name the service to the server (RFC 7628 §3.1)."""
        parts = [f"n,a={escaped(credential.user)},"]
        parts += [f"host={host}"] if host else []
        parts += [f"port={port}"] if port else []
        parts += [f"auth=Bearer {credential.token}", "", ""]
        self._message = "\1".join(parts).encode()
        self.server_error = ""

    def initial(self) -> bytes | None:
        """Return the only message."""
        return self._message

    def step(self, challenge: bytes) -> bytes:
        """Take the server's reason; the answer asks it for the final failure (RFC 7628 §3.2.3)."""
        self.server_error = _oauth_error(challenge)
        return b"\1"

    def finish(self) -> None:
        """Accept: the server proves nothing."""


def _oauth_error(challenge: bytes) -> str:
    """Return the `status` of a server's error object, "" where there is none (RFC 7628 §3.2.2)."""
    try:
        value = json.loads(challenge[:MESSAGE_LENGTH_MAX])
    except ValueError:
        return ""
    status = value.get("status") if isinstance(value, dict) else None
    return str(status)[:200] if status is not None else ""


class ScramSha256:
    """The client's part of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    name: ClassVar[str] = SCRAM_SHA_256

    def __init__(self, credential: Password, *, nonce: str | None = None) -> None:
        """`nonce` is random unless a test gives one."""
        self._password = saslprep_or_as_it_is(credential.password)
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._first_bare = f"n={escaped(saslprep_or_as_it_is(credential.user))},r={self._nonce}"
        self._server_signature: bytes | None = None
        self._proved = False

    def initial(self) -> bytes | None:
        """Return client-first-message (RFC 5802 §7)."""
        return f"n,,{self._first_bare}".encode()

    def step(self, challenge: bytes) -> bytes:
        """Answer server-first-message with the proof, server-final-message with nothing."""
        if self._server_signature is None:
            return self._prove(challenge)
        self._check_server(challenge)
        return b""

    def finish(self) -> None:
        """Accept a server that has sent the right signature."""
        if not self._proved:
            raise SaslRejected("the server did not prove that it knows the password")

    def _prove(self, server_first: bytes) -> bytes:
        attributes = attributes_of(server_first)
        nonce, iterations = attributes.get("r", ""), attributes.get("i", "")
        if "m" in attributes or not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslFault("the server's first SCRAM message does not fit ours")
        if not iterations.isdecimal() or not ITERATIONS_MIN <= int(iterations) <= ITERATIONS_MAX:
            raise SaslFault("the server's SCRAM iteration count is out of bounds")
        salt = from_base64(attributes.get("s", ""))
        keys = Keys.derive(self._password, salt, int(iterations))
        final_bare = f"c=biws,r={nonce}"
        auth_message = b",".join([self._first_bare.encode(), server_first, final_bare.encode()])
        proof = xor(keys.client_key, hmac_sha256(keys.stored_key, auth_message))
        self._server_signature = hmac_sha256(keys.server_key, auth_message)
        return f"{final_bare},p={to_base64(proof)}".encode()

    def _check_server(self, server_final: bytes) -> None:
        attributes = attributes_of(server_final)
        if "e" in attributes:
            raise SaslRejected(f"the server refused: {attributes['e'][:100]}")
        signature = from_base64(attributes.get("v", ""))
        if not hmac.compare_digest(signature, self._server_signature or b""):
            raise SaslRejected("the server did not prove that it knows the password")
        self._proved = True


def client_mechanisms(
    credential: Credential, offered: Collection[str], *, host: str = "", port: int = 0
) -> Sequence[ClientMechanism]:
    """Return what can be tried with `credential` at a server that offers `offered`, best first.

    `offered` holds names in upper case.  Where SCRAM is offered it comes first, since it keeps the
    password to ourselves; some servers offer it and have no such secret for a user, so PLAIN follows.
    LOGIN says the same as PLAIN, and nothing is tried twice: servers lock out who guesses.
    """
    candidates: list[ClientMechanism]
    match credential:
        case Password():
            plain = Plain(credential) if "PLAIN" in offered else Login(credential)
            candidates = [ScramSha256(credential), plain]
        case AccessToken():
            candidates = [OAuthBearer(credential, host=host, port=port), XOAuth2(credential)]
    return [mechanism for mechanism in candidates if mechanism.name in offered]
