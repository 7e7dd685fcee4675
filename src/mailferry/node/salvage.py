"""Replacing a damaged journal by a new one with everything that can be read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mailferry.store.database import JOURNAL, open_database
from mailferry.store.first_pages import mend_first_pages
from mailferry.store.salvage import salvage_journal
from mailferry.store.salvage_sense import make_sense


@dataclass(frozen=True, slots=True)
class TableReport:
    """What came of one table."""

    table: str
    rows: int
    """In the new journal."""
    complete: bool
    """No damage was met in it; else nobody knows how much is lost."""


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What came of the whole journal."""

    damaged: Path
    """Where the damaged file lies now."""
    tables: Sequence[TableReport]
    messages: Sequence[Path]
    """Files with mail that is here only and that nothing will bring to the server."""


def salvage(journal: Path) -> SalvageReport:
    """Put a new journal in the place of a damaged one, which stays beside it under another name.

    The caller must have the data directory for itself.

    Raises:
        StorageDamaged: nothing can be read at all; nothing was changed.
        StorageFull, OSError: no room; nothing was changed.
    """
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(dir=journal.parent, prefix="salvage-") as temporary:
        copy, new = Path(temporary) / "old", Path(temporary) / "new"
        _copy(journal, copy)
        mend_first_pages(copy)
        read = salvage_journal(copy, new)
        with closing(open_database(new, JOURNAL)) as connection:
            sense = make_sense(connection, journal.parent, now)
        damaged = journal.with_name(f"{journal.name}.damaged-{now:%Y%m%d-%H%M%S}")
        _replace(journal, new, damaged)
    tables = [TableReport(one.table, sense.rows[one.table], one.complete) for one in read]
    return SalvageReport(damaged, tables, sense.messages)


def _copy(journal: Path, copy: Path) -> None:
    shutil.copyfile(journal, copy)
    wal = journal.with_name(f"{journal.name}-wal")
    if wal.exists():
        shutil.copyfile(wal, copy.with_name(f"{copy.name}-wal"))


def _replace(journal: Path, new: Path, damaged: Path) -> None:
    os.link(journal, damaged)
    for suffix in ("-wal", "-shm"):  # Before the new file is there: a WAL fits its own file only.
        beside = journal.with_name(journal.name + suffix)
        if beside.exists():
            beside.replace(damaged.with_name(damaged.name + suffix))
    new.replace(journal)
    descriptor = os.open(journal.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
