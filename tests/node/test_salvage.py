"""A journal is damaged in every place, and what comes out of it is sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import CHUNK_LENGTH_MAX
from mailferry.mail.operation import Append, CreateMailbox, Delivery, OperationId
from mailferry.node.salvage import SalvageReport, salvage
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.store.account_settings import AccountSettings
from mailferry.store.accounts import Accounts
from mailferry.store.database import JOURNAL, open_database, rows
from mailferry.store.journal import Journal
from mailferry.store.keyfile import find_key
from mailferry.store.replica import replica_path
from tests.sources.replica.bad_line import BadLine

PAGE = 4096
LETTER = b"Message-ID: <only@here>\r\n\r\n" + b"".join(b"%d\r\n" % n for n in range(60_000))


async def _chunks() -> AsyncIterator[bytes]:
    for start in range(0, len(LETTER), CHUNK_LENGTH_MAX):
        yield LETTER[start : start + CHUNK_LENGTH_MAX]


async def _make(folder: Path) -> None:
    """Make a journal with two accounts, and work that waits for a server that is away."""
    with closing(Accounts(folder / "journal.sqlite", find_key(folder, {}))) as accounts:
        for name in ("ann", "ben"):
            accounts.add(
                name=name,
                settings=AccountSettings(host="h", user=name),
                secret="s",
                local_login=name,
                local_verifier="v",
            )
    origin = MemorySource()
    line = BadLine(origin)
    line.down()
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    async with Replica(
        account=1, upstream=line, journal=journal, path=replica_path(folder, 1)
    ) as replica:
        [inbox] = [one.id for one in await replica.mailboxes() if one.path == INBOX]
        blob = await replica.upload(_chunks())
        operations: list[Append | CreateMailbox] = [
            Append(id=_id(0), mailbox=inbox, blob=blob.id, size=blob.size),
            *(CreateMailbox(id=_id(n), path=(f"Box {n}",)) for n in range(1, 100)),
        ]
        await replica.stage(operations, login="ann")
        await replica.settle([one.id for one in operations], Delivery.DELIVERED)
    await journal.close()


def _id(number: int) -> OperationId:
    return OperationId(f"{number:032x}")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the octets of a journal in which work waits."""
    folder = tmp_path_factory.mktemp("whole")
    asyncio.run(_make(folder))
    return (folder / "journal.sqlite").read_bytes()


def _check(folder: Path, report: SalvageReport, damaged: bytes) -> None:
    """What comes out is a sound journal, and nothing that was there is thrown away."""
    assert report.damaged.read_bytes() == damaged
    with closing(open_database(folder / "journal.sqlite", JOURNAL)) as connection:
        assert connection.pragma("integrity_check") == "ok"
        assert rows(connection, "PRAGMA foreign_key_check") == []
        for table in report.tables:
            assert rows(connection, f"SELECT count(*) FROM {table.table}") == [(table.rows,)]  # noqa: S608
        for key, settings in rows(connection, "SELECT id, settings FROM account"):
            assert key in (1, 2)
            AccountSettings.model_validate_json(settings)
        states = rows(connection, "SELECT account, replica_open FROM account_state")
        assert {account for account, _ in states} == {
            key for (key,) in rows(connection, "SELECT id FROM account")
        }
        assert all(is_open for _, is_open in states)
    left = {path.name.split("-")[0] for path in folder.iterdir()}
    assert left <= {"journal.sqlite", "journal.sqlite.damaged", "salvaged"}


def _salvage(folder: Path, content: bytes) -> dict[str, int]:
    path = folder / "journal.sqlite"
    path.write_bytes(content)
    report = salvage(path)
    _check(folder, report, content)
    return {one.table: one.rows for one in report.tables}


def test_a_whole_journal_comes_out_whole(journal: bytes, tmp_path: Path) -> None:
    found = _salvage(tmp_path, journal)
    assert found["account"] == 2
    assert found["operation"] == 100
    assert found["mailbox"] == 100
    assert found["blob"] == 1
    assert found["message"] == 1


def test_every_page_may_be_damaged(
    journal: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailferry.store.salvage.PROBES_MAX", 500)
    pages = len(journal) // PAGE
    whole = 0
    for number in range(pages):
        for filling in (b"\xa5" * PAGE, bytes(PAGE)):
            folder = tmp_path / f"{number}-{filling[0]}"
            folder.mkdir()
            damaged = journal[: number * PAGE] + filling + journal[(number + 1) * PAGE :]
            found = _salvage(folder, damaged)
            whole += found["account"] == 2 and found["operation"] >= 99
    assert whole > pages  # Half of the damages cost next to nothing.


def test_mail_that_is_here_only_is_never_thrown_away(journal: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(journal)
    with closing(open_database(path, JOURNAL)) as connection:
        connection.execute("DELETE FROM operation WHERE kind = 'Append'")
    report = salvage(path)
    [letter] = report.messages
    assert letter.read_bytes() == LETTER
    assert letter.stat().st_mode & 0o077 == 0
    assert next(one.rows for one in report.tables if one.table == "message") == 0


def test_an_operation_whose_content_is_damaged_is_refused(journal: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(journal)
    with closing(open_database(path, JOURNAL)) as connection:
        connection.execute("DELETE FROM blob_chunk WHERE id = 2")
    report = salvage(path)
    [rest] = report.messages
    assert rest.name.endswith("-damaged.eml")
    assert 0 < len(rest.read_bytes()) < len(LETTER)
    with closing(open_database(path, JOURNAL)) as connection:
        [(reason,)] = rows(connection, "SELECT reason FROM operation WHERE state = 'refused'")
    assert "damaged" in reason


def test_no_number_is_given_twice(journal: bytes, tmp_path: Path) -> None:
    _salvage(tmp_path, journal)
    before = datetime.now(UTC).timestamp()
    with closing(open_database(tmp_path / "journal.sqlite", JOURNAL)) as connection:
        sequences = dict(rows(connection, "SELECT name, seq FROM sqlite_sequence"))
        [(validity, modseq), *_] = rows(
            connection, "SELECT uid_validity_last, modseq_reserved FROM account_state"
        )
    assert min(sequences.values()) > 1_000_000
    assert validity >= before - 60
    assert modseq > 1 << 20


async def test_a_node_goes_on_with_what_came_out(journal: bytes, tmp_path: Path) -> None:
    _salvage(tmp_path, journal)
    origin = MemorySource()
    opened = Journal(tmp_path / "journal.sqlite")
    await opened.open()
    async with Replica(
        account=1, upstream=origin, journal=opened, path=replica_path(tmp_path, 1)
    ) as replica:
        async with asyncio.timeout(15):
            while len(await origin.mailboxes()) < 100 or any(
                one.state.value != "applied" for one in await replica.history()
            ):
                await asyncio.sleep(0.02)
        [inbox] = [one for one in await origin.mailboxes() if one.path == INBOX]
        assert inbox.status is not None
        assert inbox.status.messages == 1
    await opened.close()
