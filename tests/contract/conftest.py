"""The kinds of source that the contracts are held to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.client import Client
from tests.contract.kinds import MAIL_SOURCES, STAGING_SOURCES
from tests.contract.world import Party, StagingWorld, World, inbox_of


@pytest.fixture(params=sorted(MAIL_SOURCES))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with MAIL_SOURCES[request.param](request) as made:
        yield made


@pytest.fixture
def party(world: World) -> Party:
    """A third party at the origin of the source under test."""
    return Party(world.origin)


@pytest.fixture(params=sorted(STAGING_SOURCES))
async def staging_world(request: pytest.FixtureRequest) -> AsyncIterator[StagingWorld]:
    async with STAGING_SOURCES[request.param](request) as made:
        yield made


@pytest.fixture
async def client(staging_world: StagingWorld) -> Client:
    await staging_world.catch_up()
    return Client(staging_world, await inbox_of(staging_world.source))
