"""What is known about an account besides its secrets: how its mail server is reached, what is copied."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME_LENGTH_MAX: Final = 200  # Characters: an address is at most 254; a name is shown in tables.
HOST_LENGTH_MAX: Final = 253  # Characters of a domain name.
FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


class ServerSecurity(StrEnum):
    """How the connection to the mail server is protected."""

    TLS = "tls"
    STARTTLS = "starttls"
    PLAIN = "plain"


class Mechanism(StrEnum):
    """How the node proves to the mail server that it may log in."""

    AUTO = "auto"
    """The safest that the server offers for a password."""
    LOGIN = "login"
    PLAIN = "plain"
    SCRAM_SHA_256 = "scram-sha-256"
    XOAUTH2 = "xoauth2"
    OAUTHBEARER = "oauthbearer"

    @property
    def takes_token(self) -> bool:
        """Whether the secret is an OAuth2 access token and not a password."""
        return self in (Mechanism.XOAUTH2, Mechanism.OAUTHBEARER)


class BodyPolicy(StrEnum):
    """Which bodies are copied before a mail program asks for them."""

    LIST = "list"
    """None: only what a list of messages shows."""
    NEW = "new"
    """Those of messages that arrive from now on."""
    ALL = "all"
    """All of them, newest first."""


def _clean(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("must not hold control characters, or begin or end with a space")
    return text


def _fingerprint(text: str) -> str:
    plain = text.lower().replace(":", "").removeprefix("sha256").strip()
    if not FINGERPRINT.fullmatch(plain):
        raise ValueError("must be the SHA-256 of the certificate: 64 hexadecimal digits")
    return plain


Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX), AfterValidator(_clean)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]


class AccountSettings(BaseModel):
    """The settings of one account.  No secret is ever among them."""

    # Ignored: what an older version that was reinstalled does not know.
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    protocol: Literal["imap"] = "imap"
    host: Annotated[str, Field(min_length=1, max_length=HOST_LENGTH_MAX), AfterValidator(_clean)]
    port: Annotated[int, Field(ge=1, le=65535)] = 993
    security: ServerSecurity = ServerSecurity.TLS
    user: Name
    """The name at the mail server."""
    mechanism: Mechanism = Mechanism.AUTO
    ca_file: Path | None = None
    """PEM file of the authorities to trust instead of the system's."""
    certificate_sha256: Fingerprint | None = None
    """When given, the server must show exactly this certificate, whoever signed it."""
    bodies: BodyPolicy = BodyPolicy.NEW
    body_size_limit_octets: Annotated[int, Field(ge=0)] = 1024 * 1024
    """Larger bodies wait until a mail program asks for them."""
    poll_interval_s: Annotated[float, Field(ge=5, le=86_400)] = 300.0
    """How often to look for changes in mailboxes that the server does not tell about by itself."""
