"""What both sides of SCRAM-SHA-256 are made of (RFC 5802, RFC 7677), and the verifier to keep."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from mailferry.wire.sasl_errors import MESSAGE_LENGTH_MAX, SaslFault
from mailferry.wire.saslprep import saslprep, saslprep_or_as_it_is

ITERATIONS_MIN: Final = 4096  # RFC 7677 §4; a server that asks for fewer makes guessing cheap.
ITERATIONS_MAX: Final = 600_000  # About a third of a second; more would let a server stall us.
SALT_LENGTH: Final = 16  # Octets, as in RFC 7677 §3.
SCRAM_SHA_256: Final = "SCRAM-SHA-256"


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """What a server keeps instead of a password (RFC 5802 §3); checks SCRAM and plain passwords.

    Text form, as in RFC 5803: SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>
    """

    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def from_password(
        cls, password: str, *, iterations: int = ITERATIONS_MIN, salt: bytes | None = None
    ) -> ScramVerifier:
        """Make the verifier of a password; `salt` is random unless a test gives one.

        Raises:
            ValueError: the password holds what saslprep does not allow.
        """
        salt = secrets.token_bytes(SALT_LENGTH) if salt is None else salt
        keys = Keys.derive(saslprep(password, stored=True), salt, iterations)
        return cls(iterations, salt, keys.stored_key, keys.server_key)

    @classmethod
    def from_text(cls, text: str) -> ScramVerifier:
        """Read the text form.

        Raises:
            ValueError: it is not one.
        """
        try:
            scheme, parameters, keys = text.split("$")
            iterations, salt = parameters.split(":")
            stored_key, server_key = keys.split(":")
            values = [base64.b64decode(v, validate=True) for v in (salt, stored_key, server_key)]
            count = int(iterations)
        except ValueError:
            raise ValueError("not a SCRAM verifier") from None  # Never show the text itself.
        if scheme != SCRAM_SHA_256 or not 0 < count <= ITERATIONS_MAX:
            raise ValueError("not a SCRAM verifier")
        return cls(count, *values)

    def to_text(self) -> str:
        """Return the text form: secret enough to be kept in a sealed or private file."""
        salt, stored, server = map(to_base64, (self.salt, self.stored_key, self.server_key))
        return f"{SCRAM_SHA_256}${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def decoy(cls, login: str, key: bytes) -> ScramVerifier:
        """Return a verifier that no password fits, always the same for `login` and `key`.

        A login that does not exist then answers as one that does (RFC 5802 §9).
        """
        salt, stored, server = (
            hmac_sha256(key, f"{purpose} {login}".encode())
            for purpose in ("salt", "stored", "server")
        )
        return cls(ITERATIONS_MIN, salt[:SALT_LENGTH], stored, server)

    def verify(self, password: str) -> bool:
        """Tell whether this is the password, in the same time for right and wrong."""
        keys = Keys.derive(saslprep_or_as_it_is(password), self.salt, self.iterations)
        return hmac.compare_digest(keys.stored_key, self.stored_key)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of RFC 5802 §3 that come from a password."""

    client_key: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def derive(cls, password: str, salt: bytes, iterations: int) -> Keys:
        """Derive them; takes about 2 ms for 4,096 iterations."""
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        client_key = hmac_sha256(salted, b"Client Key")
        stored_key = hashlib.sha256(client_key).digest()
        return cls(client_key, stored_key, hmac_sha256(salted, b"Server Key"))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC (RFC 5802 §2.2) with SHA-256."""
    return hmac.digest(key, message, "sha256")


def xor(left: bytes, right: bytes) -> bytes:
    """XOR (RFC 5802 §2.2) of octet strings that must be of one length."""
    if len(left) != len(right):
        raise SaslFault("a proof of the wrong length")
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def attributes_of(message: bytes) -> dict[str, str]:
    """Take `n=...,r=...` apart; the values keep their escapes."""
    if len(message) > MESSAGE_LENGTH_MAX:
        raise SaslFault("too long")
    attributes: dict[str, str] = {}
    for item in text_of(message).split(","):
        name, equals, value = item.partition("=")
        if len(name) != 1 or not equals or name in attributes:
            raise SaslFault("not a SCRAM message")
        attributes[name] = value
    return attributes


def escaped(name: str) -> str:
    """Saslname (RFC 5802 §7): neither comma nor equals sign."""
    return name.replace("=", "=3D").replace(",", "=2C")


def unescaped(name: str) -> str:
    """Undo `escaped`."""
    plain = name.replace("=2C", ",").replace("=3D", "\0")
    if "=" in plain:
        raise SaslFault("a user name with a wrong escape")
    return plain.replace("\0", "=")


def text_of(data: bytes) -> str:
    """Decode a message, which is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SaslFault("not UTF-8") from None  # Never show the octets: a password may be in them.


def to_base64(data: bytes) -> str:
    """Encode as SCRAM messages want it."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode strictly."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslFault("not base64") from None
