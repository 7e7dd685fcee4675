"""A mail program that tries again after a doubt: two of the same are two, and never three."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mailferry.mail.operation import Attempt, Outcome
from mailferry.mail.source import BlobReader
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.contract.world import everything, inbox_of
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew


class Silent(BadLine):
    """Carries out what it is asked for and never says so, as long as it likes."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.silent = True
        self.done = asyncio.Event()

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        outcomes = await super().apply(attempts, blobs)
        if self.silent:
            self.done.set()
            await asyncio.Event().wait()
        return outcomes


@pytest.fixture
def line(origin: MemorySource) -> Silent:
    return Silent(origin)


async def test_two_of_the_same_that_were_under_way_at_a_crash_are_two(
    aboard: Aboard, origin: MemorySource, line: Silent
) -> None:
    async with aboard.open_and_crash() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        await crew.do(await crew.append(note(1)), await crew.append(note(1)))
        async with asyncio.timeout(10):
            await line.done.wait()
    line.silent = False
    async with aboard.open() as replica, asyncio.timeout(10):
        await replica.carried_out()
    assert len(await everything(origin, await inbox_of(origin))) == 2
