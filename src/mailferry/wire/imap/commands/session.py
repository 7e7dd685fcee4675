"""Commands about the session itself: any state, and before authentication (RFC 9051 §6.1, §6.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailferry.wire.imap.scanner import CommandScanner


@dataclass(frozen=True, slots=True)
class Capability:
    """RFC 9051 §6.1.1."""


@dataclass(frozen=True, slots=True)
class Noop:
    """RFC 9051 §6.1.2."""


@dataclass(frozen=True, slots=True)
class Logout:
    """RFC 9051 §6.1.3."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """RFC 9051 §6.2.1."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """RFC 9051 §6.3.10, RFC 2342."""


@dataclass(frozen=True, slots=True)
class Idle:
    """RFC 9051 §6.3.13, RFC 2177."""


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971: what the client says about itself; empty for NIL."""

    fields: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Enable:
    """RFC 9051 §6.3.1, RFC 5161: capabilities in upper case, unknown ones included."""

    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compress:
    """RFC 4978: the algorithm in upper case."""

    algorithm: str


@dataclass(frozen=True, slots=True)
class Login:
    """RFC 9051 §6.2.3: the octets as they came, UTF-8 if the client is sound."""

    user: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """RFC 9051 §6.2.2, RFC 4959: the mechanism in upper case."""

    mechanism: str
    initial_response: bytes | None = field(repr=False)
    """Decoded; b"" for "=", None when there is none."""


def parse_login(scanner: CommandScanner) -> Login:
    """Read what follows LOGIN."""
    #   login = "LOGIN" SP userid SP password
    scanner.space()
    user = scanner.astring()
    scanner.space()
    return Login(user, scanner.astring())


def parse_authenticate(scanner: CommandScanner) -> Authenticate:
    """Read what follows AUTHENTICATE."""
    #   authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]
    #   initial-resp = (base64 / "=")
    scanner.space()
    mechanism = scanner.keyword()
    if scanner.at_end:
        return Authenticate(mechanism, None)
    scanner.space()
    return Authenticate(mechanism, b"" if scanner.take(b"=") else scanner.base64())


def parse_id(scanner: CommandScanner) -> Id:
    """Read what follows ID."""
    #   id             = "ID" SP id-params-list
    #   id-params-list = "(" *(string SP nstring) ")" / nil

    def pair() -> tuple[str, str | None]:
        name = scanner.string()
        scanner.space()
        value = scanner.nstring()
        return _text(name), None if value is None else _text(value)

    scanner.space()
    if scanner.starts_with(b"("):
        return Id(tuple(scanner.parenthesised_or_empty(pair)))
    if scanner.keyword() != "NIL":
        scanner.expect(b"NIL")
    return Id(())


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def parse_enable(scanner: CommandScanner) -> Enable:
    """Read what follows ENABLE."""
    #   enable = "ENABLE" 1*(SP capability)
    capabilities: list[str] = []
    while not (scanner.at_end and capabilities):
        scanner.space()
        capabilities.append(scanner.keyword())
    return Enable(tuple(capabilities))


def parse_compress(scanner: CommandScanner) -> Compress:
    """Read what follows COMPRESS."""
    #   compress = "COMPRESS" SP algorithm
    scanner.space()
    return Compress(scanner.keyword())
