"""What the parts of a replica share: the stores, the picture of what waits, and the list shown.

The parts are modules of their own (`staging`, `mirror`, `outbox`, `bodies`...); none knows another
but through what is here or what it was given.  Everything here lives on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from mailferry import observe
from mailferry.mail.changes import MailboxChanged, MailboxesChanged, Reachability
from mailferry.mail.errors import MailboxNotFound, SourceUnavailable, StorageDamaged, StorageFull
from mailferry.mail.mailbox import Mailbox, MailboxId, MailboxPath, MailboxStatus
from mailferry.mail.source import MailSource
from mailferry.sources.replica.line import Line
from mailferry.sources.replica.pending import Pending, touched_by
from mailferry.sources.replica.settings import ReplicaSettings
from mailferry.sources.watch import Watchers
from mailferry.store import view
from mailferry.store.codec import mailbox_id, mailbox_key
from mailferry.store.database import Connection
from mailferry.store.journal import Journal
from mailferry.store.replica import ReplicaStore
from mailferry.store.shown import Edit
from mailferry.sync.fold import ListedMailbox, MailboxList, fold_mailboxes, is_selectable

RECOVERED: Final[MailboxPath] = ("Recovered",)
"""Holds mail that has lost its place.  Shown also where the server refuses to have it."""

DOUBT_FACTOR_MAX: Final = 4  # Times the server's settling time: then the others' mail goes first.

_NOT_RUNNING: Final = "the account is not open"

T = TypeVar("T")

_log = observe.logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A mailbox: our numbers, and what the server says of it."""

    id: int
    path: MailboxPath
    """As at the server, or as it was born here."""
    attributes: frozenset[str] = frozenset()
    uid_validity: int
    at_server: bool
    """Certainly there, though `remote` may have to be found by the path."""
    remote: MailboxId | None

    @property
    def listed(self) -> ListedMailbox:
        """The mailbox as an item of the list."""
        return ListedMailbox(id=mailbox_id(self.id), path=self.path, attributes=self.attributes)


class Core:
    """The common ground of a replica's parts."""

    def __init__(
        self,
        *,
        account: int,
        upstream: MailSource,
        journal: Journal,
        store: ReplicaStore,
        settings: ReplicaSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self.account = account
        self.upstream = upstream
        self.journal = journal
        self.store = store
        self.settings = settings
        self.clock = clock
        self.watchers = Watchers()
        self.line = Line(settings, self._reachability)
        self.pending = Pending()
        self.boxes: dict[int, Box] = {}
        self.subscribed: frozenset[MailboxPath] = frozenset()
        """The server's list of subscribed names."""
        self.shown = MailboxList(mailboxes=(), subscribed=frozenset())
        self.committed = asyncio.Event()
        """Set when there may be something to be carried out."""
        self.bodies_wanted = asyncio.Event()
        """Set when there may be bodies to be fetched ahead of time."""
        self.unknown_since: dict[int, float] = {}
        """Operations whose outcome is unknown: sequence -> when the line died (loop time)."""
        self.identities = asyncio.Lock()
        """Held by who gives messages other ids, and by who knows messages by their ids for longer
        than one step.  Locks are taken in the order `exchanging`, `identities`, `numbering`."""
        self.edits_owed = 0
        """Changes of what is shown that wait for room on the disk."""
        self._shown_by_id: dict[MailboxId, ListedMailbox] = {}
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._long_running: asyncio.TaskGroup | None = None
        self._short: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = False

    # Tasks

    def start(self, long_running: asyncio.TaskGroup, short: asyncio.TaskGroup) -> None:
        """Take the groups in which everything runs that outlives its caller.

        When the replica closes, what is in `long_running` is cancelled, what is `short` is awaited.
        """
        self._long_running, self._short = long_running, short

    def stop(self) -> None:
        """Cancel what runs for long, and begin nothing any more."""
        self._stopped = True
        self.watchers.close()
        for task in list(self._running):
            task.cancel()

    def begin(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Run something until it ends, the replica closes, or what is returned is called."""
        if self._long_running is None or self._stopped:
            work.close()
            raise SourceUnavailable(_NOT_RUNNING)
        task = self._long_running.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task.cancel

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something short to its end, also when the caller is cancelled meanwhile."""
        if self._short is None or self._stopped:
            work.close()
            raise SourceUnavailable(_NOT_RUNNING)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)
        self._short.create_task(_run(work, future))
        return await asyncio.shield(future)

    def finish_later(self, work: Coroutine[Any, Any, object]) -> None:
        """Run something short to its end, for nobody."""
        if self._short is None or self._stopped:
            work.close()
            return
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)
        self._short.create_task(_run(work, future))

    # Locks

    @asynccontextmanager
    async def exchanging(self, mailboxes: Iterable[int]) -> AsyncIterator[None]:
        """Have these mailboxes alone for an exchange with the server.

        So that news of a mailbox are never taken in from before an operation was carried out there
        and after it was noted here.
        """
        async with self._hold("exchange", mailboxes):
            yield

    @asynccontextmanager
    async def numbering(self, mailboxes: Iterable[int]) -> AsyncIterator[None]:
        """Have these mailboxes alone while UIDs are given and shown, so that they show in order."""
        async with self._hold("number", mailboxes):
            yield

    @asynccontextmanager
    async def _hold(self, kind: str, mailboxes: Iterable[int]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for mailbox in sorted(set(mailboxes)):  # In one order, so nobody waits in a circle.
                lock = self._locks.setdefault((kind, mailbox), asyncio.Lock())
                await stack.enter_async_context(lock)
            yield

    def is_doubtful(self, mailbox: int) -> bool:
        """Whether a new message at the server may be one that was made here.

        Not for ever: where the server cannot tell, news go on, and a message that turns out to be
        ours is taken for ours then.
        """
        limit_s = DOUBT_FACTOR_MAX * self.settings.server_settle_s
        now_s = asyncio.get_running_loop().time()
        return any(
            (stored := self.pending.get(sequence)) is not None
            and mailbox in touched_by(stored.operation)
            and now_s - since_s < limit_s
            for sequence, since_s in self.unknown_since.items()
        )

    # What is shown

    def _reachability(self, event: Reachability) -> None:
        self.watchers.publish(event)
        if event.reachable:
            self.committed.set()  # What was put off for the line need not wait any longer.

    def refold_list(self) -> None:
        """Show the list of mailboxes as it is under the operations that wait."""
        said = MailboxList(
            mailboxes=tuple(
                box.listed for box in self.boxes.values() if box.at_server or box.path == RECOVERED
            ),
            subscribed=self.subscribed,
        )
        shown = fold_mailboxes(said, self.pending.list_changes())
        if shown == self.shown:
            return
        gone = {each.id for each in self.shown.mailboxes} - {each.id for each in shown.mailboxes}
        self.shown = shown
        self._shown_by_id = {mailbox.id: mailbox for mailbox in shown.mailboxes}
        self.watchers.publish(MailboxesChanged())
        for mailbox in gone:
            self.watchers.publish(MailboxChanged(mailbox))

    def shown_mailbox(self, mailbox: MailboxId) -> ListedMailbox:
        """Return a mailbox as it is shown.

        Raises:
            MailboxNotFound: it is not.
        """
        found = self._shown_by_id.get(mailbox)
        if found is None:
            raise MailboxNotFound(f"no mailbox {mailbox}")
        return found

    def shown_path(self, mailbox: MailboxId) -> MailboxPath:
        """Return what a mailbox is called, also one that is not shown any more."""
        shown = self._shown_by_id.get(mailbox)
        return self.boxes[mailbox_key(mailbox)].path if shown is None else shown.path

    def shown_box(self, mailbox: MailboxId) -> Box:
        """Return a mailbox that is shown and can hold messages.

        Raises:
            MailboxNotFound: there is none.
        """
        if not is_selectable(self.shown_mailbox(mailbox)):
            raise MailboxNotFound(f"mailbox {mailbox} holds no messages")
        return self.boxes[mailbox_key(mailbox)]

    def status(self, mailbox: ListedMailbox) -> MailboxStatus | None:
        """Return the counters of a mailbox."""
        box = self.boxes[mailbox_key(mailbox.id)]
        return view.status(self.store.reader, box.id, box.uid_validity, self.store.flags)

    def subscribed_names(self) -> list[Mailbox]:
        """Return the subscribed names that have no mailbox."""
        paths = {mailbox.path for mailbox in self.shown.mailboxes}
        return [
            Mailbox(
                id=MailboxId("name:" + "/".join(path)),
                path=path,
                attributes=frozenset({"\\NonExistent"}),
                subscribed=True,
            )
            for path in sorted(self.shown.subscribed - paths)
        ]

    async def edit(self, change: Callable[[Edit], T], messages: Iterable[int] = ()) -> T:
        """Change what is shown of `messages`, under the operations that wait; tell who watches."""
        effects = self.pending.effects(messages)

        def unit(connection: Connection) -> tuple[T, set[int]]:
            edit = Edit(connection, effects)
            return change(edit), edit.touched

        result, touched = await self.store.write(unit)
        for mailbox in touched:
            self.watchers.publish(MailboxChanged(mailbox_id(mailbox)))
        return result

    async def edit_in_the_end(
        self, change: Callable[[Edit], object], messages: Iterable[int] = ()
    ) -> None:
        """As `edit`, for what the journal says already: without room now, it is done later.

        As many may wait as there were operations to be taken back; new ones need room first.

        Raises:
            StorageFull: the replica is being opened.
        """
        named = frozenset(messages)
        try:
            await self.edit(change, named)
        except StorageFull as exc:
            if self._long_running is None:
                raise
            _log.warning("a change is shown when there is room reason=%s", exc)
            self.edits_owed += 1
            if not self._stopped:
                self.begin(self._edit_later(change, named))

    async def _edit_later(self, change: Callable[[Edit], object], messages: frozenset[int]) -> None:
        while True:
            await asyncio.sleep(self.settings.no_room_delay_s)
            try:
                await self.edit(change, messages)
            except StorageFull:
                continue
            self.edits_owed -= 1
            return


async def _run(work: Coroutine[Any, Any, T], future: asyncio.Future[T]) -> None:
    """Run something for who waits for `future`; what concerns the whole replica ends it."""
    try:
        result = await work
    except Exception as exc:
        future.set_exception(exc)
        if isinstance(exc, StorageDamaged):
            raise
    else:
        future.set_result(result)
    finally:
        if not future.done():
            future.cancel()


def _look_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # Looked at, also when its caller has gone.
