"""How each kind of source is made, afresh for one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import pytest

from mailferry.mail.source import MailSource
from mailferry.net.tls_context import ClientContext, client_context
from mailferry.sources.imap.settings import ImapSettings, Security
from mailferry.sources.imap.source import ImapSource
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.wire.sasl import Password
from tests.contract.world import StagingWorld, World
from tests.faces.imap.house import PASSWORD, House
from tests.sources.replica.aboard import Aboard

Making: TypeAlias = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[World]]
MakingStaging: TypeAlias = Callable[
    [pytest.FixtureRequest], AbstractAsyncContextManager[StagingWorld]
]


class MemoryWorld:
    """The memory source is its own origin."""

    def __init__(self) -> None:
        self.source = MemorySource()
        self.origin = self.source

    async def catch_up(self) -> None:
        return

    async def come_to_rest(self) -> None:
        return


@asynccontextmanager
async def memory(_request: pytest.FixtureRequest) -> AsyncIterator[MemoryWorld]:
    world = MemoryWorld()
    yield world
    await world.source.aclose()


@dataclass
class ServerWorld:
    """The same mail through two connections: one under test, one for a third party."""

    source: MailSource
    origin: MailSource

    async def catch_up(self) -> None:
        return


@cache
def trusting() -> ClientContext:
    """Made once: loading the system's authorities takes longer than most tests."""
    return client_context()


async def give_password(name: str, password: str) -> Password:
    return Password(name, password)


def imap_source(
    tasks: asyncio.TaskGroup, port: int, name: str, password: str, security: Security
) -> ImapSource:
    """A source at a server on this machine; quiet begins at once and mailboxes are looked at often."""
    settings = ImapSettings(
        host="localhost",
        port=port,
        security=security,
        idle_after_s=0.02,
        poll_interval_s=0.2,
        backoff_first_s=0.05,
        settle_s=0.5,
    )
    return ImapSource(settings, lambda: give_password(name, password), trusting(), tasks)


@asynccontextmanager
async def connected_twice(
    port: int, name: str, password: str, security: Security = Security.PLAIN
) -> AsyncIterator[ServerWorld]:
    async with asyncio.TaskGroup() as tasks:
        world = ServerWorld(
            imap_source(tasks, port, name, password, security),
            imap_source(tasks, port, name, password, security),
        )
        yield world
        await world.source.aclose()
        await world.origin.aclose()


@asynccontextmanager
async def imap_at_dovecot(request: pytest.FixtureRequest) -> AsyncIterator[ServerWorld]:
    dovecot = request.getfixturevalue("dovecot")
    user = dovecot.new_user()
    async with connected_twice(dovecot.port, user.name, user.password) as world:
        yield world


@asynccontextmanager
async def imap_at_our_face(_request: pytest.FixtureRequest) -> AsyncIterator[ServerWorld]:
    house = House("ann", make=MemorySource)
    async with (
        house.server.listening("127.0.0.1", 0) as listener,
        connected_twice(listener.port, "ann", PASSWORD) as world,
    ):
        yield world


@dataclass
class ReplicaWorld:
    """A replica, and a third party's way to its origin."""

    source: Replica
    origin: MailSource

    async def catch_up(self) -> None:
        await self.source.refresh(None)
        # Dovecot's LIST-STATUS may be a moment behind: each mailbox is asked, too.
        for mailbox in await self.source.mailboxes():
            if mailbox.selectable:
                await self.source.refresh(mailbox.id)

    async def come_to_rest(self) -> None:
        await self.source.carried_out()


@asynccontextmanager
async def replica_of_memory(request: pytest.FixtureRequest) -> AsyncIterator[ReplicaWorld]:
    origin = MemorySource()
    aboard = Aboard(request.getfixturevalue("tmp_path"), origin)
    async with aboard.open() as replica:
        yield ReplicaWorld(replica, origin)
    await origin.aclose()


@asynccontextmanager
async def replica_at_our_face(request: pytest.FixtureRequest) -> AsyncIterator[ReplicaWorld]:
    async with imap_at_our_face(request) as server:
        aboard = Aboard(request.getfixturevalue("tmp_path"), server.source)
        async with aboard.open() as replica:
            yield ReplicaWorld(replica, server.origin)


@asynccontextmanager
async def replica_at_dovecot(request: pytest.FixtureRequest) -> AsyncIterator[ReplicaWorld]:
    async with imap_at_dovecot(request) as server:
        aboard = Aboard(request.getfixturevalue("tmp_path"), server.source)
        async with aboard.open() as replica:
            yield ReplicaWorld(replica, server.origin)


MAIL_SOURCES: dict[str, Making] = {
    "memory": memory,
    "imap-dovecot": imap_at_dovecot,
    "imap-our-face": imap_at_our_face,
    "replica-memory": replica_of_memory,
    "replica-our-face": replica_at_our_face,
    "replica-dovecot": replica_at_dovecot,
}
STAGING_SOURCES: dict[str, MakingStaging] = {
    "memory": memory,
    "replica-memory": replica_of_memory,
    "replica-our-face": replica_at_our_face,
    "replica-dovecot": replica_at_dovecot,
}
