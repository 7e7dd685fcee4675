"""Servers that a domain names in DNS: SRV records for mail clients (RFC 6186)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from mailferry.discovery.candidate import Candidate, Origin
from mailferry.store.account_settings import ServerSecurity

_SERVICES: Final = (
    ("_imaps._tcp", ServerSecurity.TLS),
    ("_imap._tcp", ServerSecurity.STARTTLS),
)


async def servers_in_dns(address: str, resolver: dns.asyncresolver.Resolver) -> Sequence[Candidate]:
    """Return the IMAP servers that the address's domain names, best first; none is no error."""
    domain = address.rpartition("@")[2]
    async with asyncio.TaskGroup() as asking:
        tasks = [
            asking.create_task(_records(f"{service}.{domain}", resolver))
            for service, _ in _SERVICES
        ]
    return [
        Candidate(
            host=host,
            port=record.port,
            security=security,
            user=address,
            origin=Origin.SRV,
        )
        for (_, security), task in zip(_SERVICES, tasks, strict=True)
        for record in task.result()
        # "." says: no such service here (RFC 6186 §3.4).
        if (host := record.target.to_text(omit_final_dot=True)) not in ("", ".")
    ]


async def _records(name: str, resolver: dns.asyncresolver.Resolver) -> list[SRV]:
    try:
        answer = await resolver.resolve(name, "SRV")
    except (dns.exception.DNSException, OSError):
        return []
    records = [record for record in answer if isinstance(record, SRV)]
    return sorted(records, key=lambda record: (record.priority, -record.weight))
