"""The journal of running accounts as lines, and again when something has become of an operation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Final, Protocol

from mailferry.mail.operation import HistoryEntry, OperationState
from mailferry.node.control_messages import JournalLine
from mailferry.node.journal_words import journal_line
from mailferry.sync.journal import FINAL

LOOK_INTERVAL_S: Final = 0.5  # A person follows: no need to be quicker.
PAGE_LENGTH: Final = 500


class History(Protocol):
    """Where an account's operations are told: a source, or the journal itself."""

    async def history(self, since: int = 0, *, limit: int = PAGE_LENGTH) -> Sequence[HistoryEntry]:
        """See StagingSource.history."""
        ...


Named = tuple[str, History]
"""The name of an account, and its operations."""


async def journal_lines(sources: Iterable[Named], since: int) -> AsyncGenerator[JournalLine, None]:
    """Yield the operations after `since`, account by account, oldest first."""
    for name, source in sources:
        async for entry in _entries(source, since):
            yield journal_line(entry, name)


async def followed_lines(
    sources: Callable[[], Iterable[Named]], since: int
) -> AsyncGenerator[JournalLine, None]:
    """Yield the operations after `since`, then those that are new or have changed, without end.

    `sources` is asked anew each time: accounts come and go.
    """
    followers: dict[str, _Follower] = {}
    while True:
        for name, source in list(sources()):
            follower = followers.setdefault(name, _Follower(since))
            async for entry in _entries(source, follower.since):
                if follower.is_news(entry):
                    yield journal_line(entry, name)
        await asyncio.sleep(LOOK_INTERVAL_S)


class _Follower:
    """What has been told about one account's operations."""

    def __init__(self, since: int) -> None:
        self._told_up_to = since
        self._open: dict[int, OperationState] = {}

    @property
    def since(self) -> int:
        """Nothing can have changed up to this sequence number."""
        return min(self._open, default=self._told_up_to + 1) - 1

    def is_news(self, entry: HistoryEntry) -> bool:
        """Note an operation; return whether it has to be told."""
        told = self._open.get(entry.sequence)
        news = told is not entry.state if told else entry.sequence > self._told_up_to
        self._told_up_to = max(self._told_up_to, entry.sequence)
        if entry.state in FINAL:
            self._open.pop(entry.sequence, None)
        elif news:
            self._open[entry.sequence] = entry.state
        return news


async def _entries(source: History, since: int) -> AsyncGenerator[HistoryEntry, None]:
    while page := await source.history(since, limit=PAGE_LENGTH):
        for entry in page:
            yield entry
        since = page[-1].sequence
