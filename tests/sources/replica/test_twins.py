"""Two operations that make the same, told apart after we died before the answers came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.operation import Append, Attempt, Delivery, Outcome
from mailferry.mail.source import BlobReader
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.letters import note
from tests.contract.world import everything, inbox_of, operation_id
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine

IN_TIME_S = 10


class NeverTelling(BadLine):
    """Carries out, and never comes back to tell."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.telling = False
        self.carried_out = asyncio.Event()

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        outcomes = await super().apply(attempts, blobs)
        if not self.telling:
            self.carried_out.set()
            await asyncio.Event().wait()
        return outcomes


async def append(replica: Replica, inbox: MailboxId, data: bytes) -> Append:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    blob = await replica.upload(chunks())
    operation = Append(id=operation_id(), mailbox=inbox, blob=blob.id, size=blob.size)
    await replica.stage([operation], login="ann")
    return operation


async def test_two_identical_appends_are_two_after_a_crash(tmp_path: Path) -> None:
    origin = MemorySource()
    inbox = await inbox_of(origin)
    line = NeverTelling(origin)
    aboard = Aboard(tmp_path / "node", line)
    async with aboard.open_and_crash() as replica, asyncio.timeout(IN_TIME_S):
        await replica.refresh(None)
        here = await inbox_of(replica)
        appends = [await append(replica, here, note(1)) for _ in range(2)]
        await replica.settle([each.id for each in appends], Delivery.DELIVERED)
        await line.carried_out.wait()
    line.telling = True
    async with aboard.open() as replica, asyncio.timeout(IN_TIME_S):
        await replica.carried_out()
    assert len(await everything(origin, inbox)) == 2
