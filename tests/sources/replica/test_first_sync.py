"""The first sync: UIDs, then summaries newest first, then bodies; and what a look costs afterwards."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from mailferry.mail.changes import MailboxChanged, MailboxesChanged, Reachability
from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import LISTING, SEEN, SummaryItem
from mailferry.mail.operation import DeleteMailbox, RenameMailbox
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica import listing, news
from mailferry.sources.replica.replica import Replica
from mailferry.store import view
from tests.contract.letters import note
from tests.contract.world import (
    Party,
    everything,
    inbox_of,
    mailbox_of,
    next_event_of_kind,
    operation_id,
    summaries,
)
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, all_mail, uids


async def all_listed(replica: Replica) -> None:
    """Wait until every summary is here."""
    store = replica._core.store
    while any(
        view.unlisted(store.reader, mailbox, before_uid=None, limit=1)
        for mailbox in replica._core.boxes
    ):
        await asyncio.sleep(0.001)


async def test_uids_first_then_summaries_newest_first(
    aboard: Aboard, party: Party, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LISTED_AT_ONCE_MAX", 5)
    monkeypatch.setattr(listing, "FETCH_LENGTH_MAX", 10)
    far = await party.deliver(await inbox_of(party.source), *[note(n) for n in range(40)])
    async with aboard.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        given = await uids(replica, inbox)
        assert sorted(given.values()) == list(range(1, 41))
        await all_listed(replica)
        asked = [message for part in line.asked_for for message in part]
        assert sorted(asked) == far  # Each once.
        parts = [set(part) for part in line.asked_for]
        assert all(min(one) > max(other) for one, other in itertools.pairwise(parts))
        assert await uids(replica, inbox) == given
        found = await summaries(replica, inbox, await everything(replica, inbox))
        assert len(found) == 40
        assert len(line.asked_for) == len(parts)


async def test_interrupted_it_goes_on_where_it_was(
    aboard: Aboard, party: Party, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "LISTED_AT_ONCE_MAX", 5)
    monkeypatch.setattr(listing, "FETCH_LENGTH_MAX", 10)
    far = await party.deliver(await inbox_of(party.source), *[note(n) for n in range(40)])
    async with aboard.open() as replica:
        await replica.refresh(None)
        while not line.asked_for:
            await asyncio.sleep(0)
        line.down()
        before = await uids(replica, await inbox_of(replica))
    line.back()
    async with aboard.open() as replica:
        await all_listed(replica)
        assert await uids(replica, await inbox_of(replica)) == before
        asked = [message for part in line.asked_for for message in part]
        assert set(asked) == set(far)
        assert len(asked) <= len(far) + 10


async def test_flags_of_what_is_not_listed_yet_count_as_unread(
    aboard: Aboard, party: Party, line: BadLine
) -> None:
    """A server that tells flags only with the summaries: nothing unread is ever hidden."""
    line.tells_flags = False
    await party.deliver(await inbox_of(party.source), note(1), flags=[SEEN])
    async with aboard.open() as replica:
        await replica.refresh(None)
        await all_listed(replica)
        assert (await all_mail(replica))[INBOX] == [(note(1), frozenset({SEEN}))]


async def test_a_look_at_which_nothing_changed_is_one_call(
    replica: Replica, party: Party, line: BadLine
) -> None:
    for number in range(20):
        box = await party.create(f"Box {number}")
        await party.deliver(box, note(number))
    await replica.refresh(None)
    line.calls.clear()
    await replica.refresh(None)
    assert line.calls == {"mailboxes": 1}


async def test_a_look_at_one_mailbox_asks_for_it_alone(
    replica: Replica, party: Party, line: BadLine
) -> None:
    far = await inbox_of(party.source)
    await party.deliver(far, note(1))
    inbox = await inbox_of(replica)
    line.calls.clear()
    await replica.refresh(inbox)
    assert len(await everything(replica, inbox)) == 1
    assert line.calls["mailboxes"] == 0


async def test_summaries_are_fetched_once(replica: Replica, party: Party, line: BadLine) -> None:
    await party.deliver(await inbox_of(party.source), note(1), note(2))
    await replica.refresh(None)
    inbox = await inbox_of(replica)
    ids = await everything(replica, inbox)
    line.calls.clear()
    await summaries(replica, inbox, ids, LISTING)
    assert not line.calls
    header = frozenset({SummaryItem.HEADER})
    first = await summaries(replica, inbox, ids, header)
    again = await summaries(replica, inbox, ids, header)
    assert first == again
    assert line.calls == {"summaries": 1}


async def test_what_is_here_is_served_before_the_rest_is_missed(
    replica: Replica, party: Party, line: BadLine
) -> None:
    await party.deliver(await inbox_of(party.source), note(1), note(2))
    await replica.refresh(None)
    inbox = await inbox_of(replica)
    first, second = await everything(replica, inbox)
    header = frozenset({SummaryItem.HEADER})
    await summaries(replica, inbox, [first], header)
    line.down()
    got: list[int] = []

    async def read() -> None:
        async for batch in replica.summaries(inbox, [first, second], header):
            got.extend(each.id for each in batch)

    with pytest.raises(SourceUnavailable):
        await read()
    assert got == [first]


# Events


async def test_what_is_pushed_is_taken_in(replica: Replica, party: Party) -> None:
    events = replica.watch()
    inbox = await inbox_of(replica)
    await party.deliver(await inbox_of(party.source), note(1))
    await next_event_of_kind(events, MailboxChanged(inbox))
    while not await everything(replica, inbox):
        await asyncio.sleep(0.001)
    await party.create("Pushed")
    await next_event_of_kind(events, MailboxesChanged())


async def test_the_line_going_down_and_up_is_told(replica: Replica, line: BadLine) -> None:
    events = replica.watch()
    assert replica.reachable
    line.down()
    await replica.refresh(None)
    await next_event_of_kind(events, Reachability(False, "the line is down"))
    line.back()
    await replica.refresh(None)
    await next_event_of_kind(events, Reachability(True))


# Mailboxes at the server


async def test_mailboxes_made_renamed_and_deleted_by_others(
    aboard: Aboard, party: Party, origin: MemorySource
) -> None:
    one = await party.create("One")
    two = await party.create("Two")
    await party.deliver(one, note(1))
    async with aboard.open() as replica:
        await replica.refresh(None)
        here = (await mailbox_of(replica, ("One",))).id
        given = await uids(replica, here)
        await party.done(RenameMailbox(id=operation_id(), mailbox=one, path=("Renamed", "One")))
        await party.done(DeleteMailbox(id=operation_id(), mailbox=two))
        await replica.refresh(None)
        assert (await mailbox_of(replica, ("Renamed", "One"))).id == here
        assert await uids(replica, here) == given
        assert await all_mail(replica) == await all_mail(origin)


async def test_a_list_without_an_inbox_is_not_believed(
    replica: Replica, party: Party, line: BadLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await party.deliver(await inbox_of(party.source), note(1))
    await replica.refresh(None)
    mail = await all_mail(replica)

    async def nothing() -> list[object]:
        return []

    with monkeypatch.context() as patched:
        patched.setattr(line, "mailboxes", nothing)
        await replica.refresh(None)
    assert await all_mail(replica) == mail


async def test_somebody_else_made_the_same_mailbox_meanwhile(
    aboard: Aboard, party: Party, line: BadLine, origin: MemorySource
) -> None:
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        line.down()
        box = await crew.create("Same")
        made = await crew.put(note(1), box=box)
        await party.deliver(await party.create("Same"), note(2))
        line.back()
        await replica.carried_out()
        await replica.refresh(None)
        await replica.refresh(None)
        assert set(await all_mail(replica)) == {INBOX, ("Same",)}
        assert (await mailbox_of(replica, ("Same",))).id == box
        assert made.id in await uids(replica, box)
        assert await all_mail(replica) == await all_mail(origin)


async def test_settings_of_time(aboard: Aboard, line: BadLine) -> None:
    """A refresh ends in time, whatever the server does."""
    aboard.settings = replace(aboard.settings, refresh_timeout_s=0.05)
    async with aboard.open() as replica:
        await replica.refresh(None)
        hold = asyncio.Event()

        async def hanging() -> list[object]:
            await hold.wait()
            raise SourceUnavailable("too late")

        line.mailboxes = hanging  # type: ignore[method-assign, assignment]
        async with asyncio.timeout(5):
            await replica.refresh(None)
        hold.set()
