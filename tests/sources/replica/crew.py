"""Somebody who works at a replica as a face does, and who looks at both sides."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable

from mailferry.mail.mailbox import INBOX, MailboxId, MailboxPath
from mailferry.mail.message import Flag, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    Created,
    CreateMailbox,
    Delivery,
    Expunge,
    HistoryEntry,
    Move,
    Operation,
    SetFlags,
    Staged,
)
from mailferry.mail.source import MailSource
from mailferry.sources.replica.replica import Replica
from tests.contract.client import in_chunks
from tests.contract.letters import ARRIVED, crlf
from tests.contract.world import (
    Follower,
    everything,
    mailbox_of,
    octets_of,
    operation_id,
    summaries,
)


def noise(octets: int, seed: int = 1) -> bytes:
    """A letter that no compression makes smaller."""
    head = crlf("From: ann@example.org\nSubject: Noise\nMessage-ID: <noise@example.org>")
    return head + b"\r\n" + base64.encodebytes(random.Random(seed).randbytes(octets))


Mail = dict[MailboxPath, list[tuple[bytes, frozenset[Flag]]]]
"""All mail of a source: content and flags, sorted, by the names of the mailboxes."""


class Crew:
    """Works at one replica."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    async def box(self, *path: str) -> MailboxId:
        return (await mailbox_of(self.replica, path or INBOX)).id

    async def stage(self, *operations: Operation) -> list[Staged]:
        return list(await self.replica.stage(operations, login="ann"))

    async def do(self, *operations: Operation) -> list[Staged]:
        staged = await self.stage(*operations)
        await self.replica.settle([each.id for each in operations], Delivery.DELIVERED)
        return staged

    async def lose(self, *operations: Operation) -> None:
        await self.replica.settle([each.id for each in operations], Delivery.LOST)

    async def append(self, letter: bytes, *flags: Flag, box: MailboxId | None = None) -> Append:
        blob = await self.replica.upload(in_chunks(letter))
        return Append(
            id=operation_id(),
            mailbox=box or await self.box(),
            blob=blob.id,
            size=blob.size,
            flags=frozenset(flags),
            internal_date=ARRIVED,
        )

    async def put(self, letter: bytes, *flags: Flag, box: MailboxId | None = None) -> Created:
        [staged] = await self.do(await self.append(letter, *flags, box=box))
        return staged.created[0]

    async def create(self, *path: str) -> MailboxId:
        [staged] = await self.do(CreateMailbox(id=operation_id(), path=path))
        assert staged.mailbox is not None
        return staged.mailbox

    async def history(self) -> list[HistoryEntry]:
        return list(await self.replica.history())


def flags(
    box: MailboxId, *messages: MessageId, add: Iterable[Flag] = (), remove: Iterable[Flag] = ()
) -> SetFlags:
    return SetFlags(
        id=operation_id(),
        mailbox=box,
        messages=messages,
        add=frozenset(add),
        remove=frozenset(remove),
    )


def expunge(box: MailboxId, *messages: MessageId) -> Expunge:
    return Expunge(id=operation_id(), mailbox=box, messages=messages)


def copy(box: MailboxId, target: MailboxId, *messages: MessageId) -> Copy:
    return Copy(id=operation_id(), mailbox=box, messages=messages, target=target)


def move(box: MailboxId, target: MailboxId, *messages: MessageId) -> Move:
    return Move(id=operation_id(), mailbox=box, messages=messages, target=target)


async def all_mail(source: MailSource) -> Mail:
    """Everything that a source shows."""
    mail: Mail = {}
    for mailbox in await source.mailboxes():
        if not mailbox.selectable:
            continue
        ids = await everything(source, mailbox.id)
        found = await summaries(source, mailbox.id, ids)
        mail[mailbox.path] = sorted(
            [
                (await octets_of(source, mailbox.id, each.id), each.flags or frozenset())
                for each in found
            ],
            key=lambda each: (each[0], sorted(each[1])),
        )
    return mail


async def uids(source: MailSource, box: MailboxId) -> dict[MessageId, int]:
    """{id: UID} of all messages shown."""
    follower = Follower(source, box)
    await follower.follow()
    return {each: follower.uids[each] for each in follower.flags}
