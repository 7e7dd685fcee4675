"""What a hostile reader found: crashes and servers that change at the wrong moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.mailbox import Mailbox
from mailferry.mail.message import SEEN
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    DeleteMailbox,
    Delivery,
    Move,
    Outcome,
    Probe,
    SetFlags,
)
from mailferry.mail.source import MailSource
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note as letter
from tests.contract.world import (
    Party,
    all_octets,
    everything,
    flags_of,
    inbox_of,
    mailbox_of,
    operation_id,
)
from tests.sources.replica.aboard import QUICK, Aboard


class Distant:
    """A memory source at the end of a line that can be down."""

    def __init__(self, real: MemorySource) -> None:
        self.real = real
        self.is_away = False
        self.tried = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def mailboxes(self) -> Sequence[Mailbox]:
        self._reach()
        return await self.real.mailboxes()

    async def probe(self, *arguments: Any) -> Probe | None:
        self._reach()
        return await self.real.probe(*arguments)

    async def apply(self, attempts: Sequence[Attempt], blobs: Any) -> Sequence[Outcome]:
        self._reach()
        return await self.real.apply(attempts, blobs)

    def _reach(self) -> None:
        if self.is_away:
            self.tried.set()
            raise SourceUnavailable("the line is down")


class Swallowing(Distant):
    """Says OK to everything and keeps nothing, as a server with a filter may."""

    async def apply(self, attempts: Sequence[Attempt], blobs: Any) -> Sequence[Outcome]:
        return [Applied() for _ in attempts]


async def octets(data: bytes) -> AsyncIterator[bytes]:
    yield data


def source_of(origin: Distant) -> MailSource:
    source: Any = origin
    return source  # type: ignore[no-any-return]  # __getattr__ has the rest of the protocol


async def test_a_move_out_of_a_mailbox_that_was_removed_meanwhile_does_not_stop_the_account(
    tmp_path: Path,
) -> None:
    origin = Distant(MemorySource())
    party = Party(origin.real)
    there = await party.create("X")
    await party.create("Y")
    await party.deliver(there, letter(3))
    aboard = Aboard(tmp_path / "n", source_of(origin))
    async with aboard.open() as replica:
        await replica.refresh(None)
        [message] = await everything(replica, (await mailbox_of(replica, ("X",))).id)
        origin.is_away = True
        move = Move(
            id=operation_id(),
            mailbox=(await mailbox_of(replica, ("X",))).id,
            messages=(message,),
            target=(await mailbox_of(replica, ("Y",))).id,
        )
        await replica.stage([move], login="ann")
        await replica.settle([move.id], Delivery.DELIVERED)
        await party.done(DeleteMailbox(id=operation_id(), mailbox=there))
        origin.is_away = False
        await replica.refresh(None)
        async with asyncio.timeout(5):
            await replica.carried_out()
    async with aboard.open() as replica:
        await replica.refresh(None)
        assert not replica.waiting


async def test_what_the_journal_withdrew_is_not_shown_after_a_crash(tmp_path: Path) -> None:
    origin = MemorySource()
    await Party(origin).deliver(await inbox_of(origin), letter(1))
    aboard = Aboard(tmp_path / "n", origin)

    class Died(Exception):
        pass

    async def dies(unit: object) -> None:
        raise Died

    async with aboard.open_and_crash() as replica:
        await replica.refresh(None)
        box = await inbox_of(replica)
        [message] = await everything(replica, box)
        read = SetFlags(id=operation_id(), mailbox=box, messages=(message,), add=frozenset({SEEN}))
        await replica.stage([read], login="ann")
        replica._core.store.write = dies  # type: ignore[method-assign,assignment]  # after the journal's word
        with pytest.raises(Died):
            await replica.settle([read.id], Delivery.LOST)
    async with aboard.open() as replica:
        box = await inbox_of(replica)
        [message] = await everything(replica, box)
        assert await flags_of(replica, box, message) == frozenset()
        assert [each.state.value for each in await replica.history()] == ["withdrawn"]


async def test_what_waited_for_the_line_goes_as_soon_as_it_is_back(tmp_path: Path) -> None:
    origin = Distant(MemorySource())
    inbox = await inbox_of(origin.real)
    [name] = await Party(origin.real).deliver(inbox, letter(1))
    patient = replace(QUICK, retry_delay_s=600.0, retry_delay_max_s=600.0)
    async with Aboard(tmp_path / "n", source_of(origin), settings=patient).open() as replica:
        await replica.refresh(None)
        box = await inbox_of(replica)
        [message] = await everything(replica, box)
        origin.is_away = True
        read = SetFlags(id=operation_id(), mailbox=box, messages=(message,), add=frozenset({SEEN}))
        await replica.stage([read], login="ann")
        await replica.settle([read.id], Delivery.DELIVERED)
        async with asyncio.timeout(5):
            await origin.tried.wait()
        origin.is_away = False
        await replica.refresh(None)
        async with asyncio.timeout(5):
            await replica.carried_out()
    assert SEEN in await flags_of(origin.real, inbox, name)


async def test_mail_that_is_only_here_survives_the_deletion_of_recovered_there(
    tmp_path: Path,
) -> None:
    origin = MemorySource(quota_octets=100)
    data = letter(1)
    assert len(data) > 100
    async with Aboard(tmp_path / "n", origin).open() as replica:
        await replica.refresh(None)
        blob = await replica.upload(octets(data))
        append = Append(
            id=operation_id(), mailbox=await inbox_of(replica), blob=blob.id, size=blob.size
        )
        await replica.stage([append], login="ann")
        await replica.settle([append.id], Delivery.DELIVERED)
        async with asyncio.timeout(5):
            await replica.carried_out()
        there = (await mailbox_of(origin, ("Recovered",))).id
        await Party(origin).done(DeleteMailbox(id=operation_id(), mailbox=there))
        await replica.refresh(None)
        await replica.refresh(None)
        recovered = await mailbox_of(replica, ("Recovered",))
        assert await all_octets(replica, recovered.id) == [data]
        async with asyncio.timeout(5):
            await replica.carried_out()
        assert (await mailbox_of(origin, ("Recovered",))).selectable


async def test_mail_that_the_server_swallowed_is_given_up_in_every_mailbox(tmp_path: Path) -> None:
    origin = Swallowing(MemorySource())
    await Party(origin.real).create("B")
    async with Aboard(tmp_path / "n", source_of(origin)).open() as replica:
        await replica.refresh(None)
        boxes = [await inbox_of(replica), (await mailbox_of(replica, ("B",))).id]
        for number, box in enumerate(boxes):
            blob = await replica.upload(octets(letter(number)))
            append = Append(id=operation_id(), mailbox=box, blob=blob.id, size=blob.size)
            await replica.stage([append], login="ann")
            await replica.settle([append.id], Delivery.DELIVERED)
        async with asyncio.timeout(5):
            await replica.carried_out()
        for _ in range(4):
            for box in boxes:
                await replica.refresh(box)
        assert [len(await everything(replica, box)) for box in boxes] == [0, 0]
