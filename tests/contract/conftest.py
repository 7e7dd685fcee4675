"""The kinds of source that the contracts are held to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from mailferry.sources.memory import MemorySource
from tests.contract.client import Client
from tests.contract.world import Party, StagingWorld, World, inbox_of


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
async def memory() -> AsyncIterator[MemoryWorld]:
    world = MemoryWorld()
    yield world
    await world.source.aclose()


MAIL_SOURCES: dict[str, Callable[[], AbstractAsyncContextManager[World]]] = {"memory": memory}
STAGING_SOURCES: dict[str, Callable[[], AbstractAsyncContextManager[StagingWorld]]] = {
    "memory": memory
}


@pytest.fixture(params=sorted(MAIL_SOURCES))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with MAIL_SOURCES[request.param]() as made:
        yield made


@pytest.fixture
def party(world: World) -> Party:
    """A third party at the origin of the source under test."""
    return Party(world.origin)


@pytest.fixture(params=sorted(STAGING_SOURCES))
async def staging_world(request: pytest.FixtureRequest) -> AsyncIterator[StagingWorld]:
    async with STAGING_SOURCES[request.param]() as made:
        yield made


@pytest.fixture
async def client(staging_world: StagingWorld) -> Client:
    await staging_world.catch_up()
    return Client(staging_world, await inbox_of(staging_world.source))
