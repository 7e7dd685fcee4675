"""An origin behind a line that can be cut, and that counts what goes over it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from enum import Enum, auto

from mailferry.mail.changes import Changes, Event
from mailferry.mail.errors import CannotCalculateChanges, SourceUnavailable
from mailferry.mail.mailbox import Mailbox, MailboxId, State
from mailferry.mail.message import WHOLE, Body, MessageId, Section, Summary, SummaryItem
from mailferry.mail.operation import (
    Applied,
    Attempt,
    Copy,
    Expunge,
    Move,
    Operation,
    Outcome,
    OutcomeUnknown,
    Probe,
    SetFlags,
    Untried,
)
from mailferry.mail.query import Query, SearchResult
from mailferry.mail.source import CHANGES_LIMIT, BlobReader
from mailferry.sources.memory import MemorySource


class Cut(Enum):
    """Where the line dies while operations are being carried out."""

    BEFORE = auto()
    """Nothing got there, and the origin's side knows it."""
    ASKED = auto()
    """It was asked for, nobody knows; it was not done."""
    ANSWERED = auto()
    """It was done, the answer did not arrive."""
    LATE = auto()
    """It was asked for, and the origin does it only later: see `finish`."""


class BadLine:
    """A MailSource in front of a memory source."""

    def __init__(self, origin: MemorySource) -> None:
        self.origin = origin
        self.up = True
        self.cuts: list[Cut] = []
        """What happens to the operations to come, one each; the line stays up for what follows."""
        self.cut_body_after: int | None = None
        """Octets of the next body that arrive."""
        self.calls: Counter[str] = Counter()
        self.octets = 0
        self.asked_for: list[Sequence[MessageId]] = []
        self.tells_uids = True
        """As with UIDPLUS: the names of what was made come with the outcome."""
        self.tells_flags = True
        """Otherwise changes name messages by ranges only, as an IMAP server does without CONDSTORE."""
        self.apply_in_steps: asyncio.Event | None = None
        self._late: list[tuple[Attempt, BlobReader]] = []
        self._back = asyncio.Event()

    def down(self) -> None:
        self.up = False
        self._back.clear()

    def back(self) -> None:
        self.up = True
        self._back.set()

    async def finish(self) -> None:
        """Let the origin do what it was asked for before the line died."""
        for attempt, blobs in self._late:
            await self.origin.apply([attempt], blobs)
        self._late.clear()

    def _call(self, name: str) -> None:
        self.calls[name] += 1
        if not self.up:
            raise SourceUnavailable("the line is down")

    async def mailboxes(self) -> Sequence[Mailbox]:
        self._call("mailboxes")
        return await self.origin.mailboxes()

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        self._call("changes")
        if self.tells_flags:
            return await self.origin.changes(mailbox, since, limit=limit)
        return await self._ranges(mailbox)

    async def _ranges(self, mailbox: MailboxId) -> Changes:
        changes = await self.origin.changes(mailbox, None, limit=1_000_000)
        present = tuple(sorted((each.id, each.id) for each in changes.created))
        return Changes(present=present, new_state=changes.new_state)

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        self._call("summaries")
        self.asked_for.append(messages)
        async for batch in self.origin.summaries(mailbox, messages, what):
            self._check()
            yield batch

    def _check(self) -> None:
        if not self.up:
            raise SourceUnavailable("the line went down")

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        self._call("body")
        body = await self.origin.body(mailbox, message, section, offset)
        return Body(body.size, self._chunks(body))

    async def _chunks(self, body: Body) -> AsyncIterator[bytes]:
        async for chunk in body.chunks:
            self._check()
            if self.cut_body_after is not None:
                if self.cut_body_after < len(chunk):
                    self.octets += self.cut_body_after
                    part, self.cut_body_after = chunk[: self.cut_body_after], None
                    if part:
                        yield part
                    raise SourceUnavailable("the line went down")
                self.cut_body_after -= len(chunk)
            self.octets += len(chunk)
            yield chunk

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        self._call("search")
        return await self.origin.search(mailbox, query)

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        self._call("probe")
        return await self.origin.probe(operation, blobs)

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        self.calls["apply"] += 1
        outcomes: list[Outcome] = []
        for attempt in attempts:
            if self.apply_in_steps is not None:
                await self.apply_in_steps.wait()
            cut = self.cuts.pop(0) if self.cuts else None
            if not self.up or cut is Cut.BEFORE:
                outcomes.append(Untried(reason="the line is down"))
            elif cut is Cut.ASKED:
                outcomes.append(OutcomeUnknown(reason="the line went down"))
            elif cut is Cut.LATE:
                self._late.append((attempt, blobs))
                outcomes.append(OutcomeUnknown(reason="the line went down"))
            else:
                [outcome] = await self.origin.apply([attempt], blobs)
                if cut is Cut.ANSWERED:
                    outcome = OutcomeUnknown(reason="the line went down")
                outcomes.append(self._told(outcome))
        return outcomes

    def _told(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Applied) and not self.tells_uids:
            return replace(outcome, created=())
        return outcome

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        self._call("lookup")
        return self._told(await self.origin.lookup(attempt, taken))

    async def watch(self) -> AsyncIterator[Event]:
        self._call("watch")
        async for event in self.origin.watch():
            self._check()
            yield event

    async def aclose(self) -> None:
        return


class Renumbering(BadLine):
    """An origin that calls all its messages by new names when it is told to."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.epoch = 1

    def _out(self, message: MessageId) -> MessageId:
        return MessageId(message + (self.epoch << 32))

    def _in(self, message: MessageId) -> MessageId:
        return MessageId(message - (self.epoch << 32))

    async def mailboxes(self) -> Sequence[Mailbox]:
        found = await super().mailboxes()
        return [
            replace(each, status=replace(each.status, state=self._state(each.status.state)))
            if each.status is not None
            else each
            for each in found
        ]

    def _state(self, state: State | None) -> State:
        return State(f"{self.epoch}:{state}")

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        if since is not None:
            epoch, _, state = since.partition(":")
            if epoch != str(self.epoch):
                raise CannotCalculateChanges("renumbered")
            since = State(state)
        changes = await super().changes(mailbox, since, limit=limit)
        return replace(
            changes,
            created=tuple(replace(each, id=self._out(each.id)) for each in changes.created),
            updated=tuple(replace(each, id=self._out(each.id)) for each in changes.updated),
            destroyed=tuple(map(self._out, changes.destroyed)),
            new_state=self._state(changes.new_state),
        )

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        ours = [self._in(each) for each in messages]
        # A server without OBJECTID: content alone tells who is who.
        async for batch in super().summaries(mailbox, ours, what - {SummaryItem.EMAIL_ID}):
            yield [replace(each, id=self._out(each.id)) for each in batch]

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        return await super().body(mailbox, self._in(message), section, offset)

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        return await super().probe(self._taken(operation), blobs)

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        if any(self._is_old(each.operation) for each in attempts):
            return [Untried(reason="renumbered")] * len(attempts)
        taken = [replace(each, operation=self._taken(each.operation)) for each in attempts]
        return [self._given(each) for each in await super().apply(taken, blobs)]

    def _is_old(self, operation: Operation) -> bool:
        match operation:
            case SetFlags() | Expunge() | Copy() | Move():
                return any(each >> 32 != self.epoch for each in operation.messages)
            case _:
                return False

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        attempt = replace(attempt, operation=self._taken(attempt.operation))
        return self._given(await super().lookup(attempt, [self._in(each) for each in taken]))

    def _taken(self, operation: Operation) -> Operation:
        match operation:
            case SetFlags() | Expunge() | Copy() | Move():
                return replace(operation, messages=tuple(map(self._in, operation.messages)))
            case _:
                return operation

    def _given(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Applied):
            return outcome
        created = tuple(
            (self._out(original) if original else original, self._out(new))
            for original, new in outcome.created
        )
        return replace(outcome, created=created)
