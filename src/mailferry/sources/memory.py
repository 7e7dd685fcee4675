"""MemorySource: a whole StagingSource in memory.

The reference for what the interface means, the model that tests compare with, the mail of the
demonstration's server, and an upstream for tests: as one it answers like a mail server, which knows
nothing of operation ids, so that carrying out twice is avoided by `probe` and `lookup` alone.

Staged operations show at once to everybody.  Committing one only ends the possibility to withdraw
it: there is no server behind this source to be told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

from mailferry.mail.changes import Changes
from mailferry.mail.errors import (
    MailboxExists,
    MailboxNameInvalid,
    MailboxNotFound,
    MailError,
    MessageNotFound,
    MessageTooLarge,
    NotPermitted,
    OverQuota,
)
from mailferry.mail.mailbox import Mailbox, MailboxId, State
from mailferry.mail.message import (
    WHOLE,
    Blob,
    BlobId,
    Body,
    MessageId,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.mail.operation import (
    Append,
    Attempt,
    Delivery,
    HistoryEntry,
    Nature,
    Operation,
    OperationId,
    OperationState,
    Outcome,
    Probe,
    Refused,
    Staged,
    Untried,
)
from mailferry.mail.query import Query, SearchResult
from mailferry.mail.source import CHANGES_LIMIT, BlobReader
from mailferry.sources import matching
from mailferry.sources.memory_account import TOMBSTONES_MAX, Account, Message
from mailferry.sources.memory_content import StoredContent
from mailferry.sources.memory_operations import (
    Effect,
    carry_out,
    lookup,
    narrowed,
    paths_of,
    probe,
)
from mailferry.sources.watch import Watch, Watchers

MESSAGE_LENGTH_MAX: Final = 256 * 1024 * 1024  # Octets; all of it is held in memory here.
UPLOADS_MAX: Final = 16  # Blobs kept that nothing refers to: those of appends about to be staged.
HISTORY_MAX: Final = 10_000  # Entries: a test's or a demonstration's worth.
SUMMARIES_BATCH: Final = 500  # Messages: a batch is built between two turns of the event loop.

_REFUSALS: Final[dict[type[MailError], str]] = {
    MailboxNotFound: "NONEXISTENT",
    MailboxExists: "ALREADYEXISTS",
    MailboxNameInvalid: "CANNOT",
    NotPermitted: "NOPERM",
    OverQuota: "OVERQUOTA",
    MessageTooLarge: "LIMIT",
}
"""Response codes (RFC 5530 §3, RFC 9738 §3) of what a server refuses."""


@dataclass(slots=True)
class _Pending:
    operation: Operation
    effect: Effect


class MemorySource:
    """All of an account's mail in memory (StagingSource).

    Deterministic: the clock is passed in; ids and UIDs count up; UIDVALIDITY comes from the clock.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        message_length_max: int = MESSAGE_LENGTH_MAX,
        quota_octets: int | None = None,
        tombstones_max: int = TOMBSTONES_MAX,
    ) -> None:
        self._clock = clock
        self._message_length_max = message_length_max
        self._account = Account(clock, tombstones_max=tombstones_max, quota_octets=quota_octets)
        self._contents: WeakValueDictionary[BlobId, StoredContent] = WeakValueDictionary()
        self._uploads: OrderedDict[BlobId, StoredContent] = OrderedDict()
        self._pending: dict[OperationId, _Pending] = {}
        self._history: dict[OperationId, HistoryEntry] = {}
        """In the order of staging; the oldest are dropped past HISTORY_MAX."""
        self._staged_count = 0
        self._watchers = Watchers()

    # Reading

    async def mailboxes(self) -> Sequence[Mailbox]:
        """See MailSource."""
        return tuple(self._account.mailboxes())

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        """See MailSource."""
        return self._account.box(mailbox).changes(since, limit)

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        """See MailSource."""
        box = self._account.box(mailbox)
        for first in range(0, len(messages), SUMMARIES_BATCH):
            asked = (box.messages.get(each) for each in messages[first : first + SUMMARIES_BATCH])
            yield [_summary(message, what) for message in asked if message is not None]

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        """See MailSource."""
        content = self._account.box(mailbox).get(message).stored
        begin, end = content.section(section)
        return Body(end - begin, content.chunks(begin + offset, end))

    def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
        """See BlobReader."""
        content = self._content(blob)
        return content.chunks(offset, len(content.data))

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        """See MailSource."""
        messages = tuple(self._account.box(mailbox).messages.values())
        found = await matching.search(query, messages)
        return SearchResult(found.matching)

    def watch(self) -> Watch:
        """See MailSource."""
        return self._watchers.watch()

    async def refresh(self, mailbox: MailboxId | None) -> None:
        """See StagingSource; nobody else brings mail here."""

    async def aclose(self) -> None:
        """See MailSource."""
        self._watchers.close()

    # Changing, for a face

    async def upload(self, chunks: AsyncIterator[bytes]) -> Blob:
        """See StagingSource."""
        content = self._keep(await self._read(chunks))
        self._uploads[content.id] = content
        self._uploads.move_to_end(content.id)
        while len(self._uploads) > UPLOADS_MAX:
            self._uploads.popitem(last=False)
        return Blob(content.id, len(content.data))

    async def stage(self, operations: Sequence[Operation], *, login: str) -> Sequence[Staged]:
        """See StagingSource."""
        restore = self._account.snapshot() if len(operations) > 1 else None
        done: list[tuple[HistoryEntry, _Pending]] = []
        try:
            for operation in operations:
                entry = self._entry(operation, login, len(done))
                effect = carry_out(self._account, operation, self._appended)
                done.append((entry, _Pending(operation, effect)))
        except MailError:
            if restore is not None:
                restore()
            raise
        for entry, pending in done:
            self._staged_count += 1
            self._history[pending.operation.id] = entry
            self._pending[pending.operation.id] = pending
        while len(self._history) > HISTORY_MAX:
            del self._history[next(iter(self._history))]
        self._publish(pending.effect for _, pending in done)
        return tuple(pending.effect.staged for _, pending in done)

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        """See StagingSource."""
        for key in ids:
            pending = self._pending.pop(key, None)
            if pending is None:
                continue
            adds = pending.operation.nature is Nature.ADDS
            if delivery is Delivery.DELIVERED or adds:
                self._note(key, OperationState.APPLIED, "")
                continue
            self._note(key, OperationState.WITHDRAWN, "not answered")
            try:
                pending.effect.withdraw()
            except MailboxNotFound as exc:
                self._note(key, OperationState.WITHDRAWN, f"not answered; not undone: {exc}")
            self._publish([pending.effect])

    async def history(self, since: int = 0, *, limit: int = 1000) -> Sequence[HistoryEntry]:
        """See StagingSource."""
        later = (entry for entry in self._history.values() if entry.sequence > since)
        return tuple(islice(later, limit))

    # Changing, for a replica

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        """See MailSource."""
        return probe(self._account, operation)

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        """See MailSource."""
        return [await self._apply(attempt.operation, blobs) for attempt in attempts]

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        """See MailSource."""
        return lookup(self._account, attempt, taken)

    async def _apply(self, operation: Operation, blobs: BlobReader) -> Outcome:
        try:
            appended = None
            if isinstance(operation, Append):
                self._account.box(operation.mailbox)
                appended = self._keep(await self._read(blobs.read_blob(operation.blob)))
            effect = carry_out(
                self._account,
                narrowed(self._account, operation),
                lambda append: appended or self._content(append.blob),
            )
        except MailError as exc:
            if exc.temporary:
                return Untried(reason=str(exc))
            return Refused(reason=str(exc), code=_REFUSALS.get(type(exc), ""))
        self._publish([effect])
        return effect.applied

    # StoredContent

    async def _read(self, chunks: AsyncIterator[bytes]) -> bytes:
        data = bytearray()
        async for chunk in chunks:
            data += chunk
            if len(data) > self._message_length_max:
                raise MessageTooLarge(f"over {self._message_length_max} octets")
        return bytes(data)

    def _keep(self, data: bytes) -> StoredContent:
        content = StoredContent(data)
        return self._contents.setdefault(content.id, content)

    def _content(self, blob: BlobId) -> StoredContent:
        content = self._contents.get(blob)
        if content is None:
            raise MessageNotFound(f"no blob {blob}")
        return content

    def _appended(self, operation: Append) -> StoredContent:
        return self._content(operation.blob)

    # Journal and events

    def _entry(self, operation: Operation, login: str, before: int) -> HistoryEntry:
        path, target = paths_of(self._account, operation)
        return HistoryEntry(
            sequence=self._staged_count + before + 1,
            operation=operation,
            state=OperationState.STAGED,
            login=login,
            mailbox=path,
            target=target,
            staged_at=self._clock(),
            settled_at=None,
            done_at=None,
            reason="",
        )

    def _note(self, key: OperationId, state: OperationState, reason: str) -> None:
        entry = self._history.get(key)
        if entry is not None:
            now = self._clock()
            self._history[key] = replace(
                entry,
                state=state,
                settled_at=now,
                done_at=now if state is OperationState.APPLIED else None,
                reason=reason,
            )

    def _publish(self, effects: Iterable[Effect]) -> None:
        for event in {event: None for effect in effects for event in effect.events}:
            self._watchers.publish(event)


def _summary(message: Message, what: frozenset[SummaryItem]) -> Summary:
    content = message.stored
    return Summary(
        id=message.id,
        uid=message.uid,
        flags=message.flags if SummaryItem.FLAGS in what else None,
        modseq=message.modseq,
        internal_date=message.internal_date if SummaryItem.INTERNAL_DATE in what else None,
        size=len(content.data) if SummaryItem.SIZE in what else None,
        envelope=content.envelope if SummaryItem.ENVELOPE in what else None,
        body_structure=content.body_structure if SummaryItem.BODY_STRUCTURE in what else None,
        header_fields=content.listed_fields if SummaryItem.HEADER_FIELDS in what else None,
        header=content.header if SummaryItem.HEADER in what else None,
        email_id=f"M{content.id[:24]}" if SummaryItem.EMAIL_ID in what else None,
    )
