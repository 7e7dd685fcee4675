"""The disk is full for a while: what was refused leaves nothing, what was answered is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mailferry.mail.errors import SourceUnavailable, StorageFull
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import SEEN, MessageId, Summary, SummaryItem
from mailferry.mail.operation import Delivery, OperationState
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.store.journal import Journal
from mailferry.store.replica import ReplicaStore
from tests.contract.letters import note
from tests.contract.world import Party, everything, flags_of, inbox_of
from tests.sources.replica.aboard import QUICK, Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, all_mail, flags, move, uids


@contextmanager
def no_room(store: type[Journal | ReplicaStore]) -> Iterator[asyncio.Semaphore]:
    """Let nothing be written to one kind of file; the semaphore counts who tried."""
    tried = asyncio.Semaphore(0)

    async def refuse(self: object, unit: object) -> object:
        tried.release()
        raise StorageFull("no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write", refuse)
        yield tried


async def test_an_append_that_cannot_be_shown_is_not_made_later(
    aboard: Aboard, party: Party
) -> None:
    inbox = await inbox_of(party.source)
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        first, again = await crew.append(note(1)), await crew.append(note(1))
        with no_room(ReplicaStore), pytest.raises(StorageFull):
            await crew.stage(first)
        await crew.do(again)
        async with asyncio.timeout(10):
            await replica.carried_out()
        assert [each.state for each in await crew.history()] == [
            OperationState.WITHDRAWN,
            OperationState.APPLIED,
        ]
    async with aboard.open() as replica:
        await replica.carried_out()
        assert len(await everything(replica, await inbox_of(replica))) == 1
    assert len(await everything(party.source, inbox)) == 1


async def test_what_cannot_be_shown_takes_nothing_away(replica: Replica, party: Party) -> None:
    await party.deliver(await inbox_of(party.source), note(1))
    await party.create("Other")
    await replica.refresh(None)
    crew = Crew(replica)
    inbox, other = await crew.box(), await crew.box("Other")
    before = await uids(replica, inbox)
    with no_room(ReplicaStore), pytest.raises(StorageFull):
        await crew.stage(move(inbox, other, *before))
    assert await uids(replica, inbox) == before
    assert await uids(replica, other) == {}
    await crew.do(move(inbox, other, *before))
    await replica.carried_out()
    assert await all_mail(replica) == await all_mail(party.source)


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
async def test_what_was_answered_is_carried_out_when_there_is_room(
    aboard: Aboard, party: Party, closing: bool
) -> None:
    inbox = await inbox_of(party.source)
    [name] = await party.deliver(inbox, note(1))
    there = party.source.watch()
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        box = await crew.box()
        reading = flags(box, *await uids(replica, box), add=[SEEN])
        await crew.stage(reading)
        with no_room(Journal) as tried:
            await replica.settle([reading.id], Delivery.DELIVERED)
            await crew.lose(
                reading
            )  # As when the session ends then: it was delivered all the same.
            await tried.acquire()
        if not closing:
            async with asyncio.timeout(10):
                while not await flags_of(party.source, inbox, name):
                    await anext(there)
    async with aboard.open() as replica:
        await replica.carried_out()
    assert await flags_of(party.source, inbox, name) == {SEEN}


async def test_what_was_withdrawn_shows_when_there_is_room(replica: Replica, party: Party) -> None:
    await party.deliver(await inbox_of(party.source), note(1))
    await replica.refresh(None)
    crew = Crew(replica)
    inbox = await crew.box()
    [message] = await uids(replica, inbox)
    reading = flags(inbox, message, add=[SEEN])
    await crew.stage(reading)
    watch = replica.watch()
    with no_room(ReplicaStore) as tried:
        await crew.lose(reading)
        for _ in range(2):
            await tried.acquire()
    async with asyncio.timeout(10):
        while await flags_of(replica, inbox, message):
            await anext(watch)
    assert await flags_of(replica, inbox, message) == set()


class Unlisted(BadLine):
    """Tells nothing of messages but that they are there, as long as it likes."""

    tells_summaries = False

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        if not self.tells_summaries:
            raise SourceUnavailable("not now")
        async for batch in super().summaries(mailbox, messages, what):
            yield batch


async def test_a_full_disk_is_no_reason_to_fetch_again_and_again(
    tmp_path: Path, origin: MemorySource, party: Party
) -> None:
    await party.deliver(await inbox_of(origin), *[note(number) for number in range(1, 6)])
    line = Unlisted(origin)
    aboard = Aboard(tmp_path / "node", line, replace(QUICK, no_room_delay_s=3600))
    async with aboard.open() as replica:
        await replica.refresh(None)
        assert len(await everything(replica, await inbox_of(replica))) == 5
    line.tells_summaries = True
    async with aboard.open() as replica:
        with no_room(ReplicaStore) as tried:
            await tried.acquire()
            for _ in range(10):
                await replica.refresh(None)
            assert line.calls["summaries"] == 1
