"""Searching what is here, and the rest at the server while it can be reached.

Every message is judged by what is here of it.  Where that does not suffice (a body that was never
fetched), the server is asked, once for each text and not for each message; its answers are put in
the place of ours, under our own UIDs and flags.  Where it cannot be asked, the result says that it
covers only what is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mailferry import observe
from mailferry.mail.errors import MailError
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import Flag, MessageId, SummaryItem
from mailferry.mail.query import (
    BodyContains,
    HeaderContains,
    Query,
    SearchResult,
    SentDate,
    TextContains,
)
from mailferry.sources.matching import Content as Searched
from mailferry.sources.matching import Matcher
from mailferry.sources.replica.bodies import Bodies
from mailferry.sources.replica.content import Content
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.names import remote_names
from mailferry.sources.verdict import Match, leaves, said, verdict
from mailferry.store import view

PAGE_LENGTH: Final = 500  # Messages judged between two turns of the event loop: a few milliseconds.


_log = observe.logger(__name__)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A message, read as far as the matcher asks."""

    id: MessageId
    uid: int
    flags: frozenset[Flag]
    modseq: int
    internal_date: datetime | None
    size: int | None
    searching: Searching
    mailbox: int

    async def listed_fields(self) -> bytes | None:
        return self.searching.part_of(self, SummaryItem.HEADER_FIELDS)

    async def header(self) -> bytes | None:
        header = self.searching.part_of(self, SummaryItem.HEADER)
        return header if header is not None else await self.searching.header_of(self)

    async def content(self) -> Searched | None:
        return self.searching.content_of(self)


class Searching:
    """Searches the mailboxes of an account."""

    def __init__(self, core: Core, content: Content, bodies: Bodies) -> None:
        self._core = core
        self._content = content
        self._bodies = bodies

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        """See MailSource.search."""
        box = self._core.shown_box(mailbox)
        matcher = Matcher(query)
        matching: list[tuple[int, MessageId]] = []
        unknown: list[_Candidate] = []
        after_uid = 0
        while page := self._page(box.id, after_uid):
            after_uid = page[-1].uid
            for candidate in page:
                match await matcher.match(candidate):
                    case Match.YES:
                        matching.append((candidate.uid, candidate.id))
                    case Match.UNKNOWN:
                        unknown.append(candidate)
                    case Match.NO:
                        pass
            await asyncio.sleep(0)
        complete = True
        if unknown:
            found, complete = await self._ask(query, unknown)
            matching = sorted(matching + found)
        return SearchResult(tuple(message for _, message in matching), complete)

    def _page(self, mailbox: int, after_uid: int) -> list[_Candidate]:
        store = self._core.store
        what = frozenset({SummaryItem.FLAGS, SummaryItem.INTERNAL_DATE, SummaryItem.SIZE})
        ids = view.ids_after(store.reader, mailbox, after_uid, limit=PAGE_LENGTH)
        found = view.summaries(store.reader, mailbox, ids, what, store.flags)
        return [
            _Candidate(
                id=each.id,
                uid=each.uid,
                flags=each.flags or frozenset(),
                modseq=each.modseq,
                internal_date=each.internal_date,
                size=each.size,
                searching=self,
                mailbox=mailbox,
            )
            for key in ids
            if (each := found.get(key)) is not None
        ]

    # What is here of a message

    def part_of(self, candidate: _Candidate, item: SummaryItem) -> bytes | None:
        """Return the listed fields or the header."""
        store = self._core.store
        what = frozenset({item})
        found = view.summaries(store.reader, candidate.mailbox, [candidate.id], what, store.flags)
        summary = found.get(candidate.id)
        if summary is None:
            return None
        return summary.header if item is SummaryItem.HEADER else summary.header_fields

    async def header_of(self, candidate: _Candidate) -> bytes | None:
        """Return the header, cut from the content."""
        found = self._bodies.whole_with_tree(candidate.id)
        if found is None:
            return None
        whole, tree = found
        header = whole.part(tree.header_start, tree.body_start)
        return b"".join([chunk async for chunk in self._content.read(header, 0)])

    def content_of(self, candidate: _Candidate) -> Searched | None:
        """Open the content, when all of it is here."""
        found = self._bodies.whole_with_tree(candidate.id)
        if found is None:
            return None
        whole, tree = found
        return Searched(tree, self._content.read(whole, 0))

    # The server

    async def _ask(
        self, query: Query, unknown: Sequence[_Candidate]
    ) -> tuple[list[tuple[int, MessageId]], bool]:
        """Judge messages by the server's word on each text of the query.

        Returns those that match, and whether all of them could be judged.
        """
        core = self._core
        names = remote_names(core, [each.id for each in unknown])
        if core.line.reachable is False or not names:
            return [], False
        terms = [each for each in dict.fromkeys(leaves(query)) if _is_read(each)]
        matching: list[tuple[int, MessageId]] = []
        complete = len(names) == len(unknown)
        try:
            for mailbox in {name.mailbox for name in names.values()}:
                results = {term: await core.upstream.search(mailbox, term) for term in terms}
                complete = complete and all(each.complete for each in results.values())
                there = {term: frozenset(each.messages) for term, each in results.items()}
                for candidate in unknown:
                    name = names.get(candidate.id)
                    if name is None or name.mailbox != mailbox:
                        continue
                    verdicts = {term: said(name.message in ids) for term, ids in there.items()}
                    judged = verdict(query, candidate, verdicts)
                    if judged is Match.YES:
                        matching.append((candidate.uid, candidate.id))
                    complete = complete and judged is not Match.UNKNOWN
        except MailError as exc:
            _log.info("not searched at the server reason=%s", exc)
            if exc.temporary:
                core.line.failed(exc)
            return matching, False
        return matching, complete


def _is_read(term: Query) -> bool:
    """Whether a term asks for something that has to be read."""
    return isinstance(term, HeaderContains | SentDate | BodyContains | TextContains)
