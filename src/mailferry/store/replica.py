"""The replica file of one account, opened: what can be fetched again.

Small reads run on the event loop (`reader`), long ones in a thread (`read`); what writes is a unit
of the file's writer.  A file that is damaged is set aside and begun anew: ids, UIDs and what waits
are in the journal.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final, TypeVar

import apsw

from mailferry.mail.errors import SourceUnavailable, StorageDamaged
from mailferry.mail.message import Flag
from mailferry.store.alarm import Alarm
from mailferry.store.codec import decode_flags
from mailferry.store.database import (
    REPLICA,
    StorageTooNew,
    TranslatingConnection,
    open_reader,
    translated,
)
from mailferry.store.writer import Unit, Writer

SET_ASIDE: Final = ".damaged"
"""What the name of a damaged file ends in; one is kept, for who wants to look at it."""

T = TypeVar("T")


def replica_path(folder: Path, account: int) -> Path:
    """Return where the replica of an account lies."""
    return folder / f"replica-{account}.sqlite"


class ReplicaStore:
    """The open replica file of one account."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet: `await open()`."""
        self.path: Final = path
        self._writer = Writer(path, REPLICA)
        self._reader: TranslatingConnection | None = None
        self._bulk_reader: TranslatingConnection | None = None
        self.alarm: Final = Alarm()
        """Rings when damage is met in reading."""
        self._bulk_lock = asyncio.Lock()
        self._flag_sets: dict[int, frozenset[Flag]] = {}

    def __repr__(self) -> str:
        return f"<ReplicaStore {self.path.name}>"

    async def open(self, *, modseq_floor: int, check: bool) -> bool:
        """Open the file; return True when it was made anew.

        `modseq_floor` is above every MODSEQ that was given before; `check` looks for damage first.

        Raises:
            StorageFull: no room on the disk.
            StorageDamaged: it can be neither read nor replaced.
        """
        is_new = await asyncio.to_thread(_prepare, self.path, check)
        await self._writer.open()
        self._reader = await asyncio.to_thread(open_reader, self.path, REPLICA)
        self._bulk_reader = await asyncio.to_thread(open_reader, self.path, REPLICA)
        self.alarm.watch(self._reader, self._bulk_reader)
        await self.write(lambda connection: _begin(connection, modseq_floor))
        return is_new

    async def close(self) -> None:
        """Write what is queued and close the file.  May be called twice."""
        for reader in (self._reader, self._bulk_reader):
            if reader is not None:
                reader.close()
        await self._writer.close()

    def abandon(self) -> None:
        """Let go of everything as a crash would; for tests of crashes."""
        self._writer.abandon()

    @property
    def reader(self) -> apsw.Connection:
        """A connection for small reads on the event loop."""
        if self._reader is None:
            raise SourceUnavailable(f"{self.path.name} is not open")
        return self._reader

    async def read(self, query: Unit[T]) -> T:
        """Run a long read in a thread."""
        async with self._bulk_lock:
            if self._bulk_reader is None:
                raise SourceUnavailable(f"{self.path.name} is not open")
            with translated(self.path, REPLICA):
                return await asyncio.to_thread(query, self._bulk_reader)

    async def write(self, unit: Unit[T]) -> T:
        """Run a unit of the writer (see `Writer.submit`)."""
        return await self._writer.submit(unit)

    def flags(self, key: int) -> frozenset[Flag]:
        """Return a set of flags by its key; they are few and never change."""
        found = self._flag_sets.get(key)
        if found is None:
            [(text,)] = self.reader.execute("SELECT flags FROM flag_set WHERE id = ?", (key,))
            found = self._flag_sets[key] = decode_flags(text)
        return found


def _prepare(path: Path, check: bool) -> bool:
    """Set a damaged file aside; return True when there is none (any more)."""
    if not path.exists():
        return True
    try:
        with translated(path, REPLICA):
            connection = open_reader(path, REPLICA)
            try:
                sound = not check or connection.pragma("quick_check", 1) == "ok"
            finally:
                connection.close()
    except StorageTooNew:
        raise
    except StorageDamaged:
        sound = False
    if not sound:
        set_aside(path)
    return not sound


def set_aside(path: Path) -> None:
    """Move a damaged file out of the way, with its companions."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(path, path.with_name(path.name + SET_ASIDE))


def erase(path: Path) -> None:
    """Remove a replica file and whatever lies beside it."""
    for suffix in ("-wal", "-shm", "", SET_ASIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _begin(connection: apsw.Connection, modseq_floor: int) -> None:
    connection.execute(
        "UPDATE setting SET value = max(value, ?) WHERE name = 'modseq'", (modseq_floor,)
    )
