"""Autoconfig: the XML page in which a provider names its servers (draft-bucksch-autoconfig).

`parse` is pure; `fetch` gets a page over HTTPS and nothing else, within a time limit.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import IO, Final
from urllib.parse import quote
from xml.etree import ElementTree

from mailferry.discovery.candidate import Candidate, Origin
from mailferry.store.account_settings import ServerSecurity

PAGE_LENGTH_MAX: Final = 64 * 1024  # Octets; the largest page in the public directory has 6 kB.
SERVERS_MAX: Final = 20  # More in one page is a mistake.
FETCH_TIMEOUT_S: Final = 6.0  # For the whole page.

PLACES: Final = (
    (Origin.AUTOCONFIG, "https://autoconfig.{domain}/mail/config-v1.1.xml?emailaddress={address}"),
    (Origin.AUTOCONFIG, "https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml"),
    # The directory is a third party: it learns the domain only, never the address.
    (Origin.DIRECTORY, "https://autoconfig.thunderbird.net/v1.1/{domain}"),
)

_SECURITY: Final = {"SSL": ServerSecurity.TLS, "STARTTLS": ServerSecurity.STARTTLS}


def url_of(place: str, address: str) -> str:
    """Fill an address into a place."""
    domain = address.rpartition("@")[2]
    return place.format(domain=quote(domain), address=quote(address))


def parse(page: bytes, address: str, origin: Origin) -> Sequence[Candidate]:
    """Return the IMAP servers that the page names, in its order; none for what is no such page.

    Servers without TLS are left out.
    """
    if len(page) > PAGE_LENGTH_MAX or b"<!DOCTYPE" in page or b"<!ENTITY" in page:
        return []  # Entities are the one dangerous thing in XML, and no such page needs them.
    try:
        root = ElementTree.fromstring(page)  # noqa: S314 - no entities, bounded length
    except (ElementTree.ParseError, ValueError, LookupError):
        return []
    found: list[Candidate] = []
    for server in root.iterfind("./emailProvider/incomingServer[@type='imap']"):
        candidate = _candidate(server, address, origin)
        if candidate is not None and len(found) < SERVERS_MAX:
            found.append(candidate)
    return found


def fetch(url: str) -> bytes | None:
    """Return the page, None when there is none.  Blocks for at most about FETCH_TIMEOUT_S."""
    deadline = time.monotonic() + FETCH_TIMEOUT_S
    opener = urllib.request.build_opener(_HttpsOnly)
    try:
        with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
            page = bytearray()
            while chunk := answer.read1(16 * 1024):
                page += chunk
                if len(page) > PAGE_LENGTH_MAX or time.monotonic() > deadline:
                    return None
            return bytes(page)
    except (OSError, HTTPException, ValueError):
        return None


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not out of TLS: what comes in the clear may come from anybody."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: object,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse a redirection to anything but HTTPS."""
        if not newurl.lower().startswith("https://"):
            raise urllib.error.URLError("a redirection out of TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _candidate(server: ElementTree.Element, address: str, origin: Origin) -> Candidate | None:
    host = _text(server, "hostname")
    port = _text(server, "port")
    security = _SECURITY.get(_text(server, "socketType").upper())
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536 or security is None:
        return None
    mechanisms = {(element.text or "").strip() for element in server.iterfind("authentication")}
    return Candidate(
        host=_filled(host, address),
        port=int(port),
        security=security,
        user=_filled(_text(server, "username") or "%EMAILADDRESS%", address),
        origin=origin,
        oauth2=bool(mechanisms) and mechanisms <= {"OAuth2"},
    )


def _filled(text: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    return (
        text.replace("%EMAILADDRESS%", address)
        .replace("%EMAILLOCALPART%", local)
        .replace("%EMAILDOMAIN%", domain)
    )


def _text(server: ElementTree.Element, name: str) -> str:
    return (server.findtext(name) or "").strip()
