"""A replica over a memory source behind a line that can be cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.world import Party
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine


@pytest.fixture
def origin() -> MemorySource:
    return MemorySource()


@pytest.fixture
def line(origin: MemorySource) -> BadLine:
    return BadLine(origin)


@pytest.fixture
def party(origin: MemorySource) -> Party:
    """A third party at the origin."""
    return Party(origin)


@pytest.fixture
def aboard(tmp_path: Path, line: BadLine) -> Aboard:
    return Aboard(tmp_path / "node", line)


@pytest.fixture
async def replica(aboard: Aboard) -> AsyncIterator[Replica]:
    async with aboard.open() as opened:
        await opened.refresh(None)
        yield opened
