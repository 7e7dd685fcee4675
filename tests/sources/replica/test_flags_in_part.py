"""Flag changes that went together, of which the server carried out only some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from mailferry.mail.message import FLAGGED, SEEN, Flag
from mailferry.mail.operation import Attempt, Outcome, OutcomeUnknown, Refused, SetFlags
from mailferry.mail.source import BlobReader
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.letters import note
from tests.contract.world import Party, flags_of, inbox_of
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, flags, uids

UNLIKED = Flag("$unliked")


class InPart(BadLine):
    """Carries out only some of what it is asked for."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.dies_after_first = False
        """In the next call of several operations."""

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        if self.dies_after_first and len(attempts) > 1:
            self.dies_after_first = False
            done = await super().apply(attempts[:1], blobs)
            return [*done, *[OutcomeUnknown(reason="the line went down")] * (len(attempts) - 1)]
        outcomes: list[Outcome] = []
        for attempt in attempts:
            if isinstance(attempt.operation, SetFlags) and UNLIKED in attempt.operation.add:
                self.calls["refused"] += 1
                outcomes.append(Refused(reason="no such keyword here"))
            else:
                outcomes += await super().apply([attempt], blobs)
        return outcomes


@pytest.fixture
def line(origin: MemorySource) -> InPart:
    return InPart(origin)


@pytest.fixture
async def replica(aboard: Aboard, party: Party) -> AsyncIterator[Replica]:
    await party.deliver(await inbox_of(party.source), note(1), note(2))
    async with aboard.open() as opened:
        await opened.refresh(None)
        yield opened


async def all_flags(source: MemorySource) -> list[frozenset[Flag]]:
    inbox = await inbox_of(source)
    return [await flags_of(source, inbox, each) for each in sorted(await uids(source, inbox))]


async def test_a_change_of_two_messages_is_not_done_when_it_is_done_for_one(
    replica: Replica, origin: MemorySource, line: InPart
) -> None:
    crew = Crew(replica)
    inbox = await crew.box()
    one, two = sorted(await uids(replica, inbox))
    line.dies_after_first = True
    line.down()
    await crew.do(flags(inbox, one, two, add=[SEEN]), flags(inbox, two, add=[FLAGGED]))
    line.back()
    await replica.carried_out()
    assert await all_flags(origin) == [{SEEN}, {SEEN, FLAGGED}]


async def test_a_refused_change_does_not_hold_up_the_one_that_went_with_it(
    replica: Replica, origin: MemorySource, line: InPart
) -> None:
    crew = Crew(replica)
    inbox = await crew.box()
    one = min(await uids(replica, inbox))
    line.down()
    await crew.do(flags(inbox, one, add=[SEEN]), flags(inbox, one, add=[UNLIKED]))
    line.back()
    async with asyncio.timeout(10):
        await replica.carried_out()
    assert (await all_flags(origin))[0] == {SEEN}
    assert line.calls["refused"] == 2  # Together with the other, and then alone.
