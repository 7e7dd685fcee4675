"""A server that may be the right one for an address, and who said so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailferry.store.account_settings import ServerSecurity


class Origin(Enum):
    """Who named a server, the most trustworthy first."""

    SRV = "the domain's DNS (RFC 6186)"
    AUTOCONFIG = "the domain's autoconfig page"
    DIRECTORY = "the public directory of mail providers"
    GUESS = "its usual name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One IMAP server."""

    host: str
    port: int
    security: ServerSecurity
    user: str
    """The user name to log in with."""
    origin: Origin
    oauth2: bool = False
    """Whether the server is known to want OAuth2 and no password."""

    def is_within(self, domain: str) -> bool:
        """Whether the server's name belongs to the address's own domain.

        DNS answers are not protected, so a server elsewhere that DNS alone names must be confirmed
        by a person (RFC 6186 §6).
        """
        host, domain = self.host.lower(), domain.lower()
        return host == domain or host.endswith(f".{domain}")

    def is_vouched_for(self, domain: str) -> bool:
        """Whether it can be used without asking: within the domain, or named over HTTPS."""
        return self.is_within(domain) or self.origin in (Origin.AUTOCONFIG, Origin.DIRECTORY)
