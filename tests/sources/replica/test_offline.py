"""The origin away: everything shows at once, survives, and is there once when it is back."""

from __future__ import annotations

import pytest

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import ANSWERED, FLAGGED, SEEN, flag
from mailferry.mail.operation import (
    DeleteMailbox,
    OperationState,
    RenameMailbox,
    Subscribe,
)
from mailferry.mail.query import BodyContains
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.sources.replica.settings import BodyPolicy
from tests.contract.letters import PARTS, large, note
from tests.contract.world import Party, everything, inbox_of, mailbox_of, octets_of, operation_id
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, all_mail, copy, expunge, flags, move, uids


async def work_offline(crew: Crew) -> None:
    """Do a bit of everything, with five letters in the INBOX."""
    inbox = await crew.box()
    first, second, third, fourth, fifth = sorted(await uids(crew.replica, inbox))
    archive = await crew.create("Archive", "2026")
    await crew.do(flags(inbox, first, second, add=[SEEN, flag("x")]))
    await crew.do(flags(inbox, second, remove=[SEEN]))
    [copied] = await crew.do(copy(inbox, archive, first, second))
    await crew.do(move(inbox, archive, third))
    await crew.do(expunge(inbox, fourth))
    new = await crew.put(note(6), FLAGGED)
    await crew.put(PARTS, box=archive)
    await crew.do(flags(inbox, new.id, add=[ANSWERED]))
    await crew.do(move(archive, inbox, copied.created[1].id))
    old = await crew.box("Old")
    await crew.do(RenameMailbox(id=operation_id(), mailbox=old, path=("New",)))
    await crew.do(copy(inbox, old, fifth))
    await crew.do(Subscribe(id=operation_id(), path=("New",)))
    doomed = await crew.box("Doomed")
    await crew.do(DeleteMailbox(id=operation_id(), mailbox=doomed))


AFTERWARDS = {
    INBOX: {
        (note(1), frozenset({SEEN, flag("x")})),
        (note(2), frozenset({flag("x")})),
        (note(5), frozenset()),
        (note(6), frozenset({FLAGGED, ANSWERED})),
    },
    ("Archive",): set(),
    ("Archive", "2026"): {
        (note(1), frozenset({SEEN, flag("x")})),
        (note(3), frozenset()),
        (PARTS, frozenset()),
    },
    ("New",): {(note(5), frozenset())},
}


@pytest.fixture
async def filled(party: Party, aboard: Aboard) -> Aboard:
    """Everything is here before the line goes down."""
    await party.deliver(await inbox_of(party.source), *[note(n) for n in range(1, 6)])
    await party.create("Old")
    await party.create("Doomed")
    aboard.settings = aboard.settings.__class__(
        bodies=BodyPolicy.ALL,
        retry_delay_s=0.01,
        retry_delay_max_s=0.05,
        server_settle_s=0.05,
        refresh_timeout_s=0.5,
    )
    async with aboard.open() as replica:
        await replica.refresh(None)
        await all_mail(replica)
    return aboard


async def test_everything_shows_at_once_and_is_there_when_the_line_is_back(
    filled: Aboard, line: BadLine, origin: MemorySource
) -> None:
    line.down()
    async with filled.open() as replica:
        await work_offline(Crew(replica))
        shown = await all_mail(replica)
        assert {path: set(mail) for path, mail in shown.items()} == AFTERWARDS
        before = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        line.back()
        await replica.carried_out()
        assert await all_mail(origin) == shown
        await replica.refresh(None)
        assert await all_mail(replica) == shown
        after = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        assert after == before
        assert (await mailbox_of(origin, ("New",))).subscribed
        states = {entry.state for entry in await replica.history()}
        assert states == {OperationState.APPLIED}


async def test_restarted_while_the_line_is_down(
    filled: Aboard, line: BadLine, origin: MemorySource
) -> None:
    line.down()
    async with filled.open() as replica:
        await work_offline(Crew(replica))
        before = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
    async with filled.open() as replica:
        shown = await all_mail(replica)
        assert {path: set(mail) for path, mail in shown.items()} == AFTERWARDS
        assert {
            box.path: await uids(replica, box.id) for box in await replica.mailboxes()
        } == before
        line.back()
        await replica.carried_out()
        assert await all_mail(origin) == shown


async def test_crashed_while_the_line_is_down(
    filled: Aboard, line: BadLine, origin: MemorySource
) -> None:
    line.down()
    async with filled.open_and_crash() as replica:
        await work_offline(Crew(replica))
        before = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
    async with filled.open() as replica:
        shown = await all_mail(replica)
        assert {path: set(mail) for path, mail in shown.items()} == AFTERWARDS
        assert {
            box.path: await uids(replica, box.id) for box in await replica.mailboxes()
        } == before
        line.back()
        await replica.carried_out()
        assert await all_mail(origin) == shown


async def test_unreachable_from_the_start(
    aboard: Aboard, line: BadLine, origin: MemorySource
) -> None:
    """The INBOX is there, and takes what is put into it, before the server was ever seen."""
    line.down()
    async with aboard.open() as replica:
        crew = Crew(replica)
        assert [box.path for box in await replica.mailboxes()] == [INBOX]
        made = await crew.put(note(1), SEEN)
        await crew.create("Drafts")
        await replica.refresh(None)
        assert replica.reachable is False
        line.back()
        await replica.carried_out()
        assert (await all_mail(origin))[INBOX] == [(note(1), frozenset({SEEN}))]
        await replica.refresh(None)
        assert await uids(replica, await crew.box()) == {made.id: made.uid}


async def test_what_is_not_here_is_said_to_be_missing(
    party: Party, aboard: Aboard, line: BadLine
) -> None:
    await party.deliver(await inbox_of(party.source), note(1), note(2, "two words"))
    async with aboard.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        first, second = await everything(replica, inbox)
        await octets_of(replica, inbox, first)
        line.down()
        assert await octets_of(replica, inbox, first) == note(1)
        with pytest.raises(SourceUnavailable):
            await octets_of(replica, inbox, second)
        result = await replica.search(inbox, BodyContains("words"))
        assert result.messages == ()
        assert not result.complete
        line.back()
        await replica.refresh(None)
        result = await replica.search(inbox, BodyContains("words"))
        assert result.messages == (second,)
        assert result.complete


async def test_many_flag_changes_are_one_call(
    party: Party, replica: Replica, line: BadLine, origin: MemorySource
) -> None:
    await party.deliver(await inbox_of(party.source), *[note(n) for n in range(50)])
    await replica.refresh(None)
    crew, inbox = Crew(replica), await inbox_of(replica)
    line.down()
    for message in await everything(replica, inbox):
        await crew.do(flags(inbox, message, add=[SEEN]))
    line.calls.clear()
    line.back()
    await replica.carried_out()
    assert line.calls["apply"] <= 2  # One may have been tried before the line was seen to be back.
    assert all(SEEN in each for _, each in (await all_mail(origin))[INBOX])


async def test_a_large_message_waits_on_the_disk(
    aboard: Aboard, line: BadLine, origin: MemorySource
) -> None:
    letter = large(3_000_000)
    line.down()
    async with aboard.open_and_crash() as replica:
        made = await Crew(replica).put(letter)
    async with aboard.open() as replica:
        inbox = await inbox_of(replica)
        assert await octets_of(replica, inbox, made.id) == letter
        assert await octets_of(replica, inbox, made.id, offset=1_000_000) == letter[1_000_000:]
        line.back()
        await replica.carried_out()
        assert (await all_mail(origin))[INBOX] == [(letter, frozenset())]
        line.calls.clear()
        assert await octets_of(replica, inbox, made.id) == letter
        assert not line.calls["body"]
