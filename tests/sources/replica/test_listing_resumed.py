"""Summaries that are missing at the start are fetched, though nothing is new at the origin."""

from __future__ import annotations

import asyncio

from mailferry.store.counts import Counts, count
from tests.contract.letters import note
from tests.contract.world import Party, inbox_of
from tests.sources.replica.aboard import Aboard


async def _counts(aboard: Aboard) -> Counts:
    return await asyncio.to_thread(count, aboard.journal_path, aboard.replica_path, aboard.account)


async def _listed(aboard: Aboard, messages: int) -> None:
    async with asyncio.timeout(10):
        while (counts := await _counts(aboard)).messages_unlisted or counts.messages != messages:
            await asyncio.sleep(0.01)


async def test_a_file_that_was_lost_is_listed_anew(party: Party, aboard: Aboard) -> None:
    await party.deliver(await inbox_of(party.source), note(1), note(2))
    async with aboard.open() as replica:
        await replica.refresh(None)
        await _listed(aboard, 2)
    for file in aboard.folder.glob(f"{aboard.replica_path.name}*"):
        file.unlink()
    async with aboard.open():
        await _listed(aboard, 2)
