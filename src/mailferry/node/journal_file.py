"""The operations of accounts, read from the journal: its file, or the one that a node has open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from mailferry.mail.operation import HistoryEntry
from mailferry.node.accounts import open_accounts
from mailferry.node.control_messages import JournalLine
from mailferry.node.directory import DataDirectory
from mailferry.node.journal_words import journal_line
from mailferry.store.database import JOURNAL, open_reader, translated
from mailferry.store.journal import Journal
from mailferry.store.operations import history

PAGE_LENGTH: Final = 500  # Operations read at a time.


def read_journal(
    directory: DataDirectory, environ: Mapping[str, str], account_name: str | None
) -> Iterator[JournalLine]:
    """Yield the operations of one account or all, account by account, oldest first.

    Raises:
        StorageDamaged, StorageFull, DirectoryUnusable: the file cannot be read.
    """
    with open_accounts(directory, environ) as opened:
        accounts = [one for one in opened.all() if account_name in (None, one.name)]
    with (
        translated(directory.journal, JOURNAL),
        closing(open_reader(directory.journal, JOURNAL)) as connection,
    ):
        for account in accounts:
            since = 0
            while page := history(connection, account.id, since=since, limit=PAGE_LENGTH):
                yield from (journal_line(entry, account.name) for entry in page)
                since = page[-1].sequence


@dataclass(frozen=True, slots=True)
class AccountHistory:
    """The operations of one account, whether its replica is open or not."""

    journal: Journal
    account: int

    async def history(self, since: int = 0, *, limit: int = PAGE_LENGTH) -> Sequence[HistoryEntry]:
        """See StagingSource.history."""
        return await self.journal.read(
            lambda connection: history(connection, self.account, since=since, limit=limit)
        )
