"""Looking at the server: the list of mailboxes, and those in which something changed.

One look at the whole account costs one call when nothing changed: each mailbox's state is compared
with the one up to which its changes were taken in.  Who asks for news waits for a look that began
after the question; looks that are asked for at the same time are one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mailferry import observe
from mailferry.mail.changes import MailboxChanged, MailboxesChanged, Reachability
from mailferry.mail.errors import MailError, ProtocolFault, StorageFull
from mailferry.mail.mailbox import INBOX, Mailbox, MailboxId
from mailferry.sources.replica.core import Box, Core
from mailferry.sources.replica.news import MailboxGone, News
from mailferry.sources.replica.recovering import Recovering
from mailferry.store import identifiers, view
from mailferry.store.codec import mailbox_key
from mailferry.store.database import Connection
from mailferry.store.identifiers import MappedMailbox
from mailferry.store.shown import Edit
from mailferry.sync.mailbox_match import ListMatch, OurMailbox, match_mailboxes

_log = observe.logger(__name__)

_PASSING: Final = frozenset({"\\Marked", "\\Unmarked"})
"""Attributes that come and go with the mail (RFC 9051 §7.3.1): nothing to keep."""

WHOLE_ACCOUNT: Final = 0
"""Stands for the list and every mailbox, where else a mailbox is named."""


class Mirror:
    """Keeps the replica up with the server."""

    def __init__(self, core: Core, news: News, recovering: Recovering) -> None:
        self._core = core
        self._news = news
        self._recovering = recovering
        self._wanted: dict[int, list[asyncio.Future[None]]] = {}
        self._wake = asyncio.Event()
        self._failures: dict[int, int] = {}
        """Mailboxes that could not be looked at, and how often in a row."""
        self._due_at: dict[int, float] = {}
        """When to look at those again (loop time)."""

    # Asking for looks

    def want(self, mailbox: int = WHOLE_ACCOUNT) -> None:
        """Have a look taken soon."""
        self._wanted.setdefault(mailbox, [])
        self._wake.set()

    async def look(self, mailbox: int) -> None:
        """Return when a look that begins from now on was taken, or could not be."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wanted.setdefault(mailbox, []).append(future)
        self._wake.set()
        await future

    async def refresh(self, mailbox: MailboxId | None) -> None:
        """See StagingSource.refresh."""
        key = WHOLE_ACCOUNT if mailbox is None else mailbox_key(mailbox)
        self._core.line.nudge()
        try:
            async with asyncio.timeout(self._core.settings.refresh_timeout_s):
                await self.look(key)
        except TimeoutError:
            _log.debug("no news in time mailbox=%s", key)

    # The work

    async def run(self) -> None:
        """Look when somebody asks, when something was pushed, and now and then."""
        self.want()
        while True:
            try:
                async with asyncio.timeout(self._next_look_s()):
                    while not self._wanted:
                        self._wake.clear()
                        await self._wake.wait()
            except TimeoutError:
                self._forget_due()
                self.want()
            await self._core.line.ready()
            await self._look_at_wanted()

    def _next_look_s(self) -> float:
        """Return in how many seconds to look when nobody asks."""
        interval_s = self._core.settings.poll_interval_s
        due_at = min(self._due_at.values(), default=math.inf)
        return min(interval_s, max(0.0, due_at - asyncio.get_running_loop().time()))

    def _forget_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._due_at = {key: at_s for key, at_s in self._due_at.items() if at_s > now_s}
        self._failures = {key: n for key, n in self._failures.items() if key in self._core.boxes}

    async def _look_at_wanted(self) -> None:
        mailbox = next(iter(self._wanted))
        futures = self._wanted.pop(mailbox)
        try:
            if mailbox == WHOLE_ACCOUNT:
                await self._look_at_all()
            else:
                await self._look_at(mailbox)
        except MailError as exc:
            _log.info("look interrupted mailbox=%s reason=%s", mailbox, exc)
            if isinstance(exc, StorageFull):
                raise  # The line is not to blame; it waits until there may be room.
            self._core.line.failed(exc)
            self.want()  # When the line is back there may be news anywhere.
        finally:
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def _look_at(self, mailbox: int) -> None:
        box = self._core.boxes.get(mailbox)
        if box is None:
            return
        if box.remote is None:
            await self._look_at_all()
            return
        if await self._take(mailbox):
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        statuses = await self.take_list()
        awaiting = identifiers.mailboxes_awaiting(self._core.journal.reader, statuses)
        is_gone = False
        # Those that failed come last: whatever is the matter with one, the others get their news.
        for key in sorted(statuses, key=lambda key: self._failures.get(key, 0)):
            mailbox = statuses[key]
            token = view.token(self._core.store.reader, key)
            state = None if mailbox.status is None else mailbox.status.state
            unchanged = state is not None and state == token and key not in awaiting
            if unchanged or not mailbox.selectable:
                continue
            is_gone = await self._take(key) or is_gone
        if is_gone:
            self.want()

    async def _take(self, mailbox: int) -> bool:
        """Take in the news of one mailbox; return True when the server says that it has gone.

        One that cannot be opened is left alone for a while, longer each time.  The first time
        that may be the line's fault; when the same one fails again, and the line works for others,
        it is the mailbox's.

        Raises:
            MailError: the line may have failed.
        """
        if self._due_at.get(mailbox, 0.0) > asyncio.get_running_loop().time():
            return False
        try:
            await self._news.take(mailbox)
        except MailboxGone:
            self._put_off(mailbox)
            return True
        except StorageFull:
            raise
        except MailError as exc:
            if exc.temporary and mailbox not in self._failures:
                self._failures[mailbox] = 1
                raise
            self._put_off(mailbox)
            _log.info("mailbox left alone for a while mailbox=%d reason=%s", mailbox, exc)
        else:
            self._failures.pop(mailbox, None)
            self._due_at.pop(mailbox, None)
        return False

    def _put_off(self, mailbox: int) -> None:
        settings = self._core.settings
        count = self._failures[mailbox] = self._failures.get(mailbox, 0) + 1
        doubled_s = settings.retry_delay_s * 2 ** min(count - 1, 20)
        delay_s = min(doubled_s, settings.poll_interval_s)
        self._due_at[mailbox] = asyncio.get_running_loop().time() + delay_s

    # The list

    async def take_list(self) -> dict[int, Mailbox]:
        """Take in the server's list of mailboxes; return {our key: theirs}.

        Raises:
            MailError: as the server's, and ProtocolFault for a list that cannot be true.
        """
        async with self._core.exchanging([WHOLE_ACCOUNT]):
            return await self._take_list()

    async def _take_list(self) -> dict[int, Mailbox]:
        core = self._core
        listed = await core.upstream.mailboxes()
        core.line.succeeded()
        theirs = [
            replace(each, attributes=each.attributes - _PASSING)
            for each in listed
            if "\\NonExistent" not in each.attributes
        ]
        if not any(each.path == INBOX for each in theirs):
            raise ProtocolFault("the server lists no INBOX")
        match = match_mailboxes(
            (
                OurMailbox(box.id, box.path, box.remote, box.at_server)
                for box in core.boxes.values()
            ),
            theirs,
        )
        gone = [key for key in match.missing if await self._is_gone(key)]
        subscribed = frozenset(each.path for each in listed if each.subscribed)
        made = await core.finish(self._note_list(match))
        for key in gone:
            await core.finish(self._recovering.mailbox_gone(key))
        if subscribed != core.subscribed:
            await core.edit(lambda edit: edit.set_subscriptions(subscribed))
            core.subscribed = subscribed
        core.refold_list()
        return {**dict(match.placed), **made}

    async def _is_gone(self, mailbox: int) -> bool:
        """Ask again before a mailbox is given up: a list may be incomplete."""
        box = self._core.boxes[mailbox]
        if box.remote is None:
            return True
        try:
            await self._core.upstream.changes(
                box.remote, view.token(self._core.store.reader, mailbox)
            )
        except MailError as exc:
            if exc.temporary:
                raise
            return True
        return False

    async def _note_list(self, match: ListMatch) -> dict[int, Mailbox]:
        core = self._core
        placed = [(key, each) for key, each in match.placed if _differs(core.boxes[key], each)]
        if not placed and not match.new:
            return {}
        now_s = int(core.clock().timestamp())

        def unit(connection: Connection) -> list[MappedMailbox]:
            for key, each in placed:
                identifiers.place_mailbox(connection, key, each.path, each.id)
            return [
                identifiers.add_mailbox(connection, core.account, each.path, each.id, now_s=now_s)
                for each in match.new
            ]

        made = await core.journal.write(unit)
        boxes = [
            replace(
                core.boxes[key],
                path=each.path,
                attributes=each.attributes,
                at_server=True,
                remote=each.id,
            )
            for key, each in placed
        ]
        boxes += [_new_box(mapped, each) for mapped, each in zip(made, match.new, strict=True)]
        await core.edit(lambda edit: _put(edit, boxes))
        core.boxes.update((box.id, box) for box in boxes)
        return {mapped.id: each for mapped, each in zip(made, match.new, strict=True)}

    # What is pushed

    async def follow(self) -> None:
        """Take the events of the server as reasons to look."""
        core = self._core
        while True:
            await core.line.ready()
            try:
                async for event in core.upstream.watch():
                    match event:
                        case MailboxChanged(mailbox=remote):
                            self.want(self._key_of(remote))
                        case MailboxesChanged():
                            self.want()
                        case Reachability(reachable=True):
                            core.line.nudge()
                            self.want()
                        case Reachability():
                            pass
            except MailError as exc:
                _log.info("watch interrupted reason=%s", exc)
                core.line.failed(exc)
            else:
                return  # The other side was closed for good.

    def _key_of(self, remote: MailboxId) -> int:
        boxes = self._core.boxes.values()
        return next((box.id for box in boxes if box.remote == remote), WHOLE_ACCOUNT)


def _differs(box: Box, theirs: Mailbox) -> bool:
    here = (box.path, box.attributes, box.remote, box.at_server)
    return here != (theirs.path, theirs.attributes, theirs.id, True)


def _new_box(mapped: MappedMailbox, theirs: Mailbox) -> Box:
    return Box(
        id=mapped.id,
        path=theirs.path,
        attributes=theirs.attributes,
        uid_validity=mapped.uid_validity,
        at_server=True,
        remote=theirs.id,
    )


def _put(edit: Edit, boxes: Sequence[Box]) -> None:
    for box in boxes:
        edit.put_mailbox(box.id, box.path, box.attributes, listed=box.at_server, uid_next=1)
