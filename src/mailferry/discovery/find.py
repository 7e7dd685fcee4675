"""Find the IMAP server of an address: ask the domain, then the directory, then try usual names.

All questions are asked at the same time, each with its own short limit, so that a person waits for
the slowest of them and not for their sum.  Nothing that goes wrong here is an error: what could
not be found out is asked of the person.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dns.asyncresolver
import dns.exception

from mailferry.discovery import autoconfig
from mailferry.discovery.candidate import Candidate, Origin
from mailferry.discovery.srv import servers_in_dns
from mailferry.net.tcp import connect
from mailferry.store.account_settings import ServerSecurity

DNS_TIMEOUT_S: Final = 5.0  # A satellite line with one lost packet still fits in.
GUESS_TIMEOUT_S: Final = 5.0  # To connect to a usual name; a server that is there answers sooner.

USUAL_NAMES: Final = ("imap.{domain}", "mail.{domain}", "{domain}")
USUAL_PORTS: Final = ((993, ServerSecurity.TLS), (143, ServerSecurity.STARTTLS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where to ask.  Tests ask elsewhere."""

    autoconfig: tuple[tuple[Origin, str], ...] = autoconfig.PLACES
    names: tuple[str, ...] = USUAL_NAMES
    ports: tuple[tuple[int, ServerSecurity], ...] = USUAL_PORTS
    nameservers: tuple[str, ...] = ()
    """Empty: the system's."""
    nameserver_port: int = 53
    dns_timeout_s: float = DNS_TIMEOUT_S


async def find_servers(address: str, places: Places | None = None) -> Sequence[Candidate]:
    """Return the servers that `address` may have its mail on, the most likely first, each once.

    Servers at usual names are tried only when nobody named one.
    """
    places = places or Places()
    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(_ask_dns(address, places))]
        tasks += [
            asking.create_task(_ask_page(address, origin, place))
            for origin, place in places.autoconfig
        ]
    found = [candidate for task in tasks for candidate in task.result()]
    if not found:
        found = list(await _guess(address, places))
    by_place = {(one.host.lower(), one.port, one.security): one for one in reversed(found)}
    return list(reversed(by_place.values()))


async def _ask_dns(address: str, places: Places) -> Sequence[Candidate]:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not places.nameservers)
    except (dns.exception.DNSException, OSError):  # No usable resolv.conf.
        return []
    if places.nameservers:
        resolver.nameservers = list(places.nameservers)
        resolver.port = places.nameserver_port
    resolver.lifetime = places.dns_timeout_s
    return await servers_in_dns(address, resolver)


async def _ask_page(address: str, origin: Origin, place: str) -> Sequence[Candidate]:
    url = autoconfig.url_of(place, address)
    page = None
    with contextlib.suppress(TimeoutError):  # Name resolution has no limit of its own.
        async with asyncio.timeout(2 * autoconfig.FETCH_TIMEOUT_S):
            page = await asyncio.to_thread(autoconfig.fetch, url)
    return autoconfig.parse(page, address, origin) if page is not None else []


async def _guess(address: str, places: Places) -> Sequence[Candidate]:
    domain = address.rpartition("@")[2]
    candidates = [
        Candidate(
            host=name.format(domain=domain),
            port=port,
            security=security,
            user=address,
            origin=Origin.GUESS,
        )
        for port, security in places.ports
        for name in places.names
    ]
    async with asyncio.TaskGroup() as trying:
        tasks = [trying.create_task(_answers(candidate)) for candidate in candidates]
    return [one for one, task in zip(candidates, tasks, strict=True) if task.result()]


async def _answers(candidate: Candidate) -> bool:
    """Whether somebody accepts connections there; who it is, TLS and the login will show."""
    try:
        stream = await connect(candidate.host, candidate.port, timeout_s=GUESS_TIMEOUT_S)
    except OSError:
        return False
    stream.abort()
    return True
