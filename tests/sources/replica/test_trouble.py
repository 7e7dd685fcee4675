"""Damaged files, a full disk, a clock that jumps: a clear word, and nothing lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailferry.mail.errors import SourceUnavailable, StorageDamaged, StorageFull
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import FLAGGED, SEEN
from mailferry.mail.operation import OperationState
from mailferry.sources.memory import MemorySource
from mailferry.store.database import Connection
from mailferry.store.replica import SET_ASIDE
from mailferry.store.salvage import salvage_journal
from tests.contract.letters import PARTS, note
from tests.contract.world import Party, everything, inbox_of, mailbox_of
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, all_mail, copy, expunge, flags, noise, uids


async def deliver(party: Party) -> None:
    await party.deliver(await inbox_of(party.source), *[note(n) for n in range(5)], flags=[SEEN])


# The replica file


@pytest.mark.parametrize("damage", ["lost", "garbage", "a page"])
async def test_a_replica_that_is_gone_is_made_anew_with_the_same_ids(
    aboard: Aboard, party: Party, line: BadLine, origin: MemorySource, damage: str
) -> None:
    await deliver(party)
    async with aboard.open_and_crash() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        first, second, *_ = sorted(await uids(replica, inbox))
        line.down()
        await crew.do(expunge(inbox, first))
        await crew.do(flags(inbox, second, add=[FLAGGED]))
        archive = await crew.create("Archive")
        await crew.do(copy(inbox, archive, second))
        await crew.put(PARTS, FLAGGED, box=archive)
        before = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        old = (await mailbox_of(replica, INBOX)).status
    path = aboard.replica_path
    match damage:
        case "lost":
            path.unlink()
        case "garbage":
            path.write_bytes(b"\x55" * 50_000)
        case _:
            path.with_name(path.name + "-wal").unlink(missing_ok=True)
            data = bytearray(path.read_bytes())
            data[4096 * 2 : 4096 * 12] = b"\x55" * 4096 * 10
            path.write_bytes(data)
    async with aboard.open() as replica:
        # Still without the server: everything that waits shows, under the same ids.
        assert {
            box.path: await uids(replica, box.id) for box in await replica.mailboxes()
        } == before
        line.back()
        await replica.carried_out()
        await replica.refresh(None)
        assert {
            box.path: await uids(replica, box.id) for box in await replica.mailboxes()
        } == before
        mail = await all_mail(replica)
        assert mail == await all_mail(origin)
        assert (PARTS, frozenset({FLAGGED})) in mail["Archive",]
        assert (note(1), frozenset({SEEN, FLAGGED})) in mail["Archive",]
        new = (await mailbox_of(replica, INBOX)).status
        assert old is not None
        assert new is not None
        assert new.uid_validity == old.uid_validity
        assert new.uid_next == old.uid_next
        assert (new.highest_modseq or 0) > (old.highest_modseq or 0)
    assert path.with_name(path.name + SET_ASIDE).exists() == (damage != "lost")


async def test_closed_in_order_there_is_nothing_to_do(aboard: Aboard, party: Party) -> None:
    await deliver(party)
    async with aboard.open() as replica:
        await replica.refresh(None)
        before = (await mailbox_of(replica, INBOX)).status
    async with aboard.open() as replica:
        assert (await mailbox_of(replica, INBOX)).status == before


async def test_an_old_replica_is_brought_up_to_the_journal(
    aboard: Aboard, party: Party, line: BadLine
) -> None:
    """After a power cut the end of the replica may be missing, not that of the journal."""
    await deliver(party)
    async with aboard.open() as replica:
        await replica.refresh(None)
    old = aboard.replica_path.read_bytes()
    async with aboard.open_and_crash() as replica:
        crew, inbox = Crew(replica), await inbox_of(replica)
        first, second, *_ = sorted(await uids(replica, inbox))
        await crew.do(expunge(inbox, first))
        await crew.put(note(9))
        await crew.create("New")
        await replica.carried_out()
        line.down()
        await crew.do(flags(inbox, second, add=[FLAGGED]))
        before = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
    for suffix in ("-wal", "-shm"):
        aboard.replica_path.with_name(aboard.replica_path.name + suffix).unlink(missing_ok=True)
    aboard.replica_path.write_bytes(old)
    async with aboard.open() as replica:
        assert {
            box.path: await uids(replica, box.id) for box in await replica.mailboxes()
        } == before
        line.back()
        await replica.carried_out()
        await replica.refresh(None)
        assert await all_mail(replica) == await all_mail(party.source)


# The journal


async def test_a_damaged_journal_is_salvaged(
    aboard: Aboard, party: Party, line: BadLine, tmp_path: Path
) -> None:
    await deliver(party)
    line.down()
    async with aboard.open() as replica:
        crew = Crew(replica)
        await crew.put(noise(400_000))
        made = await crew.put(note(7), FLAGGED)
        before = await uids(replica, await crew.box())
    data = bytearray(aboard.journal_path.read_bytes())
    at = data.index(b"\x28\xb5\x2f\xfd") // 4096 * 4096 + 4096 * 4  # In the pages of a content.
    data[at : at + 4096] = b"\x55" * 4096
    aboard.journal_path.write_bytes(data)
    damaged = tmp_path / "damaged"
    aboard.journal_path.rename(damaged)
    salvage_journal(damaged, aboard.journal_path)
    line.back()
    async with aboard.open() as replica:
        await replica.refresh(None)
        assert (await uids(replica, await inbox_of(replica))).items() >= before.items()
        assert made.id in before


# The disk


async def test_a_full_disk_refuses_clearly_and_loses_nothing(
    aboard: Aboard, line: BadLine, origin: MemorySource
) -> None:
    line.down()
    async with aboard.open() as replica:
        crew, inbox = Crew(replica), await inbox_of(replica)
        made = await crew.put(note(1))
        journal = replica._core.journal

        def limit(connection: Connection) -> None:
            connection.pragma("max_page_count", int(connection.pragma("page_count")) + 8)

        def unlimit(connection: Connection) -> None:
            connection.pragma("max_page_count", 1 << 30)

        await journal.write(limit)
        with pytest.raises(StorageFull, match="full: free some space"):
            await crew.put(noise(2_000_000))
        await crew.do(flags(inbox, made.id, add=[SEEN]))  # What is small still gets in.
        await journal.write(unlimit)
        await crew.put(note(2))
        line.back()
        await replica.carried_out()
        assert (await all_mail(origin))[INBOX] == [
            (note(1), frozenset({SEEN})),
            (note(2), frozenset()),
        ]


async def test_a_full_disk_while_a_body_arrives(aboard: Aboard, party: Party) -> None:
    letter = noise(3_000_000)
    await party.deliver(await inbox_of(party.source), letter)
    async with aboard.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        [message] = await everything(replica, inbox)
        store = replica._core.store
        await store.write(lambda c: c.pragma("max_page_count", int(c.pragma("page_count")) + 100))
        body = await replica.body(inbox, message)
        with pytest.raises(StorageFull):
            async for _ in body.chunks:
                pass
        await store.write(lambda c: c.pragma("max_page_count", 1 << 30))
        body = await replica.body(inbox, message)
        assert b"".join([chunk async for chunk in body.chunks]) == letter


def lose_a_table(connection: Connection) -> None:
    """As if the pages of a table had become unreadable."""
    connection.pragma("writable_schema", True)
    connection.execute("UPDATE sqlite_schema SET rootpage = 999999 WHERE name = 'tally'")
    connection.pragma("schema_version", int(connection.pragma("schema_version")) + 1)


async def test_damage_that_shows_later_ends_the_replica(aboard: Aboard, party: Party) -> None:
    """Whoever keeps it open opens it anew; then it is checked and made anew."""
    await deliver(party)

    async def use_it() -> None:
        async with aboard.open() as replica:
            await replica.refresh(None)
            crew = Crew(replica)
            await replica._core.store.write(lose_a_table)
            with pytest.raises(StorageDamaged, match="rebuilt from the mail server"):
                await replica.mailboxes()
            with pytest.raises(StorageDamaged):
                await crew.put(note(6))
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as raised:
        await use_it()
    assert raised.group_contains(StorageDamaged)
    async with aboard.open() as replica:
        await replica.refresh(None)
        await replica.carried_out()
        await replica.refresh(None)
        assert await all_mail(replica) == await all_mail(party.source)


# The clock


async def test_a_clock_that_jumps_back(aboard: Aboard, line: BadLine, origin: MemorySource) -> None:
    """Nothing is put in order by the clock: not operations, not UIDVALIDITY, not history."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    aboard.clock = lambda: now
    line.down()
    async with aboard.open() as replica:
        crew, inbox = Crew(replica), await inbox_of(replica)
        one = await crew.create("One")
        made = await crew.put(note(1))
        await crew.do(flags(inbox, made.id, add=[SEEN]))
        now -= timedelta(days=3650)
        two = await crew.create("Two")
        await crew.do(flags(inbox, made.id, remove=[SEEN], add=[FLAGGED]))
    async with aboard.open() as replica:
        shown = {box.id: box.status for box in await replica.mailboxes()}
        first, second = shown[one], shown[two]
        assert first is not None
        assert second is not None
        assert second.uid_validity > first.uid_validity
        line.back()
        await replica.carried_out()
        assert (await all_mail(origin))[INBOX] == [(note(1), frozenset({FLAGGED}))]
        entries = await Crew(replica).history()
        assert [entry.sequence for entry in entries] == sorted(entry.sequence for entry in entries)
        assert {entry.state for entry in entries} == {OperationState.APPLIED}


async def test_a_replica_is_used_while_it_runs(aboard: Aboard) -> None:
    async with aboard.open() as replica:
        inbox = await inbox_of(replica)
    with pytest.raises(SourceUnavailable):
        await Crew(replica).do(expunge(inbox))
    with pytest.raises(SourceUnavailable):
        await replica.mailboxes()
