"""The journal read from its file, while no node runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final

from mailferry.node.accounts import open_accounts
from mailferry.node.control_messages import JournalLine
from mailferry.node.directory import DataDirectory
from mailferry.node.journal_words import journal_line
from mailferry.store.database import JOURNAL, open_reader, translated
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
