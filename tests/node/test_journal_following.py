from __future__ import annotations

from contextlib import aclosing

import pytest

from mailferry.mail.operation import CreateMailbox, Delivery, OperationId
from mailferry.node import journal_following
from mailferry.node.journal_following import followed_lines, journal_lines
from mailferry.sources.memory import MemorySource


async def _create(source: MemorySource, number: int) -> OperationId:
    key = OperationId(f"{number:032x}")
    await source.stage([CreateMailbox(id=key, path=(f"Box {number}",))], login="mina")
    return key


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_following, "LOOK_INTERVAL_S", 0)


async def test_lines_come_account_by_account() -> None:
    one, two = MemorySource(), MemorySource()
    for number in range(3):
        await _create(one, number)
    await _create(two, 7)
    lines = [line async for line in journal_lines([("one", one), ("two", two)], 0)]
    assert [(line.account, line.what) for line in lines] == [
        ("one", "created the mailbox Box 0"),
        ("one", "created the mailbox Box 1"),
        ("one", "created the mailbox Box 2"),
        ("two", "created the mailbox Box 7"),
    ]
    later = [line.sequence async for line in journal_lines([("one", one)], lines[1].sequence)]
    assert later == [lines[2].sequence]


async def test_many_operations_are_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_following, "PAGE_LENGTH", 2)
    source = MemorySource()
    for number in range(5):
        await _create(source, number)
    assert len([line async for line in journal_lines([("one", source)], 0)]) == 5


async def test_a_follower_hears_of_every_change_once() -> None:
    source = MemorySource()
    first = await _create(source, 1)
    async with aclosing(followed_lines(lambda: [("one", source)], 0)) as lines:
        line = await anext(lines)
        assert (line.what, line.state) == ("created the mailbox Box 1", "staged")
        second = await _create(source, 2)
        line = await anext(lines)
        assert (line.what, line.state) == ("created the mailbox Box 2", "staged")
        await source.settle([second], Delivery.DELIVERED)
        line = await anext(lines)
        assert (line.what, line.state) == ("created the mailbox Box 2", "applied")
        await source.settle([first], Delivery.LOST)
        line = await anext(lines)
        assert line.what == "created the mailbox Box 1"
        await _create(source, 3)
        assert (await anext(lines)).what == "created the mailbox Box 3"


async def test_accounts_that_come_later_are_followed() -> None:
    sources: list[tuple[str, MemorySource]] = []
    async with aclosing(followed_lines(lambda: sources, 0)) as lines:
        sources.append(("one", MemorySource()))
        await _create(sources[0][1], 1)
        assert (await anext(lines)).account == "one"
        sources.append(("two", MemorySource()))
        await _create(sources[1][1], 1)
        assert (await anext(lines)).account == "two"
