"""One thread that commits in groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.errors import SourceUnavailable, StorageFull
from mailferry.store.database import JOURNAL, Connection, open_reader, rows
from mailferry.store.writer import QUEUE_LENGTH_MAX, Unit, Writer


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    writer = Writer(tmp_path / "journal", JOURNAL)
    await writer.open()
    yield writer
    await writer.close()


def put(name: str) -> Unit[str]:
    def unit(connection: Connection) -> str:
        connection.execute("INSERT INTO setting (name, value) VALUES (?, x'')", (name,))
        return name

    return unit


def names(path: Path) -> set[str]:
    reader = open_reader(path, JOURNAL)
    try:
        return {name for (name,) in rows(reader, "SELECT name FROM setting")}
    finally:
        reader.close()


async def test_a_unit_is_durable_when_it_returns(writer: Writer, tmp_path: Path) -> None:
    assert await writer.submit(put("a")) == "a"
    assert names(tmp_path / "journal") == {"a"}


async def test_a_failing_unit_takes_no_other_with_it(writer: Writer, tmp_path: Path) -> None:
    def failing(connection: Connection) -> None:
        connection.execute("INSERT INTO setting (name, value) VALUES ('half', x'')")
        raise LookupError("no")

    results = await asyncio.gather(
        writer.submit(put("a")),
        writer.submit(failing),
        writer.submit(put("a")),  # Breaks the unique name.
        writer.submit(put("b")),
        return_exceptions=True,
    )
    assert results[0] == "a"
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], apsw.ConstraintError)
    assert results[3] == "b"
    assert names(tmp_path / "journal") == {"a", "b"}


async def test_many_at_once_share_commits(writer: Writer, tmp_path: Path) -> None:
    commits = 0

    def counted(connection: Connection) -> None:
        def count() -> bool:
            nonlocal commits
            commits += 1
            return False

        connection.set_commit_hook(count)

    await writer.submit(counted)
    await asyncio.gather(*[writer.submit(put(str(n))) for n in range(500)])
    assert len(names(tmp_path / "journal")) == 500
    assert commits < 250


async def test_units_run_in_order(writer: Writer) -> None:
    order: list[int] = []

    def noting(number: int) -> Unit[None]:
        return lambda _: order.append(number)

    await asyncio.gather(*[writer.submit(noting(number)) for number in range(100)])
    assert order == list(range(100))


async def test_more_than_the_queue_holds(writer: Writer, tmp_path: Path) -> None:
    count = QUEUE_LENGTH_MAX + 100
    await asyncio.gather(*[writer.submit(put(str(n))) for n in range(count)])
    assert len(names(tmp_path / "journal")) == count


async def test_a_full_disk_fails_only_what_does_not_fit(writer: Writer, tmp_path: Path) -> None:
    def limit(connection: Connection) -> None:
        connection.pragma("max_page_count", int(connection.pragma("page_count")) + 4)

    def large(connection: Connection) -> None:
        connection.execute("INSERT INTO setting (name, value) VALUES ('large', zeroblob(200000))")

    await writer.submit(limit)
    results = await asyncio.gather(
        writer.submit(put("a")),
        writer.submit(large),
        writer.submit(put("b")),
        return_exceptions=True,
    )
    assert results[0] == "a"
    assert isinstance(results[1], StorageFull)
    assert results[2] == "b"
    assert names(tmp_path / "journal") == {"a", "b"}


async def test_a_caller_that_gives_up_does_not_stop_its_unit(
    writer: Writer, tmp_path: Path
) -> None:
    task = asyncio.ensure_future(writer.submit(put("a")))
    await asyncio.sleep(0)
    task.cancel()
    await writer.submit(put("b"))
    assert names(tmp_path / "journal") == {"a", "b"}


async def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", JOURNAL)
    await writer.open()
    waiting = [asyncio.ensure_future(writer.submit(put(str(n)))) for n in range(20)]
    await asyncio.sleep(0)
    await writer.close()
    await asyncio.gather(*waiting)
    await writer.close()
    assert len(names(tmp_path / "journal")) == 20
    with pytest.raises(SourceUnavailable, match="not open"):
        await writer.submit(put("late"))


async def test_who_waits_for_a_slot_when_it_closes(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", JOURNAL)
    await writer.open()
    count = QUEUE_LENGTH_MAX + 20
    waiting = [asyncio.ensure_future(writer.submit(put(str(n)))) for n in range(count)]
    await asyncio.sleep(0)
    await writer.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    refused = sum(isinstance(each, SourceUnavailable) for each in results)
    assert refused <= 20
    assert len(names(tmp_path / "journal")) == count - refused


async def test_a_writer_that_cannot_roll_back_goes_on(writer: Writer, tmp_path: Path) -> None:
    def losing(connection: Connection) -> None:
        connection.execute("ROLLBACK")
        raise ValueError("the transaction is lost")

    results = await asyncio.gather(
        writer.submit(put("a")), writer.submit(losing), writer.submit(put("b")),
        return_exceptions=True,
    )  # fmt: skip
    assert [type(each) for each in results] == [str, ValueError, str]
    assert names(tmp_path / "journal") == {"a", "b"}


async def test_repr_tells_what_waits(writer: Writer) -> None:
    assert repr(writer) == "<Writer journal [0 waiting]>"


@given(st.lists(st.booleans(), max_size=40))
async def test_whatever_fails_the_rest_is_there(
    tmp_path_factory: pytest.TempPathFactory, fails: list[bool]
) -> None:
    path = tmp_path_factory.mktemp("w") / "journal"
    writer = Writer(path, JOURNAL)
    await writer.open()

    def unit_of(number: int, *, failing: bool) -> Unit[None]:
        def unit(connection: Connection) -> None:
            connection.execute("INSERT INTO setting (name, value) VALUES (?, x'')", (str(number),))
            if failing:
                raise ValueError

        return unit

    results = await asyncio.gather(
        *[writer.submit(unit_of(n, failing=failing)) for n, failing in enumerate(fails)],
        return_exceptions=True,
    )
    await writer.close()
    assert [isinstance(each, ValueError) for each in results] == fails
    assert names(path) == {str(n) for n, failing in enumerate(fails) if not failing}
