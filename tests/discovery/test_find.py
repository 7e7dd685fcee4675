from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import dns.message
import dns.rcode
import dns.rrset

from mailferry.discovery.candidate import Candidate, Origin
from mailferry.discovery.find import Places, find_servers
from mailferry.net.listener import listen
from mailferry.net.stream import ByteStream
from mailferry.store.account_settings import ServerSecurity

ZONE = {
    "_imaps._tcp.example.org.": (
        "10 1 993 backup.example.org.",
        "0 1 993 small.example.org.",
        "0 9 9993 imap.example.org.",
    ),
    "_imap._tcp.example.org.": ("0 1 143 imap.example.net.",),
    "_imaps._tcp.none.example.": ("0 0 0 .",),
}


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, zone: Mapping[str, tuple[str, ...]]) -> None:
        self._zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name.to_text()
        if records := self._zone.get(name):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *records))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def _places(**given: object) -> AsyncIterator[Places]:
    """Run a name server with ZONE; nothing outside this machine is asked."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _NameServer(ZONE), local_addr=("127.0.0.1", 0)
    )
    fields: dict[str, object] = {"autoconfig": (), "names": ()}
    port: int = transport.get_extra_info("sockname")[1]
    here: dict[str, object] = {"nameservers": ("127.0.0.1",), "nameserver_port": port}
    try:
        yield Places(**(fields | here | given))  # type: ignore[arg-type]
    finally:
        transport.close()


async def test_the_domains_own_records_come_in_their_order() -> None:
    async with _places() as places:
        found = await find_servers("mina@example.org", places)
    assert [(one.host, one.port, one.security.value) for one in found] == [
        ("imap.example.org", 9993, "tls"),
        ("small.example.org", 993, "tls"),
        ("backup.example.org", 993, "tls"),
        ("imap.example.net", 143, "starttls"),
    ]
    assert {(one.user, one.origin) for one in found} == {("mina@example.org", Origin.SRV)}


async def test_a_server_outside_the_domain_that_only_dns_names_needs_a_person() -> None:
    async with _places() as places:
        found = await find_servers("mina@example.org", places)
    assert [one.is_vouched_for("example.org") for one in found] == [True, True, True, False]


async def test_a_domain_that_says_it_has_no_such_service_has_none() -> None:
    async with _places() as places:
        assert await find_servers("mina@none.example", places) == []
        assert await find_servers("mina@unknown.example", places) == []


async def test_usual_names_are_tried_when_nobody_named_a_server() -> None:
    async def hang_up(stream: ByteStream) -> None:
        del stream

    async with (
        listen("127.0.0.1", 0, hang_up) as there,
        _places(
            names=("{domain}",), ports=((there.port, ServerSecurity.TLS), (1, ServerSecurity.TLS))
        ) as places,
    ):
        found = await find_servers("mina@localhost", places)
        assert found == [
            Candidate(
                host="localhost",
                port=there.port,
                security=ServerSecurity.TLS,
                user="mina@localhost",
                origin=Origin.GUESS,
            )
        ]


async def test_a_silent_name_server_and_a_missing_page_are_no_error() -> None:
    places = Places(
        nameservers=("127.0.0.1",),
        nameserver_port=1,
        dns_timeout_s=0.1,
        autoconfig=((Origin.AUTOCONFIG, "https://localhost:1/{domain}"),),
        names=(),
    )
    assert await find_servers("mina@example.org", places) == []
