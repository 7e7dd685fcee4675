"""Whatever becomes of the line or of us: each operation is carried out once."""

from __future__ import annotations

import asyncio

import pytest

from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import DELETED, FLAGGED, SEEN
from mailferry.mail.operation import (
    Append,
    CreateMailbox,
    DeleteMailbox,
    Operation,
    OperationState,
    RenameMailbox,
    Subscribe,
)
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.letters import note
from tests.contract.world import Party, everything, inbox_of, operation_id, summaries
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine, Cut
from tests.sources.replica.crew import Crew, Mail, all_mail, copy, expunge, flags, move, uids

KINDS = ["append", "copy", "move", "expunge", "flags", "create", "rename", "delete", "subscribe"]


async def operation_of(kind: str, crew: Crew) -> Operation:
    inbox, other = await crew.box(), await crew.box("Other")
    first = min(await uids(crew.replica, inbox))
    match kind:
        case "append":
            return await crew.append(note(9), FLAGGED)
        case "copy":
            return copy(inbox, other, first)
        case "move":
            return move(inbox, other, first)
        case "expunge":
            return expunge(inbox, first)
        case "flags":
            return flags(inbox, first, add=[SEEN])
        case "create":
            return CreateMailbox(id=operation_id(), path=("New", "Inner"))
        case "rename":
            return RenameMailbox(id=operation_id(), mailbox=other, path=("Renamed",))
        case "delete":
            return DeleteMailbox(id=operation_id(), mailbox=other)
        case _:
            return Subscribe(id=operation_id(), path=("Other",))


@pytest.fixture
async def filled(party: Party, aboard: Aboard) -> Aboard:
    await party.deliver(await inbox_of(party.source), note(1), note(2))
    await party.create("Other")
    return aboard


async def expected(kind: str) -> Mail:
    """What there is when it was done once."""
    mail: Mail = {INBOX: [(note(1), frozenset()), (note(2), frozenset())], ("Other",): []}
    match kind:
        case "append":
            mail[INBOX].append((note(9), frozenset({FLAGGED})))
        case "copy":
            mail["Other",].append(mail[INBOX][0])
        case "move":
            mail["Other",].append(mail[INBOX].pop(0))
        case "expunge":
            mail[INBOX].pop(0)
        case "flags":
            mail[INBOX][0] = (note(1), frozenset({SEEN}))
        case "create":
            mail |= {("New",): [], ("New", "Inner"): []}
        case "rename":
            mail["Renamed",] = mail.pop(("Other",))
        case "delete":
            del mail["Other",]
        case _:
            pass
    return mail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.ASKED, Cut.ANSWERED])
@pytest.mark.parametrize("tells_uids", [True, False])
async def test_the_line_dies_while_it_is_carried_out(
    filled: Aboard, line: BadLine, origin: MemorySource, kind: str, cut: Cut, *, tells_uids: bool
) -> None:
    line.tells_uids = tells_uids
    async with filled.open() as replica:
        await replica.refresh(None)
        await all_mail(replica)  # Fetches the bodies.
        crew = Crew(replica)
        operation = await operation_of(kind, crew)
        line.cuts = [cut, cut]  # And once more.
        await crew.do(operation)
        shown = await all_mail(replica)
        given = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        await replica.carried_out()
        assert await all_mail(origin) == shown == await expected(kind)
        await replica.refresh(None)
        await replica.refresh(None)
        assert await all_mail(replica) == shown
        assert given == {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        assert [entry.state for entry in await crew.history()] == [OperationState.APPLIED]


@pytest.mark.parametrize("kind", ["append", "copy", "move"])
async def test_the_server_does_it_after_we_have_looked(
    filled: Aboard, line: BadLine, origin: MemorySource, kind: str
) -> None:
    """Not there is only believed when the server had its time."""
    filled.settings = filled.settings.__class__(
        retry_delay_s=0.01, retry_delay_max_s=0.02, server_settle_s=0.3
    )
    async with filled.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        operation = await operation_of(kind, crew)
        line.cuts = [Cut.LATE]
        await crew.do(operation)
        while not line.calls["lookup"]:
            await asyncio.sleep(0)
        await line.finish()
        await replica.carried_out()
        assert await all_mail(origin) == await expected(kind)
        await replica.refresh(None)
        assert await all_mail(replica) == await expected(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [Cut.ASKED, Cut.ANSWERED])
async def test_we_die_while_it_is_carried_out(
    filled: Aboard, line: BadLine, origin: MemorySource, kind: str, cut: Cut
) -> None:
    async with filled.open_and_crash() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        operation = await operation_of(kind, crew)
        line.cuts = [cut]
        await crew.do(operation)
        given = {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}
        while not line.calls["apply"]:
            await asyncio.sleep(0)
    async with filled.open() as replica:
        await replica.carried_out()
        await replica.refresh(None)
        assert await all_mail(origin) == await all_mail(replica) == await expected(kind)
        assert given == {box.path: await uids(replica, box.id) for box in await replica.mailboxes()}


@pytest.mark.parametrize("kind", KINDS)
async def test_we_die_while_it_is_staged(filled: Aboard, origin: MemorySource, kind: str) -> None:
    """docs/rule.md: removals and "read" are withdrawn, the rest is committed."""
    async with filled.open_and_crash() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        await crew.stage(await operation_of(kind, crew))
    async with filled.open() as replica:
        await replica.carried_out()
        [entry] = await Crew(replica).history()
        withdrawn = kind in {"move", "expunge", "flags", "delete"}
        state = OperationState.WITHDRAWN if withdrawn else OperationState.APPLIED
        assert entry.state is state
        mail = await expected("nothing" if withdrawn else kind)
        assert await all_mail(origin) == await all_mail(replica) == mail


async def test_other_marks_survive_a_crash(filled: Aboard, origin: MemorySource) -> None:
    async with filled.open_and_crash() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        await crew.stage(flags(inbox, *await everything(replica, inbox), add=[FLAGGED]))
    async with filled.open() as replica:
        await replica.carried_out()
        assert {each for _, each in (await all_mail(origin))[INBOX]} == {frozenset({FLAGGED})}


async def test_the_same_twice_is_two(replica: Replica, line: BadLine, origin: MemorySource) -> None:
    """What is found at the server after an unknown outcome may be what another one made."""
    crew = Crew(replica)
    line.down()
    first, second = await crew.put(note(1)), await crew.put(note(1))
    line.cuts = [Cut.ANSWERED, Cut.ASKED]
    line.back()
    await replica.carried_out()
    assert (await all_mail(origin))[INBOX] == [(note(1), frozenset())] * 2
    await replica.refresh(None)
    assert await uids(replica, await crew.box()) == {first.id: first.uid, second.id: second.uid}


async def test_a_copy_that_was_refused_keeps_the_original(aboard: Aboard, line: BadLine) -> None:
    """A mail program moves by copying and deleting; it was told that the copy is there."""
    full = line.origin = MemorySource(quota_octets=len(note(1)) + 10)
    party = Party(full)
    await party.deliver(await inbox_of(full), note(1))
    await party.create("Archive")
    async with aboard.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        inbox, archive = await crew.box(), await crew.box("Archive")
        [message] = await everything(replica, inbox)
        line.down()
        await crew.do(copy(inbox, archive, message))
        await crew.do(flags(inbox, message, add=[DELETED]))
        await crew.do(expunge(inbox, message))
        assert await everything(replica, inbox) == []
        assert len(await everything(replica, archive)) == 1
        line.back()
        await replica.carried_out()
        await replica.refresh(None)
        mail: Mail = {INBOX: [(note(1), frozenset())], ("Archive",): []}
        assert await all_mail(full) == await all_mail(replica) == mail
        entries = await crew.history()
        assert [entry.state for entry in entries] == [OperationState.REFUSED] * 3
        assert "full" in entries[0].reason


async def test_one_that_is_refused_does_not_take_the_merged_ones_with_it(
    filled: Aboard, party: Party, line: BadLine
) -> None:
    async with filled.open() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        first, second = sorted(await everything(replica, inbox))
        line.down()
        await crew.do(flags(inbox, first, add=[SEEN]), flags(inbox, second, add=[FLAGGED]))
        far = await inbox_of(party.source)
        await party.done(expunge(far, (await everything(party.source, far))[0]))
        line.back()
        await replica.carried_out()
        await replica.refresh(None)
        assert (await all_mail(replica))[INBOX] == [(note(2), frozenset({FLAGGED}))]


async def test_lost_answers(filled: Aboard, origin: MemorySource) -> None:
    """Nothing of what takes away or marks gets to the server; what adds does."""
    async with filled.open() as replica:
        await replica.refresh(None)
        crew = Crew(replica)
        operations = [await operation_of(kind, crew) for kind in ("flags", "expunge", "append")]
        await crew.stage(*operations)
        await crew.lose(*operations)
        await replica.carried_out()
        assert await all_mail(origin) == await all_mail(replica) == await expected("append")
        states = [entry.state for entry in await crew.history()]
        assert states == [
            OperationState.WITHDRAWN,
            OperationState.WITHDRAWN,
            OperationState.APPLIED,
        ]


async def test_what_waits_for_a_message_goes_along_when_it_comes_back(
    filled: Aboard, line: BadLine, origin: MemorySource
) -> None:
    """An expunge is withdrawn while a flag change before it still waits for the server."""
    async with filled.open() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        first = min(await everything(replica, inbox))
        line.down()
        await crew.do(flags(inbox, first, add=[FLAGGED]))
        removal = expunge(inbox, first)
        await crew.stage(removal)
        await crew.lose(removal)
        [back] = set(await everything(replica, inbox)) - {first} - {first + 1}
        assert back > first
        line.back()
        await replica.carried_out()
        mail = {(note(1), frozenset({FLAGGED})), (note(2), frozenset())}
        assert set((await all_mail(origin))[INBOX]) == set((await all_mail(replica))[INBOX]) == mail


async def test_a_caller_that_goes_away_while_staging(filled: Aboard, origin: MemorySource) -> None:
    """Nobody was answered: as a lost answer."""
    async with filled.open() as replica:
        await replica.refresh(None)
        crew, inbox = Crew(replica), await inbox_of(replica)
        first = min(await everything(replica, inbox))
        staging = asyncio.ensure_future(crew.stage(expunge(inbox, first)))
        while not staging.done():
            await asyncio.sleep(0)
            if replica._core.pending or replica._core._short._tasks:  # type: ignore[union-attr]
                staging.cancel()
        while any(entry.state is not OperationState.WITHDRAWN for entry in await crew.history()):
            await asyncio.sleep(0)
        assert len((await all_mail(replica))[INBOX]) == 2
        assert len((await all_mail(origin))[INBOX]) == 2


async def test_append_has_its_date(replica: Replica, origin: MemorySource) -> None:
    """An append without a date gets the moment of staging, here and at the server."""
    crew = Crew(replica)
    append = await crew.append(note(1))
    await crew.do(Append(id=append.id, mailbox=append.mailbox, blob=append.blob, size=append.size))
    await replica.carried_out()
    inbox, far = await crew.box(), await inbox_of(origin)
    [here] = await summaries(replica, inbox, await everything(replica, inbox))
    [there] = await summaries(origin, far, await everything(origin, far))
    assert here.internal_date is not None
    assert there.internal_date is not None
    assert int(here.internal_date.timestamp()) == int(there.internal_date.timestamp())
