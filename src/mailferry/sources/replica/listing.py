"""Summaries: fetched newest first, kept, and served from here.

What is not here yet is fetched when somebody asks for it; where the server cannot be reached, what is
here is served before the caller is told that the rest is missing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from mailferry import observe
from mailferry.mail.errors import MailError, SourceUnavailable, StorageFull
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import LISTING, Flag, MessageId, Summary, SummaryItem
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.names import remote_names
from mailferry.store import identifiers, view
from mailferry.sync.identity import Identity, identify

BATCH_LENGTH: Final = 200  # Messages read at once: about 200 kB of rows, 1 ms on the event loop.
FETCH_LENGTH_MAX: Final = 1000  # Messages asked of the server at once: one flight of commands.
LISTED_AND_IDS: Final = LISTING | {SummaryItem.EMAIL_ID, SummaryItem.THREAD_ID}

_log = observe.logger(__name__)


class Listing:
    """The summaries of an account."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wanted: dict[int, None] = {}
        self._wake = asyncio.Event()

    # For faces

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        """See MailSource.summaries."""
        box = self._core.shown_box(mailbox)
        incomplete = False
        for start in range(0, len(messages), BATCH_LENGTH):
            batch = messages[start : start + BATCH_LENGTH]
            found = self._read(box.id, batch, what)
            lacking = [key for key, each in found.items() if view.lacks(each, what)]
            if lacking:
                try:
                    await self.fetch(lacking, what | LISTED_AND_IDS)
                except MailError as exc:
                    _log.debug("summaries missing mailbox=%s reason=%s", mailbox, exc)
                found = self._read(box.id, batch, what)
            here = [
                found[each] for each in batch if each in found and not view.lacks(found[each], what)
            ]
            incomplete = incomplete or len(here) < len(found)
            yield here
        if incomplete:
            raise SourceUnavailable("some summaries are not here and cannot be fetched now")

    def _read(
        self, mailbox: int, batch: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> dict[int, Summary]:
        store = self._core.store
        return view.summaries(store.reader, mailbox, batch, what, store.flags)

    # From the server

    async def fetch(self, messages: Iterable[int], what: frozenset[SummaryItem]) -> None:
        """Fetch and keep summaries of our messages; those without a name there are left out.

        Raises:
            MailError: what came before it is kept.
        """
        by_mailbox: defaultdict[MailboxId, dict[MessageId, list[int]]] = defaultdict(dict)
        for message, name in remote_names(self._core, messages).items():
            by_mailbox[name.mailbox].setdefault(name.message, []).append(message)
        for mailbox, ours in by_mailbox.items():
            async for batch in self._ask(mailbox, list(ours), what):
                await self._keep([(each, ours[each.id]) for each in batch if each.id in ours])

    async def _ask(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        core = self._core
        try:
            async for batch in core.upstream.summaries(mailbox, messages, what):
                yield batch
        except MailError as exc:
            if exc.temporary:
                core.line.failed(exc)
            raise
        core.line.succeeded()

    async def _keep(self, batch: Sequence[tuple[Summary, list[int]]]) -> None:
        core = self._core
        ours = [
            replace(summary, id=MessageId(message))
            for summary, messages in batch
            for message in messages
        ]
        known: dict[int, Identity] = {
            summary.id: identity
            for summary in ours
            if (identity := self.identity(summary)).content is not None
        }
        # First the identities, so that what is listed is always known.
        await core.journal.write(lambda connection: identifiers.set_identities(connection, known))
        await core.edit(lambda edit: edit.list_messages(ours), [each.id for each in ours])
        core.bodies_wanted.set()

    def identity(self, summary: Summary) -> Identity:
        """Return what a message of this summary is known by."""
        return identify(
            self._core.journal.identity_key,
            email_id=summary.email_id,
            size=summary.size,
            internal_date=summary.internal_date,
            header_fields=summary.header_fields,
        )

    async def identify_remote(
        self, mailbox: MailboxId, messages: Sequence[MessageId]
    ) -> dict[int, Identity]:
        """Return what messages of the server are known by, without keeping anything."""
        what = frozenset(
            {
                SummaryItem.EMAIL_ID,
                SummaryItem.SIZE,
                SummaryItem.INTERNAL_DATE,
                SummaryItem.HEADER_FIELDS,
            }
        )
        found: dict[int, Identity] = {}
        for start in range(0, len(messages), FETCH_LENGTH_MAX):
            part = messages[start : start + FETCH_LENGTH_MAX]
            async for batch in self._ask(mailbox, part, what):
                found.update((each.id, self.identity(each)) for each in batch)
        return found

    async def flags_there(
        self, mailbox: MailboxId, messages: Sequence[MessageId]
    ) -> dict[MessageId, frozenset[Flag]]:
        """Return the flags of messages of the server, without keeping anything."""
        found: dict[MessageId, frozenset[Flag]] = {}
        for start in range(0, len(messages), FETCH_LENGTH_MAX):
            part = messages[start : start + FETCH_LENGTH_MAX]
            async for batch in self._ask(mailbox, part, frozenset({SummaryItem.FLAGS})):
                found.update((each.id, each.flags) for each in batch if each.flags is not None)
        return found

    # In the background

    def want(self, mailbox: int) -> None:
        """Have the summaries of a mailbox fetched that are missing."""
        self._wanted[mailbox] = None
        self._wake.set()

    async def run(self) -> None:
        """Fetch what is missing, one mailbox after the other."""
        core = self._core
        for mailbox in core.boxes:  # Left from before: the file was begun anew, or we were stopped.
            if view.unlisted(core.store.reader, mailbox, before_uid=None, limit=1):
                self.want(mailbox)
        while True:
            while not self._wanted:
                self._wake.clear()
                await self._wake.wait()
            await self._core.line.ready()
            mailbox = next(iter(self._wanted))
            try:
                await self.complete(mailbox)
            except StorageFull:
                raise  # It waits until there may be room; the server would be asked in vain.
            except MailError as exc:
                _log.info("summaries interrupted mailbox=%s reason=%s", mailbox, exc)
                if not exc.temporary:
                    self._wanted.pop(mailbox, None)
                continue
            self._wanted.pop(mailbox, None)

    async def complete(self, mailbox: int) -> None:
        """Fetch the summaries of a mailbox that are missing, newest first."""
        before: int | None = None
        while True:
            found = view.unlisted(
                self._core.store.reader, mailbox, before_uid=before, limit=FETCH_LENGTH_MAX
            )
            if not found:
                return
            before = found[-1][1]
            await self.fetch([message for message, _ in found], LISTED_AND_IDS)
