"""Taking what can still be read out of a damaged journal.

Every table of the journal has an integer key, so a table is walked by its keys: forwards until a
damaged place, backwards from the end until one, and between the two by asking for single keys.  Rows
that cannot be read are left out and counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from mailferry.mail.errors import StorageDamaged
from mailferry.store.database import JOURNAL, open_database

PROBES_MAX: Final = 100_000  # Single keys asked for in one gap: some seconds.

_TABLES: Final = (
    ("setting", "id"),
    ("account", "id"),
    ("account_state", "account"),
    ("mailbox", "id"),
    ("blob", "id"),
    ("blob_chunk", "id"),
    ("message", "id"),
    ("operation", "sequence"),
)
"""In an order in which nothing refers to what comes later."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came out of one table."""

    table: str
    rows: int
    complete: bool
    """No damage was met in it."""
    dropped: int
    """Rows that were read, but refer to something that was not."""


def salvage_journal(path: Path, to: Path) -> list[Salvaged]:
    """Copy what can be read of the journal `path` into a new file `to`.  Blocks, perhaps for long.

    Raises:
        StorageDamaged: not even the list of tables can be read, or `to` exists.
    """
    if to.exists():
        raise StorageDamaged(f"{to} exists already: move it out of the way")
    source = _open_damaged(path)
    try:
        target = open_database(to, JOURNAL)
        try:
            target.pragma("foreign_keys", False)
            target.execute("BEGIN IMMEDIATE")
            salvaged = [_salvage(source, target, table, key) for table, key in _TABLES]
            salvaged = [_without_orphans(target, each) for each in salvaged]
            target.execute("COMMIT")
            return salvaged
        finally:
            target.close()
    finally:
        source.close()


def _open_damaged(path: Path) -> apsw.Connection:
    try:
        source = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
        source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error as exc:
        raise StorageDamaged(
            f"nothing can be read of {path}: its beginning is damaged; restore it from a backup"
        ) from exc
    return source


def _salvage(source: apsw.Connection, target: apsw.Connection, table: str, key: str) -> Salvaged:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our names
    reader = _Reader(source, table, key, columns)
    count = 0
    for row in reader.rows():
        target.execute(insert, row)
        count += target.changes()
    return Salvaged(table, count, reader.complete, 0)


class _Reader:
    """Reads a table around its damaged places."""

    def __init__(self, source: apsw.Connection, table: str, key: str, columns: list[str]) -> None:
        self._source = source
        self._select = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 - our own names
        self._key = key
        self._at = columns.index(key)
        self.complete = True

    def rows(self) -> Iterator[tuple[Any, ...]]:
        last = None
        for row in self._walk(f"{self._select} ORDER BY {self._key}"):
            last = row[self._at]
            yield row
        if self.complete:
            return
        first_behind = None
        for row in self._walk(f"{self._select} ORDER BY {self._key} DESC"):
            if last is not None and row[self._at] <= last:
                return
            first_behind = row[self._at]
            yield row
        yield from self._between(last, first_behind)

    def _walk(self, sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._source.execute(sql)
        except apsw.Error:
            self.complete = False

    def _between(self, last: int | None, first_behind: int | None) -> Iterator[tuple[Any, ...]]:
        start = 1 if last is None else last + 1
        end = start + PROBES_MAX if first_behind is None else first_behind
        for key in range(start, min(end, start + PROBES_MAX)):
            yield from self._walk_one(key)

    def _walk_one(self, key: int) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._source.execute(
                f"{self._select} WHERE {self._key} = ?", (key,)
            ).fetchall()
        except apsw.Error:
            return


def _without_orphans(target: apsw.Connection, salvaged: Salvaged) -> Salvaged:
    """Drop rows that refer to rows which could not be read.

    Contents stay, whosever they were: mail that is here only is written into files first
    (`salvage_sense`).
    """
    dropped = 0
    if salvaged.table == "blob":
        return salvaged
    orphans = target.execute(f"PRAGMA foreign_key_check({salvaged.table})").fetchall()
    for _, rowid, parent, _ in orphans:
        if (
            parent == "blob" and salvaged.table != "blob_chunk"
        ):  # The content is lost, the rest is not.
            target.execute(f"UPDATE {salvaged.table} SET blob = NULL WHERE rowid = ?", (rowid,))  # noqa: S608
            continue
        target.execute(f"DELETE FROM {salvaged.table} WHERE rowid = ?", (rowid,))  # noqa: S608
        dropped += 1
    return Salvaged(salvaged.table, salvaged.rows - dropped, salvaged.complete, dropped)
