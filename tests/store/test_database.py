"""Opening files: made, migrated, refused in plain words."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import apsw
import pytest

from mailferry.mail.errors import StorageDamaged, StorageFull
from mailferry.store.database import (
    JOURNAL,
    REPLICA,
    FileFormat,
    StorageTooNew,
    open_database,
    open_reader,
    rows,
    translated,
)

FORMATS = pytest.mark.parametrize("file_format", [JOURNAL, REPLICA])


@FORMATS
def test_a_new_file_is_made(tmp_path: Path, file_format: FileFormat) -> None:
    path = tmp_path / "file"
    connection = open_database(path, file_format)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("foreign_keys") == 1
    assert connection.pragma("secure_delete") == 1
    assert connection.pragma("user_version") >= 1
    assert connection.pragma("application_id") == file_format.application_id
    connection.close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_how_hard_commits_are_synced(tmp_path: Path) -> None:
    """What must not be lost survives a power cut; what can be fetched again need not."""
    journal = open_database(tmp_path / "journal", JOURNAL)
    replica = open_database(tmp_path / "replica", REPLICA)
    assert journal.pragma("synchronous") == 2  # FULL
    assert replica.pragma("synchronous") == 1  # NORMAL


@FORMATS
def test_opened_again(tmp_path: Path, file_format: FileFormat) -> None:
    open_database(tmp_path / "file", file_format).close()
    connection = open_database(tmp_path / "file", file_format)
    assert connection.pragma("integrity_check") == "ok"


@FORMATS
def test_all_tables_are_strict(tmp_path: Path, file_format: FileFormat) -> None:
    connection = open_database(tmp_path / "file", file_format)
    tables = rows(connection, "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
    assert {name for name, strict in tables if not strict} <= {"sqlite_schema", "sqlite_sequence"}


def test_every_table_of_the_journal_has_an_integer_key(tmp_path: Path) -> None:
    """So that a damaged file can be walked."""
    connection = open_database(tmp_path / "file", JOURNAL)
    tables = rows(connection, "SELECT name, wr FROM pragma_table_list WHERE schema = 'main'")
    assert not any(without_rowid for _, without_rowid in tables)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "file", JOURNAL)
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StorageTooNew, match="newer mailferry"):
        open_database(tmp_path / "file", JOURNAL)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    open_database(tmp_path / "file", REPLICA).close()
    with pytest.raises(StorageDamaged, match="is not a journal"):
        open_database(tmp_path / "file", JOURNAL)


def test_something_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageDamaged, match="mailferry salvage"):
        open_database(tmp_path / "file", JOURNAL)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageDamaged, match="cannot make"):
        open_database(tmp_path / "nowhere" / "file", JOURNAL)


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    writer = open_database(tmp_path / "file", JOURNAL)
    reader = open_reader(tmp_path / "file", JOURNAL)
    with pytest.raises(StorageDamaged):
        reader.execute("INSERT INTO setting (name, value) VALUES ('a', x'')")
    writer.execute("INSERT INTO setting (name, value) VALUES ('a', x'')")
    assert rows(reader, "SELECT name FROM setting") == [("a",)]


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (apsw.FullError(), StorageFull),
        (apsw.CorruptError(), StorageDamaged),
        (apsw.NotADBError(), StorageDamaged),
        (apsw.IOError(), StorageDamaged),
        (apsw.ReadOnlyError(), StorageDamaged),
        (apsw.CantOpenError(), StorageDamaged),
        (apsw.BusyError(), StorageDamaged),
    ],
)
def test_errors_are_told_in_our_words(
    error: apsw.Error, wanted: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(wanted, match=str(tmp_path)), translated(tmp_path / "file", JOURNAL):
        raise error
