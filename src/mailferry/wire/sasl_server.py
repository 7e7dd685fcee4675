"""SASL (RFC 4422) without I/O, the server's side: how a mail program proves who it is.

All values are the raw octets of the exchange; the protocols around it (IMAP, SMTP, POP3) add base64.

Theory of operation: give each response to `step()` and act on what it returns:

    WantVerifier(login)   look the login up and hand the result (or None) to `use()`
    Challenge(data)       send it and wait for the next response
    Accepted(login)       done, the client is who it says

A refused client raises SaslRejected from either method, a client that does not keep to the mechanism
raises SaslFault.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

from mailferry.wire.sasl_errors import MESSAGE_LENGTH_MAX, SaslFault, SaslRejected
from mailferry.wire.scram import (
    SCRAM_SHA_256,
    ScramVerifier,
    attributes_of,
    from_base64,
    hmac_sha256,
    text_of,
    to_base64,
    unescaped,
    xor,
)


@dataclass(frozen=True, slots=True)
class WantVerifier:
    """Look up the verifier of this login and hand it, or None, to `use()`."""

    login: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """Send this and give the client's response to `step()`."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client has proved that it is `login`."""

    login: str


ServerStep: TypeAlias = WantVerifier | Challenge | Accepted


class ServerMechanism(Protocol):
    """The server's part of one exchange; used once."""

    name: ClassVar[str]

    def step(self, response: bytes) -> ServerStep:
        """Take a response of the client.

        Raises:
            SaslFault: it is not one of this mechanism.
            SaslRejected: the client did not prove who it is.
        """
        ...

    def use(self, verifier: ScramVerifier | None) -> ServerStep:
        """Take the verifier that was wanted; None: there is no such login.

        Raises:
            SaslRejected: the client did not prove who it is.
        """
        ...


class ServerPlain:
    """The server's part of PLAIN (RFC 4616)."""

    name: ClassVar[str] = "PLAIN"

    def __init__(self, *, decoy_key: bytes) -> None:
        """`decoy_key`: random, kept by the server; see `ScramVerifier.decoy`."""
        self._decoy_key = decoy_key
        self._login = ""
        self._password = ""

    def step(self, response: bytes) -> ServerStep:
        """Take the only message: authorization identity, login, password."""
        if len(response) > MESSAGE_LENGTH_MAX:
            raise SaslFault("too long")
        fields = text_of(response).split("\0")
        if len(fields) != 3 or not fields[1]:
            raise SaslFault("not a PLAIN message")
        identity, self._login, self._password = fields
        if identity not in ("", self._login):
            raise SaslRejected("no login may act for another")
        return WantVerifier(self._login)

    def use(self, verifier: ScramVerifier | None) -> ServerStep:
        """Check the password; an unknown login takes the same time."""
        known = verifier or ScramVerifier.decoy(self._login, self._decoy_key)
        right = known.verify(self._password)
        self._password = ""
        if not right or verifier is None:
            raise SaslRejected("wrong login or password")
        return Accepted(self._login)


class ServerScramSha256:
    """The server's part of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    name: ClassVar[str] = SCRAM_SHA_256

    def __init__(self, *, decoy_key: bytes, nonce: str | None = None) -> None:
        """`decoy_key` as for PLAIN; `nonce` (our half) is random unless a test gives one."""
        self._decoy_key = decoy_key
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._login = ""
        self._gs2_header = ""
        self._first_bare = ""
        self._server_first = ""
        self._verifier: ScramVerifier | None = None
        self._known = False
        self._proved = False

    def step(self, response: bytes) -> ServerStep:
        """Take client-first-message, client-final-message, and the empty end."""
        if self._proved:
            return Accepted(self._login)
        if self._verifier is None:
            return self._take_first(response)
        return self._take_final(response)

    def use(self, verifier: ScramVerifier | None) -> ServerStep:
        """Answer client-first-message; an unknown login gets a decoy."""
        self._known = verifier is not None
        self._verifier = verifier or ScramVerifier.decoy(self._login, self._decoy_key)
        salt = to_base64(self._verifier.salt)
        self._server_first = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        return Challenge(self._server_first.encode())

    def _take_first(self, response: bytes) -> ServerStep:
        binding, _, rest = text_of(response).partition(",")
        identity, _, self._first_bare = rest.partition(",")
        if binding not in ("n", "y"):
            raise SaslFault("channel binding is not offered")
        attributes = attributes_of(self._first_bare.encode())
        if "m" in attributes or not attributes.get("n") or not attributes.get("r"):
            raise SaslFault("not a first SCRAM message")
        self._login = unescaped(attributes["n"])
        if identity and unescaped(identity.removeprefix("a=")) != self._login:
            raise SaslRejected("no login may act for another")
        self._gs2_header = f"{binding},{identity},"
        self._nonce = attributes["r"] + self._nonce
        return WantVerifier(self._login)

    def _take_final(self, response: bytes) -> ServerStep:
        attributes = attributes_of(response)
        if from_base64(attributes.get("c", "")) != self._gs2_header.encode():
            raise SaslFault("the channel binding does not fit")
        if attributes.get("r") != self._nonce or "p" not in attributes or self._verifier is None:
            raise SaslFault("not a final SCRAM message")
        without_proof, _, _ = response.rpartition(b",p=")
        first = f"{self._first_bare},{self._server_first},".encode()
        auth_message = first + without_proof
        client_key = xor(
            from_base64(attributes["p"]), hmac_sha256(self._verifier.stored_key, auth_message)
        )
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._verifier.stored_key)
        if not right or not self._known:
            raise SaslRejected("wrong login or password")
        self._proved = True
        return Challenge(
            b"v=" + base64.b64encode(hmac_sha256(self._verifier.server_key, auth_message))
        )


def server_mechanism(name: str, *, decoy_key: bytes) -> ServerMechanism | None:
    """Return the server's part of the mechanism called `name` (in any case), None if there is none."""
    match name.upper():
        case "PLAIN":
            return ServerPlain(decoy_key=decoy_key)
        case "SCRAM-SHA-256":
            return ServerScramSha256(decoy_key=decoy_key)
        case _:
            return None
