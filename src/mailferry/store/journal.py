"""The journal file of a node, opened: what must not be lost.

Small reads run on the event loop (`reader`), long ones in a thread (`read`), everything that writes
is a unit of the one writer (`write`), which commits in groups and syncs each commit to the disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final, TypeVar

import apsw

from mailferry.mail.errors import SourceUnavailable, StorageDamaged
from mailferry.store.alarm import Alarm
from mailferry.store.database import JOURNAL, TranslatingConnection, open_reader, translated
from mailferry.store.writer import Unit, Writer
from mailferry.sync.identity import KEY_LENGTH

CHECK_LENGTH_MAX: Final = 64 * 1024 * 1024  # Octets: a file up to this is checked in about 0.2 s.

T = TypeVar("T")


class Journal:
    """The open journal of the one node that works with it."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet: `await open()`."""
        self.path: Final = path
        self._writer = Writer(path, JOURNAL)
        self._lock_fd: int | None = None
        self._reader: TranslatingConnection | None = None
        self._bulk_reader: TranslatingConnection | None = None
        self.alarm: Final = Alarm()
        """Rings when damage is met in reading."""
        self._bulk_lock = asyncio.Lock()
        self._identity_key = b""

    def __repr__(self) -> str:
        return f"<Journal {self.path.name}>"

    async def open(self) -> None:
        """Open the file, checked, made and migrated as needed.

        Raises:
            StorageDamaged: it is damaged or in use; the text says what to do.
            StorageFull: no room on the disk.
        """
        await asyncio.to_thread(self._lock)
        try:
            await self._writer.open()
            self._reader = await asyncio.to_thread(open_reader, self.path, JOURNAL)
            self._bulk_reader = await asyncio.to_thread(open_reader, self.path, JOURNAL)
            self.alarm.watch(self._reader, self._bulk_reader)
            await self.read(_check)
            self._identity_key = await self.write(_identity_key)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Write what is queued and close the file.  May be called twice."""
        for reader in (self._reader, self._bulk_reader):
            if reader is not None:
                reader.close()
        await self._writer.close()
        self._unlock()

    def abandon(self) -> None:
        """Let go of everything as a crash would; for tests of crashes."""
        self._writer.abandon()
        self._unlock()

    @property
    def reader(self) -> apsw.Connection:
        """A connection for small reads on the event loop."""
        if self._reader is None:
            raise SourceUnavailable(f"{self.path.name} is not open")
        return self._reader

    @property
    def identity_key(self) -> bytes:
        """The key of the hashes by which messages are known (`sync.identity`)."""
        return self._identity_key

    async def read(self, query: Unit[T]) -> T:
        """Run a long read in a thread."""
        async with self._bulk_lock:
            if self._bulk_reader is None:
                raise SourceUnavailable(f"{self.path.name} is not open")
            with translated(self.path, JOURNAL):
                return await asyncio.to_thread(query, self._bulk_reader)

    async def write(self, unit: Unit[T]) -> T:
        """Run a unit; what it did is on the disk when this returns (see `Writer.submit`)."""
        return await self._writer.submit(unit)

    def _lock(self) -> None:
        """Take the lock that keeps a second node away; the kernel frees it if we die."""
        path = self.path.with_name(self.path.name + ".lock")
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageDamaged(f"cannot make {path}: {exc.strerror}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(fd)
            raise StorageDamaged(f"another mailferry is running on {self.path.parent}") from exc
        self._lock_fd = fd

    def _unlock(self) -> None:
        fd, self._lock_fd = self._lock_fd, None
        if fd is not None:
            os.close(fd)


def _check(connection: apsw.Connection) -> None:
    """Look for damage where that does not take long; else it is found when it is met."""
    pages, page_size = connection.pragma("page_count"), connection.pragma("page_size")
    if int(pages) * int(page_size) > CHECK_LENGTH_MAX:
        return
    found = connection.pragma("quick_check", 1)
    if found != "ok":
        raise apsw.CorruptError(str(found))


def _identity_key(connection: apsw.Connection) -> bytes:
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('identity key', ?) ON CONFLICT DO NOTHING",
        (secrets.token_bytes(KEY_LENGTH),),
    )
    [(key,)] = connection.execute("SELECT value FROM setting WHERE name = 'identity key'")
    return bytes(key)
