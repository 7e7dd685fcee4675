"""Somebody who works at a staging source as a face does."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mailferry.mail.mailbox import INBOX, MailboxId, MailboxPath
from mailferry.mail.message import CHUNK_LENGTH_MAX, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    CreateMailbox,
    Delivery,
    Expunge,
    Operation,
    OperationState,
    SetFlags,
    Staged,
)
from mailferry.mail.source import StagingSource
from tests.contract.letters import ARRIVED
from tests.contract.world import (
    Follower,
    StagingWorld,
    everything,
    mailbox_of,
    octets_of,
    operation_id,
    summaries,
)


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), CHUNK_LENGTH_MAX):
        yield data[at : at + CHUNK_LENGTH_MAX]


class Client:
    """Works at a staging source as a face does."""

    def __init__(self, world: StagingWorld, inbox: MailboxId) -> None:
        self.world = world
        self.source: StagingSource = world.source
        self.inbox = inbox

    async def stage(self, *operations: Operation) -> list[Staged]:
        staged = await self.source.stage(operations, login="ann")
        assert [each.id for each in staged] == [each.id for each in operations]
        return list(staged)

    async def settle(self, delivery: Delivery, *operations: Operation) -> None:
        await self.source.settle([each.id for each in operations], delivery)

    async def do(self, *operations: Operation) -> list[Staged]:
        """Stage, and have the answer delivered."""
        staged = await self.stage(*operations)
        await self.settle(Delivery.DELIVERED, *operations)
        return staged

    async def append(self, data: bytes, *flags: Flag, mailbox: MailboxId | None = None) -> Append:
        blob = await self.source.upload(in_chunks(data))
        return Append(
            id=operation_id(),
            mailbox=mailbox or self.inbox,
            blob=blob.id,
            size=blob.size,
            flags=frozenset(flags),
            internal_date=ARRIVED,
        )

    async def put(self, *letters: bytes, flags: tuple[Flag, ...] = ()) -> list[MessageId]:
        """Have letters in the INBOX, here and at the origin."""
        appends = [await self.append(letter, *flags) for letter in letters]
        staged = await self.do(*appends)
        await self.world.come_to_rest()
        return [each.created[0].id for each in staged]

    async def create(self, *path: str) -> MailboxId:
        [staged] = await self.do(CreateMailbox(id=operation_id(), path=path))
        assert staged.mailbox is not None
        return staged.mailbox

    def set_flags(
        self, *messages: MessageId, add: tuple[Flag, ...] = (), remove: tuple[Flag, ...] = ()
    ) -> SetFlags:
        return SetFlags(
            id=operation_id(),
            mailbox=self.inbox,
            messages=messages,
            add=frozenset(add),
            remove=frozenset(remove),
        )

    def expunge(self, *messages: MessageId) -> Expunge:
        return Expunge(id=operation_id(), mailbox=self.inbox, messages=messages)

    async def shown(self) -> dict[int, frozenset[Flag]]:
        """Flags by UID, of the INBOX."""
        follower = Follower(self.source, self.inbox)
        await follower.follow()
        return {follower.uids[each]: flags for each, flags in follower.flags.items()}

    async def at_origin(self, path: MailboxPath = INBOX) -> dict[bytes, frozenset[Flag]]:
        """Flags by content, of a mailbox at the origin, once everything committed has got there."""
        await self.world.come_to_rest()
        origin = self.world.origin
        mailbox = (await mailbox_of(origin, path)).id
        ids = await everything(origin, mailbox)
        found = await summaries(origin, mailbox, ids)
        return {
            await octets_of(origin, mailbox, each.id): each.flags or frozenset() for each in found
        }

    async def paths_at_origin(self) -> set[MailboxPath]:
        await self.world.come_to_rest()
        return {box.path for box in await self.world.origin.mailboxes() if box.selectable}

    async def state_of(self, operation: Operation) -> OperationState:
        [entry] = [e for e in await self.source.history() if e.operation.id == operation.id]
        return entry.state
