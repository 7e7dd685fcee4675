"""What a contract test works with: the source under test, and a third party at its origin."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Protocol

from mailferry.mail.changes import Changes
from mailferry.mail.mailbox import INBOX, Mailbox, MailboxId, MailboxPath, State
from mailferry.mail.message import (
    CHUNK_LENGTH_MAX,
    LISTING,
    WHOLE,
    BlobId,
    Flag,
    MessageId,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    CreateMailbox,
    Operation,
    OperationId,
    Outcome,
)
from mailferry.mail.source import MailSource, StagingSource
from tests.contract.letters import ARRIVED

_numbers = count(1)


def operation_id() -> OperationId:
    return OperationId(f"{next(_numbers):032x}")


class Blobs:
    """Content that committed operations refer to (BlobReader)."""

    def __init__(self) -> None:
        self._data: dict[BlobId, bytes] = {}

    def keep(self, data: bytes) -> BlobId:
        blob = BlobId(hashlib.sha256(data).hexdigest())
        self._data[blob] = data
        return blob

    async def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
        for at in range(offset, len(self._data[blob]), CHUNK_LENGTH_MAX):
            yield self._data[blob][at : at + CHUNK_LENGTH_MAX]


class Party:
    """Somebody who works directly at a source with committed operations, as a replica does."""

    def __init__(self, source: MailSource) -> None:
        self.source = source
        self.blobs = Blobs()

    async def apply(self, *operations: Operation) -> Sequence[Outcome]:
        attempts = [
            Attempt(operation=op, probe=await self.source.probe(op, self.blobs))
            for op in operations
        ]
        return await self.source.apply(attempts, self.blobs)

    async def done(self, *operations: Operation) -> list[Applied]:
        """Apply what must succeed."""
        outcomes = await self.apply(*operations)
        applied = [outcome for outcome in outcomes if isinstance(outcome, Applied)]
        assert len(applied) == len(operations), outcomes
        return applied

    def append(
        self,
        mailbox: MailboxId,
        data: bytes,
        flags: Iterable[Flag] = (),
        internal_date: datetime = ARRIVED,
    ) -> Append:
        return Append(
            id=operation_id(),
            mailbox=mailbox,
            blob=self.blobs.keep(data),
            size=len(data),
            flags=frozenset(flags),
            internal_date=internal_date,
        )

    async def deliver(
        self, mailbox: MailboxId, *letters: bytes, flags: Iterable[Flag] = ()
    ) -> list[MessageId]:
        """Put letters into a mailbox; return their ids here, ascending."""
        before = set(await everything(self.source, mailbox))
        await self.done(*[self.append(mailbox, letter, flags) for letter in letters])
        return sorted(set(await everything(self.source, mailbox)) - before)

    async def create(self, *path: str) -> MailboxId:
        await self.done(CreateMailbox(id=operation_id(), path=path))
        return (await mailbox_of(self.source, path)).id


class World(Protocol):
    """One kind of source, made afresh for one test."""

    @property
    def source(self) -> MailSource:
        """The source under test."""
        ...

    @property
    def origin(self) -> MailSource:
        """Where a third party brings about what the source then has to show."""
        ...

    async def catch_up(self) -> None:
        """Return when the source shows what happened at the origin."""
        ...


class StagingWorld(World, Protocol):
    """One kind of staging source, made afresh for one test."""

    @property
    def source(self) -> StagingSource: ...

    async def come_to_rest(self) -> None:
        """Return when everything that was committed is at the origin."""
        ...


# Asking a source


async def mailbox_of(source: MailSource, path: MailboxPath) -> Mailbox:
    found = [mailbox for mailbox in await source.mailboxes() if mailbox.path == path]
    assert len(found) == 1, f"{path}: {found}"
    return found[0]


async def inbox_of(source: MailSource) -> MailboxId:
    return (await mailbox_of(source, INBOX)).id


async def everything(source: MailSource, mailbox: MailboxId) -> list[MessageId]:
    """The ids of all messages, ascending."""
    follower = Follower(source, mailbox)
    await follower.follow()
    return sorted(follower.flags)


async def summaries(
    source: MailSource,
    mailbox: MailboxId,
    messages: Sequence[MessageId],
    what: frozenset[SummaryItem] = LISTING,
) -> list[Summary]:
    return [
        summary async for batch in source.summaries(mailbox, messages, what) for summary in batch
    ]


async def flags_of(source: MailSource, mailbox: MailboxId, message: MessageId) -> frozenset[Flag]:
    [summary] = await summaries(source, mailbox, [message], frozenset({SummaryItem.FLAGS}))
    assert summary.flags is not None
    return summary.flags


async def octets_of(
    source: MailSource,
    mailbox: MailboxId,
    message: MessageId,
    section: Section = WHOLE,
    offset: int = 0,
) -> bytes:
    body = await source.body(mailbox, message, section, offset)
    chunks = [chunk async for chunk in body.chunks]
    assert all(0 < len(chunk) <= CHUNK_LENGTH_MAX for chunk in chunks)
    data = b"".join(chunks)
    assert len(data) == max(0, body.size - offset)
    return data


async def all_octets(source: MailSource, mailbox: MailboxId) -> list[bytes]:
    """The content of all messages, sorted."""
    ids = await everything(source, mailbox)
    return sorted([await octets_of(source, mailbox, each) for each in ids])


@dataclass
class Follower:
    """Keeps a picture of a mailbox by its changes alone, as everybody does who uses a source."""

    source: MailSource
    mailbox: MailboxId
    flags: dict[MessageId, frozenset[Flag]] = field(default_factory=dict)
    uids: dict[MessageId, int] = field(default_factory=dict)
    modseqs: dict[MessageId, int] = field(default_factory=dict)
    state: State | None = None
    steps: list[Changes] = field(default_factory=list)

    async def follow(self, limit: int = 1000) -> None:
        """Take in all that changed."""
        self.steps = []
        has_more = True
        while has_more:
            changes = await self.source.changes(self.mailbox, self.state, limit=limit)
            named = len(changes.created) + len(changes.updated) + len(changes.destroyed)
            assert named <= limit
            await self._take(changes)
            self.steps.append(changes)
            assert len(self.steps) < 10_000
            has_more = changes.has_more

    async def _take(self, changes: Changes) -> None:
        for message in (*changes.created, *changes.updated):
            assert self.uids.setdefault(message.id, message.uid) == message.uid
            self.flags[message.id] = message.flags
            self.modseqs[message.id] = message.modseq
        for gone in changes.destroyed:
            self.flags.pop(gone, None)
        if changes.present is not None:
            present = {
                MessageId(each)
                for first, last in changes.present
                for each in range(first, last + 1)
            }
            for gone in set(self.flags) - present:
                del self.flags[gone]
            new = sorted(present - set(self.flags))
            for summary in await summaries(self.source, self.mailbox, new, LISTING):
                assert summary.flags is not None
                self.flags[summary.id] = summary.flags
        self.state = changes.new_state


async def next_event_of_kind(events: AsyncIterator[object], wanted: object) -> None:
    """Take events until the wanted one came."""
    async with asyncio.timeout(10):
        async for event in events:
            if event == wanted:
                return
    raise AssertionError(f"the watch ended before {wanted}")


async def close(chunks: AsyncIterator[bytes]) -> None:
    """Give up a body before its end."""
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
