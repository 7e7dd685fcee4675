"""Ids and UIDs stay, whatever the server calls its messages."""

from __future__ import annotations

import pytest

from mailferry.mail.message import FLAGGED, SEEN
from mailferry.mail.operation import OperationState
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.sources.replica.settings import BodyPolicy
from mailferry.store.journal import Journal
from tests.contract.letters import note
from tests.contract.world import Party, everything, inbox_of, octets_of
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine, Renumbering
from tests.sources.replica.crew import Crew, all_mail, copy, expunge, flags, uids


@pytest.fixture
def line(origin: MemorySource) -> Renumbering:
    return Renumbering(origin)


@pytest.fixture
async def filled(party: Party, aboard: Aboard) -> Aboard:
    await party.deliver(await inbox_of(party.source), *[note(n) for n in range(5)], flags=[SEEN])
    aboard.settings = aboard.settings.__class__(
        bodies=BodyPolicy.ALL, retry_delay_s=0.01, refresh_timeout_s=2.0
    )
    return aboard


async def test_renumbered_messages_keep_everything(filled: Aboard, line: Renumbering) -> None:
    async with filled.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        before, mail = await uids(replica, inbox), await all_mail(replica)
        [status] = [box.status for box in await replica.mailboxes()]
        line.epoch, line.octets = 2, 0
        await replica.refresh(None)
        assert await uids(replica, inbox) == before
        assert await all_mail(replica) == mail
        assert [box.status for box in await replica.mailboxes()] == [status]
        assert line.octets == 0
        # And what is asked of the server is asked by the new names.
        await Crew(replica).do(flags(inbox, min(before), add=[FLAGGED]))


async def test_what_arrived_and_went_meanwhile(
    filled: Aboard, line: Renumbering, party: Party
) -> None:
    async with filled.open() as replica:
        await replica.refresh(None)
        inbox, far = await inbox_of(replica), await inbox_of(party.source)
        before = await uids(replica, inbox)
        line.epoch = 2
        await party.done(expunge(far, (await everything(party.source, far))[1]))
        await party.deliver(far, note(7))
        await replica.refresh(None)
        after = await uids(replica, inbox)
        second, new = sorted(before)[1], max(after)
        assert after == {key: uid for key, uid in before.items() if key != second} | {
            new: max(after.values())
        }
        assert new > max(before)
        assert await octets_of(replica, inbox, new) == note(7)


async def test_those_that_cannot_be_told_apart_get_new_uids(
    aboard: Aboard, line: Renumbering, party: Party
) -> None:
    far = await inbox_of(party.source)
    await party.deliver(far, note(1), note(1), note(2))
    async with aboard.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        first, second, third = sorted(await uids(replica, inbox))
        line.down()
        crew = Crew(replica)
        removal = expunge(inbox, first, third)
        await crew.do(removal)
        line.epoch = 2
        line.back()
        await replica.refresh(None)
        await replica.carried_out()
        # The one that is certain was removed; of the two that look the same none was.
        mail = (await all_mail(party.source))["INBOX",]
        assert mail == [(note(1), frozenset())] * 2
        assert len(await uids(replica, inbox)) == 2
        assert min(await uids(replica, inbox)) > third
        assert second not in await uids(replica, inbox)


async def test_a_server_that_tells_no_uids_of_what_was_made(
    aboard: Aboard, line: BadLine, party: Party
) -> None:
    line.tells_uids = False
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        first, second = await crew.put(note(1)), await crew.put(note(1))
        other = await crew.create("Other")
        [copied] = await crew.do(copy(inbox, other, first.id))
        await replica.carried_out()
        for _ in range(3):
            await replica.refresh(None)
        given = {first.id: first.uid, second.id: second.uid}
        assert await uids(replica, inbox) == given
        assert await uids(replica, other) == {copied.created[0].id: copied.created[0].uid}
        await crew.do(flags(inbox, first.id, second.id, add=[FLAGGED]))
        await crew.do(expunge(inbox, second.id))
        await crew.do(flags(other, copied.created[0].id, add=[SEEN]))
        await replica.carried_out()
        assert await all_mail(party.source) == await all_mail(replica)
        assert [entry.state for entry in await crew.history()] == [OperationState.APPLIED] * 7


async def test_a_server_that_rewrites_what_it_takes(
    aboard: Aboard, line: BadLine, party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version takes the place of ours, under a new UID."""
    line.tells_uids = False
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        line.down()
        made = await crew.put(note(1))
        far = await inbox_of(party.source)
        apply = line.origin.apply

        async def rewriting(attempts: object, blobs: object) -> object:
            outcomes = await apply(attempts, blobs)  # type: ignore[arg-type]
            [old] = await everything(party.source, far)
            await party.deliver(far, note(1, "Rewritten."))
            await party.done(expunge(far, old))
            return outcomes

        with monkeypatch.context() as patched:
            patched.setattr(line.origin, "apply", rewriting)
            line.back()
            patched.setattr(party, "source", _Plain(line.origin, apply))
            await replica.carried_out()
        await replica.refresh(None)
        [new] = await uids(replica, inbox)
        assert new > made.id
        assert await octets_of(replica, inbox, new) == note(1, "Rewritten.")


class _Plain:
    """The origin as a third party reaches it while `apply` is patched for us."""

    def __init__(self, origin: MemorySource, apply: object) -> None:
        self._origin = origin
        self.apply = apply

    def __getattr__(self, name: str) -> object:
        return getattr(self._origin, name)


class TestRanges:
    """A server without CONDSTORE names its messages by ranges; flags come with the summaries."""

    @pytest.fixture
    def line(self, origin: MemorySource) -> BadLine:
        line = BadLine(origin)
        line.tells_flags = False
        return line

    async def test_followed(self, filled: Aboard, party: Party) -> None:
        async with filled.open() as replica:
            await replica.refresh(None)
            assert await all_mail(replica) == await all_mail(party.source)
            before = await uids(replica, await inbox_of(replica))
            far = await inbox_of(party.source)
            await party.done(expunge(far, (await everything(party.source, far))[2]))
            await party.deliver(far, note(8), flags=[FLAGGED])
            await replica.refresh(None)
            assert await all_mail(replica) == await all_mail(party.source)
            after = await uids(replica, await inbox_of(replica))
            assert len(after.keys() & before.keys()) == 4

    async def test_worked_on(self, filled: Aboard, party: Party, line: BadLine) -> None:
        line.tells_uids = False
        async with filled.open() as replica:
            await replica.refresh(None)
            crew, inbox = Crew(replica), await inbox_of(replica)
            first, second, *_ = sorted(await uids(replica, inbox))
            made = await crew.put(note(9), FLAGGED)
            await crew.do(expunge(inbox, first))
            await crew.do(flags(inbox, second, made.id, remove=[SEEN, FLAGGED]))
            given = await uids(replica, inbox)
            for _ in range(3):
                await replica.carried_out()
                await replica.refresh(None)
            assert await all_mail(replica) == await all_mail(party.source)
            assert await uids(replica, inbox) == given


async def test_two_replicas_of_one_origin(
    tmp_path_factory: pytest.TempPathFactory, origin: MemorySource
) -> None:
    one = Aboard(tmp_path_factory.mktemp("one"), BadLine(origin))
    two = Aboard(tmp_path_factory.mktemp("two"), BadLine(origin))
    async with one.open() as first, two.open() as second:
        await first.refresh(None)
        await second.refresh(None)
        a, b = Crew(first), Crew(second)
        made = await a.put(note(1))
        await first.carried_out()
        await second.refresh(None)
        inbox = await inbox_of(second)
        [seen] = await everything(second, inbox)
        await b.do(flags(inbox, seen, add=[SEEN]))
        await a.do(flags(await inbox_of(first), made.id, add=[FLAGGED]))
        for replica in (first, second):
            await replica.carried_out()
        for replica in (first, second):
            await replica.refresh(None)
        mail = {("INBOX",): [(note(1), frozenset({SEEN, FLAGGED}))]}
        assert await all_mail(origin) == await all_mail(first) == await all_mail(second) == mail


async def test_a_replica_of_a_replica(
    tmp_path_factory: pytest.TempPathFactory, origin: MemorySource
) -> None:
    """An agent over a hub: operations are known by their ids, outcomes come from the server."""
    hub = Aboard(tmp_path_factory.mktemp("hub"), BadLine(origin))
    async with hub.open() as far:
        await far.refresh(None)
        near = Aboard(tmp_path_factory.mktemp("agent"), far)
        async with near.open() as replica:
            await replica.refresh(None)
            crew, inbox = Crew(replica), await inbox_of(replica)
            made = await crew.put(note(1), SEEN)
            box = await crew.create("A", "B")
            [copied] = await crew.do(copy(inbox, box, made.id))
            await crew.do(flags(box, copied.created[0].id, add=[FLAGGED]))
            await crew.do(expunge(inbox, made.id))
            await replica.carried_out()
            mail = await all_mail(replica)
            assert mail["A", "B"] == [(note(1), frozenset({SEEN, FLAGGED}))]
            assert await all_mail(far) == await all_mail(origin) == mail
            states = [entry.state for entry in await crew.history()]
            assert states == [OperationState.APPLIED] * 5


def test_repr(aboard: Aboard) -> None:
    assert "Replica 1" in repr(aboard.replica(Journal(aboard.journal_path)))
    assert isinstance(aboard.replica(Journal(aboard.journal_path)), Replica)
