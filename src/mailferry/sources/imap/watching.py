"""Noticing what happens at the server: IDLE in the INBOX, a look at all mailboxes now and then.

Theory of operation
===================

As long as somebody watches, a task keeps a session, connecting again with back-off.  When the session
has been quiet for a moment it selects the INBOX and idles; what IDLE tells becomes MailboxChanged.
Every `poll_interval_s`, and where the server has no IDLE that is all there is, one look at all mailboxes
is compared with the look before.

Whatever is observed is compared with what was observed last, so that nothing is missed between a
question and the beginning of IDLE; after a connection was lost, anything may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mailferry.mail.changes import MailboxChanged, MailboxesChanged, Reachability
from mailferry.mail.errors import MailError, SourceUnavailable
from mailferry.mail.mailbox import Mailbox, MailboxId
from mailferry.observe import logger
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.exchange import Exchange
from mailferry.sources.imap.mailboxes import keeps_modseq
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import ImapSettings
from mailferry.sources.watch import Watchers
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import (
    Exists,
    Expunged,
    Fetch,
    Untagged,
    Vanished,
)

_log = logger(__name__)
_INBOX = b"INBOX"


class Observer:
    """Compares what is seen of mailboxes with what was seen before, and tells who watches."""

    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers
        self._shapes: dict[MailboxId, tuple[object, ...]] = {}
        """What mailboxes are called and how they are marked."""
        self._contents: dict[MailboxId, tuple[object, ...]] = {}

    def mailboxes(self, mailboxes: Sequence[Mailbox]) -> None:
        """Take in a list of all mailboxes."""
        shapes = {each.id: (each.path, each.attributes, each.subscribed) for each in mailboxes}
        if self._shapes and shapes != self._shapes:
            self._watchers.publish(MailboxesChanged())
        self._shapes = dict(shapes)
        for mailbox in mailboxes:
            status = mailbox.status
            if status is not None:
                seen = (
                    status.uid_validity,
                    status.uid_next,
                    status.messages,
                    status.highest_modseq,
                    status.unseen,
                )
                self._observe(mailbox.id, seen)
        self._contents = {each: seen for each, seen in self._contents.items() if each in shapes}

    def selected(self, mailbox: MailboxId, selection: Selection, *, modseq: bool) -> None:
        """Take in what a SELECT told."""
        known = self._contents.get(mailbox)
        if known is None:
            return
        highest = selection.highest_modseq or None if modseq else None
        uid_next = selection.uid_next or known[1]
        seen = (selection.uid_validity, uid_next, selection.exists, highest)
        self._observe(mailbox, (*seen, *known[len(seen) :]))

    def touched(self, mailbox: MailboxId) -> None:
        """Take in that something changed there."""
        self._watchers.publish(MailboxChanged(mailbox))

    def reachable(self, reachable: bool, reason: str) -> None:
        """Take in that the server came within reach or went out of it."""
        self._watchers.publish(Reachability(reachable, reason))
        if reachable and self._shapes:
            self._watchers.publish(MailboxesChanged())
            for mailbox in self._shapes:
                self._watchers.publish(MailboxChanged(mailbox))

    def _observe(self, mailbox: MailboxId, seen: tuple[object, ...]) -> None:
        known = self._contents.get(mailbox)
        if known is not None and known != seen:
            self._watchers.publish(MailboxChanged(mailbox))
        self._contents[mailbox] = seen


def is_change(response: Untagged) -> bool:
    """Whether an unsolicited response says that the selected mailbox has changed."""
    match response:
        case Exists() | Expunged() | Fetch() | Vanished():
            return True
        case _:
            return False


class Keeper:
    """The task that watches an account."""

    def __init__(self, account: Account, settings: ImapSettings, observer: Observer) -> None:
        self._account = account
        self._settings = settings
        self._observer = observer
        self._polled_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                session = await self._account.session()
                await self._watch(session)
            except MailError as error:
                _log.debug("watching interrupted: %s", error)
            except Exception:  # noqa: BLE001  the top of a task
                _log.exception("watching failed")
            await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        connection = self._account.connection
        if connection.current is not None:
            return self._settings.poll_interval_s  # The server refused; it will again.
        # At least a moment, in case that the server can be reached and ends all sessions.
        return max(connection.retry_in_s, self._settings.idle_after_s)

    async def _watch(self, session: Session) -> None:
        """Idle and look, as long as the session lives."""
        while True:
            await session.quiet(self._settings.idle_after_s)
            now = asyncio.get_running_loop().time()
            poll_in_s = self._polled_at + self._settings.poll_interval_s - now
            if poll_in_s <= 0:
                await self._look(session)
            elif session.has("IDLE"):
                await self._idle(session, min(poll_in_s, self._settings.idle_renew_s))
            else:
                await _until_over(session, poll_in_s)

    async def _look(self, session: Session) -> None:
        self._polled_at = asyncio.get_running_loop().time()
        names = self._account.connection.names
        self._observer.mailboxes(await self._account.directory.refresh(session, names))

    async def _idle(self, session: Session, for_s: float) -> None:
        """Idle for that long, or until somebody has something to ask."""
        async with session.selecting(_INBOX) as selection:
            fresh = not selection.exchange.ended
            await selection.ready()
            idle = session.submit(commands.Idle())
        inbox = self._account.directory.id_of(_INBOX)
        if fresh:
            self._observer.selected(inbox, selection, modseq=keeps_modseq(session))
        await _ended_within(session, idle, for_s)


async def _ended_within(session: Session, idle: Exchange, for_s: float) -> None:
    try:
        async with asyncio.timeout(for_s):
            await idle.status()
    except TimeoutError:
        session.end_idle()
        await idle.status()


async def _until_over(session: Session, for_s: float) -> None:
    try:
        async with asyncio.timeout(for_s):
            await session.over.wait()
    except TimeoutError:
        return
    raise SourceUnavailable(session.ended)
