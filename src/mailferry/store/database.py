"""Opening SQLite files: settings, migrations, and what went wrong in words.

The only module besides its neighbours in `store` that knows the driver.  A file belongs to a
`FileFormat`: what it is called, how hard it is synced, and the ordered SQL files that make it
(`migrations/<format>/0001_*.sql` ...).  Migrations are never edited once released; each runs in one
transaction together with the version number, so a crash leaves the old version or the new one.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

import apsw

from mailferry.mail.errors import MailError, SourceUnavailable, StorageDamaged, StorageFull

Connection: TypeAlias = apsw.Connection
"""For who writes a unit outside of the store."""

BUSY_TIMEOUT_MS: Final = 5_000  # Another process of ours may hold the write lock for one batch.
CACHE_KIB: Final = 1024  # Page cache of one connection; the kernel's cache holds the rest.
_WRITING: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
WAL_LENGTH_MAX: Final = 8 * 1024 * 1024  # Octets the WAL is cut back to after a checkpoint.
CHECKPOINT_PAGES: Final = 1000  # SQLite's own default: 4 MB between checkpoints.


class StorageTooNew(StorageDamaged):
    """The file was written by a newer mailferry: nothing is broken, but it is not ours to touch."""


class Synchronous(Enum):
    """How hard commits are synced to the disk in WAL mode."""

    FULL = "FULL"
    """Every commit survives a power cut."""
    NORMAL = "NORMAL"
    """The file stays sound, the last commits before a power cut may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """One kind of file."""

    name: str
    """What people call it, and the folder of its migrations."""
    application_id: int
    synchronous: Synchronous
    mend: str
    """What a person can do when the file is damaged."""


JOURNAL: Final = FileFormat(
    name="journal",
    application_id=0x4D466A31,  # "MFj1"
    synchronous=Synchronous.FULL,
    mend="stop mailferry and run: mailferry salvage",
)
REPLICA: Final = FileFormat(
    name="replica",
    application_id=0x4D467231,  # "MFr1"
    synchronous=Synchronous.NORMAL,
    mend="it is rebuilt from the mail server at the next start",
)


@contextmanager
def translated(path: Path, file_format: FileFormat) -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        StorageFull: no room on the disk.
        StorageDamaged: the file cannot be read or written; the text says what to do.
    """
    try:
        yield
    except apsw.Error as exc:
        told = _in_our_words(exc, path, file_format)
        if told is None:
            raise
        raise told from exc


def _in_our_words(error: apsw.Error, path: Path, file_format: FileFormat) -> MailError | None:
    match error:
        case apsw.FullError():
            return StorageFull(f"the disk that holds {path} is full: free some space")
        case apsw.CorruptError() | apsw.NotADBError():
            return StorageDamaged(f"{path} (the {file_format.name}) is damaged: {file_format.mend}")
        case apsw.IOError() if _is_full(error):
            return StorageFull(f"the disk that holds {path} is full: free some space")
        case apsw.IOError():
            return StorageDamaged(f"the disk does not read or write {path}: {error}")
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            return StorageDamaged(
                f"cannot open {path} for writing: check its folder and permissions"
            )
        case apsw.BusyError():
            return StorageDamaged(f"{path} is held by another program")
        case apsw.ConnectionClosedError():
            return SourceUnavailable(f"the {file_format.name} is closed")
        case _:
            return None


def _is_full(error: apsw.Error) -> bool:
    """Whether a disk error is how a full disk shows in the index of the WAL."""
    return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHMSIZE


class TranslatingConnection(apsw.Connection):
    """A connection that says in our words what goes wrong."""

    path: Path
    file_format: FileFormat
    on_damage: Callable[[StorageDamaged], object] | None = None
    """Told when damage is met, from whatever thread."""

    def execute(self, *args: Any, **kwargs: Any) -> apsw.Cursor:
        """As the driver's, but for the errors."""
        try:
            return super().execute(*args, **kwargs)
        except apsw.Error as exc:
            raise self.in_our_words(exc) from exc

    def in_our_words(self, error: apsw.Error) -> Exception:
        """Return the error to be raised."""
        told = _in_our_words(error, self.path, self.file_format)
        if isinstance(told, StorageDamaged) and self.on_damage is not None:
            self.on_damage(told)
        return told or error


def _connect(path: Path, file_format: FileFormat, flags: int) -> TranslatingConnection:
    connection = TranslatingConnection(os.fspath(path), flags=flags)
    connection.path, connection.file_format = path, file_format
    return connection


def open_database(path: Path, file_format: FileFormat) -> apsw.Connection:
    """Open a file for writing, made and migrated as needed.  Blocks: not for the event loop.

    Raises:
        StorageTooNew: the file is of a newer version.
        StorageDamaged, StorageFull: see `translated`.
    """
    with translated(path, file_format):
        _create_private(path)
        connection = _connect(path, file_format, _WRITING)
        try:
            _configure(connection, file_format)
            _migrate(connection, path, file_format)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: Path, file_format: FileFormat) -> TranslatingConnection:
    """Open an existing file for reading beside its writer."""
    with translated(path, file_format):
        # WAL readers write the shared index, nothing else.
        connection = _connect(path, file_format, apsw.SQLITE_OPEN_READWRITE)
        _configure(connection, file_format)
        connection.pragma("query_only", True)
        return connection


def rows(
    connection: apsw.Connection, sql: str, bindings: Sequence[Any] | dict[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """Return all rows at once: who then writes to the same tables must not be reading still."""
    cursor = connection.execute(sql, bindings)
    try:
        return cursor.fetchall()
    except apsw.Error as exc:
        if isinstance(connection, TranslatingConnection):
            raise connection.in_our_words(exc) from exc
        raise


def _create_private(path: Path) -> None:
    """Make the file readable to its owner alone; SQLite gives its companions the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as exc:
        raise StorageDamaged(f"cannot make {path}: {exc.strerror}") from exc
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # Or the name itself may be gone after a power cut.
    finally:
        os.close(folder)


def _configure(connection: apsw.Connection, file_format: FileFormat) -> None:
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", file_format.synchronous.value)
    connection.pragma("foreign_keys", True)
    connection.pragma("secure_delete", True)  # Deleted mail leaves no remains in free pages.
    connection.pragma("cache_size", -CACHE_KIB)
    connection.pragma("journal_size_limit", WAL_LENGTH_MAX)
    connection.pragma("temp_store", "memory")  # Nothing of the mail in /tmp.
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)


def _migrate(connection: apsw.Connection, path: Path, file_format: FileFormat) -> None:
    migrations = _migrations(file_format)
    application_id = int(connection.pragma("application_id"))
    version = int(connection.pragma("user_version"))
    if version and application_id != file_format.application_id:
        raise StorageDamaged(f"{path} is not a {file_format.name} of mailferry")
    if version > len(migrations):
        raise StorageTooNew(
            f"{path} was written by a newer mailferry (version {version} of the "
            f"{file_format.name}, this one knows {len(migrations)}): install that one again"
        )
    for number, sql in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(sql)
            connection.pragma("application_id", file_format.application_id)
            connection.pragma("user_version", number)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _migrations(file_format: FileFormat) -> list[str]:
    """Return the SQL files of a format in order, checked to be numbered 1, 2, 3..."""
    folder = importlib.resources.files("mailferry.store") / "migrations" / file_format.name
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    numbers = [int(f.name.split("_", 1)[0]) for f in files]
    if numbers != list(range(1, len(files) + 1)):
        raise ValueError(f"migrations of the {file_format.name} are not numbered in a row")
    return [f.read_text(encoding="utf-8") for f in files]
