"""Replica: mail of another source, kept here, served from here, changed here first.

A StagingSource over any MailSource.  It serves what it has, whether its origin can be reached or not;
takes operations, shows what they do and answers at once; and carries them out at the origin.

    async with Replica(account=1, upstream=source, journal=journal, path=path) as replica:
        ...

The parts: `staging` and `settling` take operations, `outbox` carries them out, `mirror` and `news` take
in what happens at the origin, `listing` and `bodies` hold summaries and content.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mailferry import observe
from mailferry.mail.changes import Changes
from mailferry.mail.errors import MailError, StorageDamaged
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
    Attempt,
    Delivery,
    HistoryEntry,
    Operation,
    OperationId,
    OperationState,
    Outcome,
    Probe,
    Staged,
)
from mailferry.mail.query import Query, SearchResult
from mailferry.mail.source import CHANGES_LIMIT, BlobReader, MailSource
from mailferry.sources.replica.bodies import Bodies
from mailferry.sources.replica.concluding import Concluding
from mailferry.sources.replica.content import Content
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.keeping import Keeping
from mailferry.sources.replica.listing import Listing
from mailferry.sources.replica.mirror import Mirror
from mailferry.sources.replica.news import News
from mailferry.sources.replica.opening import close_account, open_account
from mailferry.sources.replica.outbox import Outbox
from mailferry.sources.replica.passing_on import PassingOn
from mailferry.sources.replica.recovering import Recovering
from mailferry.sources.replica.searching import Searching
from mailferry.sources.replica.settings import ReplicaSettings
from mailferry.sources.replica.settling import Settling
from mailferry.sources.replica.staging import Staging
from mailferry.sources.replica.uploads import Uploads
from mailferry.sources.watch import Watch
from mailferry.store import operations, view
from mailferry.store.journal import Journal
from mailferry.store.replica import ReplicaStore
from mailferry.sync.fold import is_selectable
from mailferry.sync.journal import Event

_log = observe.logger(__name__)


class Replica:
    """The mail of one account."""

    def __init__(
        self,
        *,
        account: int,
        upstream: MailSource,
        journal: Journal,
        path: Path,
        settings: ReplicaSettings | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open nothing yet: use it as a context manager.

        `journal` is open and stays so for longer; `path` is the replica file; `upstream` is closed
        by whoever opened it.
        """
        core = self._core = Core(
            account=account,
            upstream=upstream,
            journal=journal,
            store=ReplicaStore(path),
            settings=settings or ReplicaSettings(),
            clock=clock,
        )
        content = Content(core)
        recovering = Recovering(core)
        self._uploads = Uploads(core, content)
        self._listing = Listing(core)
        self._bodies = Bodies(core, content, self._listing)
        self._mirror = Mirror(core, News(core, self._listing), recovering)
        self._settling = Settling(core)
        self._staging = Staging(core, self._settling)
        concluding = Concluding(core, self._mirror, recovering, self._bodies.adopt)
        self._outbox = Outbox(core, concluding, self._mirror, self)
        self._searching = Searching(core, content, self._bodies)
        self._keeping = Keeping(core, self._uploads, self._bodies)
        self._passing_on = PassingOn(core, self._staging, self._uploads)
        self._stack = AsyncExitStack()
        self._abandoned = False

    def __repr__(self) -> str:
        core = self._core
        return (
            f"<Replica {core.account} [{len(core.boxes)} mailboxes, {len(core.pending)} waiting]>"
        )

    # Life

    async def __aenter__(self) -> Self:
        """Open the account and begin to keep it up with its origin.

        Raises:
            StorageDamaged, StorageFull: the text says what to do.
        """
        core = self._core
        async with AsyncExitStack() as stack:
            stack.push_async_exit(self._close_file)
            await open_account(core)
            await self._settling.happen(list(core.pending), Event.RESTARTED)
            await self._keeping.clean_up()
            long_running = await stack.enter_async_context(asyncio.TaskGroup())
            short = await stack.enter_async_context(asyncio.TaskGroup())
            core.start(long_running, short)
            for work in (
                core.store.alarm.wait,
                core.journal.alarm.wait,
                self._settling.run,
                self._mirror.run,
                self._mirror.follow,
                self._outbox.run,
                self._listing.run,
                self._bodies.run,
                self._keeping.run,
            ):
                core.begin(_kept_running(work, core.settings.no_room_delay_s))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish what is being written, stop, and close the file.

        Raises:
            BaseExceptionGroup: something failed in the background; open the account anew.
        """
        if not self._abandoned:
            await self._settling.write_owed()
        self._core.stop()
        stack, self._stack = self._stack, AsyncExitStack()
        if isinstance(exc, asyncio.CancelledError):  # It may come from a part that failed.
            await stack.__aexit__(exc_type, exc, traceback)
        else:  # What went wrong with who uses us is no failure of ours.
            await stack.aclose()

    async def _close_file(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        in_order = exc is None or isinstance(exc, asyncio.CancelledError)
        if in_order and not self._abandoned and not self._core.edits_owed:
            await close_account(self._core)
        else:  # Not in order: the next time it is compared with the journal.
            await self._core.store.close()

    async def aclose(self) -> None:
        """See MailSource."""
        try:
            await self.__aexit__(None, None, None)
        except Exception:  # noqa: BLE001 - the contract: never raises
            _log.exception("the replica was not closed in order account=%d", self._core.account)

    def abandon(self) -> None:
        """Let go of everything as a crash would; for tests of crashes."""
        self._abandoned = True
        self._core.store.abandon()

    # Reading

    async def mailboxes(self) -> Sequence[Mailbox]:
        """See MailSource."""
        core = self._core
        return [
            Mailbox(
                id=each.id,
                path=each.path,
                attributes=each.attributes,
                subscribed=each.path in core.shown.subscribed,
                status=core.status(each) if is_selectable(each) else None,
            )
            for each in core.shown.mailboxes
        ] + core.subscribed_names()

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        """See MailSource."""
        core = self._core
        box = core.shown_box(mailbox)
        return view.changes(
            core.store.reader,
            box.id,
            box.uid_validity,
            since,
            limit=limit,
            flags_of=core.store.flags,
        )

    def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        """See MailSource."""
        return self._listing.summaries(mailbox, messages, what)

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        """See MailSource."""
        return await self._bodies.body(mailbox, message, section, offset)

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        """See MailSource."""
        return await self._searching.search(mailbox, query)

    def watch(self) -> Watch:
        """See MailSource."""
        return self._core.watchers.watch()

    async def refresh(self, mailbox: MailboxId | None) -> None:
        """See StagingSource."""
        await self._mirror.refresh(mailbox)

    @property
    def reachable(self) -> bool | None:
        """Whether the origin answered last; None: it was not tried yet."""
        return self._core.line.reachable

    @property
    def waiting(self) -> int:
        """How many operations are committed and not carried out yet."""
        return sum(each.state is not OperationState.STAGED for each in self._core.pending)

    async def carried_out(self) -> None:
        """Return when everything that is committed has been carried out, or was refused."""
        while self.waiting:
            await self._core.pending.ended.wait()
        # What follows from the last one may still be on its way into the file: edits are made in order.
        await self._core.store.write(lambda _: None)

    # Changing

    async def upload(self, chunks: AsyncIterator[bytes]) -> Blob:
        """See StagingSource."""
        return await self._uploads.upload(chunks)

    def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
        """See BlobReader."""
        return self._uploads.read(blob, offset)

    async def stage(self, operations: Sequence[Operation], *, login: str) -> Sequence[Staged]:
        """See StagingSource."""
        return await self._staging.stage(operations, login)

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        """See StagingSource."""
        await self._settling.settle(ids, delivery)

    async def history(self, since: int = 0, *, limit: int = 1000) -> Sequence[HistoryEntry]:
        """See StagingSource."""
        core = self._core
        return await core.journal.read(
            lambda connection: operations.history(
                connection, core.account, since=since, limit=limit
            )
        )

    # For another replica

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        """See MailSource; operations are known by their ids here."""
        return self._passing_on.probe(operation)

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        """See MailSource."""
        return await self._passing_on.apply(attempts, blobs)

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        """See MailSource; what an operation made is in the journal."""
        del taken
        return await self._passing_on.lookup(attempt)


async def _kept_running(
    work: Callable[[], Coroutine[Any, Any, None]], no_room_delay_s: float
) -> None:
    """Run a part for as long as the replica lives, also when the disk is full for a while."""
    while True:
        try:
            await work()
        except MailError as exc:
            if isinstance(exc, StorageDamaged):
                raise
            _log.warning("a part of the replica was interrupted reason=%s", exc)
            await asyncio.sleep(no_room_delay_s)
        else:
            return
