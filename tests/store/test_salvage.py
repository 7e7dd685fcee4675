"""Taking out of a damaged journal what can still be read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailferry.mail.errors import StorageDamaged
from mailferry.mail.mailbox import INBOX
from mailferry.mail.operation import CreateMailbox, OperationId
from mailferry.store import account_state, identifiers, operations
from mailferry.store.codec import Result
from mailferry.store.database import JOURNAL, Connection, open_database, rows
from mailferry.store.salvage import Salvaged, salvage_journal
from tests.sources.replica.aboard import add_account

MESSAGES = 20_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    add_account(tmp_path)
    path = tmp_path / "journal.sqlite"
    connection = open_database(path, JOURNAL)
    connection.execute("BEGIN")
    _fill(connection)
    connection.execute("COMMIT")
    connection.close()
    return path


def _fill(connection: Connection) -> None:
    account_state.open_account(connection, 1)
    identifiers.add_mailbox(connection, 1, INBOX, None, now_s=1)
    identifiers.add_messages(connection, 1, [None] * MESSAGES)
    for number in range(20):
        operations.add(
            connection,
            1,
            CreateMailbox(id=OperationId(f"{number:032x}"), path=("x" * 100,)),
            result=Result(),
            login="",
            paths=(INBOX, None),
            now=datetime.now(UTC),
        )


def salvaged(path: Path, to: Path) -> dict[str, Salvaged]:
    return {each.table: each for each in salvage_journal(path, to)}


def test_of_a_sound_file_everything(path: Path, tmp_path: Path) -> None:
    found = salvaged(path, tmp_path / "new")
    assert found["message"] == Salvaged("message", MESSAGES, complete=True, dropped=0)
    assert found["operation"].rows == 20
    assert all(each.complete for each in found.values())


def test_what_is_around_the_damage(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    for page in (pages // 3, pages // 2):
        data[page * 4096 : (page + 1) * 4096] = b"\x55" * 4096
    path.write_bytes(data)
    to = tmp_path / "new"
    found = salvaged(path, to)
    assert found["account"].rows == 1
    assert found["operation"].rows == 20
    assert found["message"].rows > MESSAGES * 0.8
    connection = open_database(to, JOURNAL)
    assert connection.pragma("integrity_check") == "ok"
    assert rows(connection, "PRAGMA foreign_key_check") == []
    # What is given from now on is above all that was salvaged.
    [(highest,)] = rows(connection, "SELECT max(id) FROM message")
    [(key, uid)] = identifiers.add_messages(connection, 1, [None])
    assert key == highest + 1
    assert uid == MESSAGES + 1


def test_messages_without_their_mailbox_are_dropped(path: Path, tmp_path: Path) -> None:
    connection = open_database(path, JOURNAL)
    connection.pragma("foreign_keys", False)
    connection.execute("DELETE FROM mailbox")
    connection.close()
    found = salvaged(path, tmp_path / "new")
    assert found["message"] == Salvaged("message", 0, complete=True, dropped=MESSAGES)


def test_a_file_whose_beginning_is_gone(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"\x55" * 100_000)
    with pytest.raises(StorageDamaged, match="backup"):
        salvage_journal(path, tmp_path / "new")


def test_nothing_is_overwritten(path: Path) -> None:
    with pytest.raises(StorageDamaged, match="exists already"):
        salvage_journal(path, path)
