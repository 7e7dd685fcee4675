"""The contract of MailSource: carrying out committed operations, and finding out whether it happened."""

from __future__ import annotations

import pytest

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import ANSWERED, DELETED, FLAGGED, SEEN, MessageId, flag
from mailferry.mail.operation import (
    Applied,
    Attempt,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Refused,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
    Untried,
)
from mailferry.mail.source import MailSource
from tests.contract.letters import LATER, large, note
from tests.contract.world import (
    Party,
    World,
    all_octets,
    everything,
    flags_of,
    inbox_of,
    mailbox_of,
    octets_of,
    operation_id,
    summaries,
)

NOWHERE = MailboxId("no such mailbox")


@pytest.fixture
def source(world: World) -> MailSource:
    return world.source


@pytest.fixture
def party(world: World) -> Party:
    """Somebody who has the source under test itself carry things out."""
    return Party(world.source)


@pytest.fixture
async def inbox(source: MailSource) -> MailboxId:
    return await inbox_of(source)


async def test_append(source: MailSource, party: Party, inbox: MailboxId) -> None:
    [applied] = await party.done(
        party.append(inbox, note(1), [SEEN, flag("project-x")], internal_date=LATER)
    )
    [message] = await everything(source, inbox)
    assert applied.created in {((MessageId(0), message),), ()}
    assert await octets_of(source, inbox, message) == note(1)
    [summary] = await summaries(source, inbox, [message])
    assert summary.flags == frozenset({SEEN, flag("project-x")})
    assert summary.internal_date == LATER


async def test_append_of_something_large(
    source: MailSource, party: Party, inbox: MailboxId
) -> None:
    [message] = await party.deliver(inbox, large(2_000_000))
    assert await octets_of(source, inbox, message) == large(2_000_000)


async def test_set_flags(source: MailSource, party: Party, inbox: MailboxId) -> None:
    first, second = await party.deliver(inbox, note(1), note(2), flags=[ANSWERED, FLAGGED])
    await party.done(
        SetFlags(
            id=operation_id(),
            mailbox=inbox,
            messages=(first,),
            add=frozenset({SEEN, flag("$Forwarded")}),
            remove=frozenset({FLAGGED}),
        )
    )
    assert await flags_of(source, inbox, first) == {ANSWERED, SEEN, flag("$Forwarded")}
    assert await flags_of(source, inbox, second) == {ANSWERED, FLAGGED}


async def test_expunge_takes_exactly_what_was_named(
    source: MailSource, party: Party, inbox: MailboxId
) -> None:
    marked, named, other = await party.deliver(inbox, note(1), note(2), note(3))
    for each in (marked, named):
        await party.done(
            SetFlags(id=operation_id(), mailbox=inbox, messages=(each,), add=frozenset({DELETED}))
        )
    await party.done(Expunge(id=operation_id(), mailbox=inbox, messages=(named,)))
    assert await everything(source, inbox) == [marked, other]
    assert await flags_of(source, inbox, marked) == {DELETED}


async def test_expunge_needs_no_mark(source: MailSource, party: Party, inbox: MailboxId) -> None:
    one, other = await party.deliver(inbox, note(1), note(2))
    await party.done(Expunge(id=operation_id(), mailbox=inbox, messages=(one,)))
    assert await everything(source, inbox) == [other]


async def test_copy(source: MailSource, party: Party, inbox: MailboxId) -> None:
    ids = await party.deliver(inbox, note(1), note(2), flags=[FLAGGED])
    target = await party.create("Copies")
    [applied] = await party.done(
        Copy(id=operation_id(), mailbox=inbox, messages=tuple(ids), target=target)
    )
    copies = await everything(source, target)
    assert applied.created in {tuple(zip(ids, copies, strict=True)), ()}
    assert await all_octets(source, target) == [note(1), note(2)]
    before, after = await summaries(source, inbox, ids), await summaries(source, target, copies)
    assert [each.flags for each in after] == [frozenset({FLAGGED})] * 2
    assert [each.internal_date for each in after] == [each.internal_date for each in before]
    assert await everything(source, inbox) == ids


async def test_move(source: MailSource, party: Party, inbox: MailboxId) -> None:
    first, second = await party.deliver(inbox, note(1), note(2), flags=[SEEN])
    target = await party.create("Moved")
    [applied] = await party.done(
        Move(id=operation_id(), mailbox=inbox, messages=(second,), target=target)
    )
    [moved] = await everything(source, target)
    assert applied.created in {((second, moved),), ()}
    assert await octets_of(source, target, moved) == note(2)
    assert await flags_of(source, target, moved) == {SEEN}
    assert await everything(source, inbox) == [first]


async def test_what_has_gone_is_passed_over(
    world: World,
) -> None:
    source, party = world.origin, Party(world.origin)
    inbox = await inbox_of(source)
    gone, kept = await party.deliver(inbox, note(1), note(2))
    target = await party.create("Target")
    await party.done(Expunge(id=operation_id(), mailbox=inbox, messages=(gone,)))
    await party.done(
        SetFlags(id=operation_id(), mailbox=inbox, messages=(gone, kept), add=frozenset({SEEN})),
        Copy(id=operation_id(), mailbox=inbox, messages=(gone, kept), target=target),
        Expunge(id=operation_id(), mailbox=inbox, messages=(gone,)),
    )
    assert await flags_of(source, inbox, kept) == {SEEN}
    assert await all_octets(source, target) == [note(2)]


async def test_create_with_those_above(source: MailSource, party: Party) -> None:
    path = ("Projekte", "Ærø", "2026")
    [applied] = await party.done(CreateMailbox(id=operation_id(), path=path))
    made = await mailbox_of(source, path)
    assert applied.mailbox in {made.id, None}
    assert made.selectable
    assert await party.deliver(made.id, note(1))


async def test_delete(source: MailSource, party: Party) -> None:
    outer = await party.create("Outer")
    inner = await party.create("Outer", "Inner")
    await party.deliver(outer, note(1))
    await party.deliver(inner, note(2))
    await party.done(DeleteMailbox(id=operation_id(), mailbox=outer))
    shown = {mailbox.path for mailbox in await source.mailboxes() if mailbox.selectable}
    assert ("Outer",) not in shown
    assert ("Outer", "Inner") in shown
    assert await all_octets(source, inner) == [note(2)]


async def test_rename_takes_those_below_along(source: MailSource, party: Party) -> None:
    old = await party.create("Old")
    await party.deliver(old, note(1))
    await party.deliver(await party.create("Old", "Inner"), note(2))
    await party.done(RenameMailbox(id=operation_id(), mailbox=old, path=("New",)))
    shown = {mailbox.path for mailbox in await source.mailboxes() if mailbox.selectable}
    assert {("New",), ("New", "Inner")} <= shown
    assert not {("Old",), ("Old", "Inner")} & shown
    assert await all_octets(source, (await mailbox_of(source, ("New",))).id) == [note(1)]
    assert await all_octets(source, (await mailbox_of(source, ("New", "Inner"))).id) == [note(2)]


async def test_subscriptions(source: MailSource, party: Party) -> None:
    await party.create("Seldom")
    await party.done(Subscribe(id=operation_id(), path=("Seldom",)))
    assert (await mailbox_of(source, ("Seldom",))).subscribed
    await party.done(Unsubscribe(id=operation_id(), path=("Seldom",)))
    assert not (await mailbox_of(source, ("Seldom",))).subscribed


async def test_outcomes_come_in_order(source: MailSource, party: Party, inbox: MailboxId) -> None:
    outcomes = await party.apply(
        party.append(inbox, note(1)),
        CreateMailbox(id=operation_id(), path=("INBOX",)),
        CreateMailbox(id=operation_id(), path=("Made",)),
        Expunge(id=operation_id(), mailbox=NOWHERE, messages=(MessageId(1),)),
        party.append(inbox, note(2)),
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Applied, Refused, Applied, Refused, Applied]
    assert await all_octets(source, inbox) == [note(1), note(2)]


async def test_what_is_there_already_is_refused(source: MailSource, party: Party) -> None:
    mailbox = await party.create("There")
    await party.create("Here")
    for operation in (
        CreateMailbox(id=operation_id(), path=("There",)),
        RenameMailbox(id=operation_id(), mailbox=mailbox, path=("Here",)),
    ):
        [outcome] = await party.apply(operation)
        assert isinstance(outcome, Refused)
        assert outcome.code == "ALREADYEXISTS"
        assert outcome.reason


async def test_what_is_nowhere_is_refused(party: Party, inbox: MailboxId) -> None:
    [message] = await party.deliver(inbox, note(1))
    for operation in (
        party.append(NOWHERE, note(2)),
        Copy(id=operation_id(), mailbox=inbox, messages=(message,), target=NOWHERE),
        Move(id=operation_id(), mailbox=inbox, messages=(message,), target=NOWHERE),
        DeleteMailbox(id=operation_id(), mailbox=NOWHERE),
    ):
        [outcome] = await party.apply(operation)
        assert isinstance(outcome, Refused), operation
        assert outcome.code in {"NONEXISTENT", "TRYCREATE"}


async def test_nothing_to_do(party: Party) -> None:
    assert list(await party.apply()) == []


# Looking whether it was done


async def attempt(party: Party, operation: Operation) -> Attempt:
    return Attempt(operation=operation, probe=await party.source.probe(operation, party.blobs))


async def test_what_is_harmless_may_be_carried_out_again(
    source: MailSource, party: Party, inbox: MailboxId
) -> None:
    message, doomed = await party.deliver(inbox, note(1), note(2))
    for operation in (
        SetFlags(id=operation_id(), mailbox=inbox, messages=(message,), add=frozenset({SEEN})),
        Expunge(id=operation_id(), mailbox=inbox, messages=(doomed,)),
        Subscribe(id=operation_id(), path=("INBOX",)),
        Unsubscribe(id=operation_id(), path=("INBOX",)),
    ):
        tried = await attempt(party, operation)
        assert isinstance(await source.lookup(tried), Untried)
        for _ in range(2):
            [outcome] = await source.apply([tried], party.blobs)
            assert isinstance(outcome, Applied)
    assert await everything(source, inbox) == [message]
    assert await flags_of(source, inbox, message) == {SEEN}


async def found_out(party: Party, operation: Operation) -> Applied:
    """Look before and after an attempt; return what the second look told."""
    tried = await attempt(party, operation)
    assert tried.probe is not None
    assert isinstance(await party.source.lookup(tried), Untried)
    [outcome] = await party.source.apply([tried], party.blobs)
    assert isinstance(outcome, Applied), outcome
    found = await party.source.lookup(tried)
    assert isinstance(found, Applied)
    assert not outcome.created or found.created == outcome.created
    return found


async def test_an_append_is_found(source: MailSource, party: Party, inbox: MailboxId) -> None:
    [old] = await party.deliver(inbox, note(1))
    found = await found_out(party, party.append(inbox, note(1)))
    [new] = set(await everything(source, inbox)) - {old}
    assert found.created == ((MessageId(0), new),)


async def test_somebody_elses_append_is_not_taken_for_ours(party: Party, inbox: MailboxId) -> None:
    tried = await attempt(party, party.append(inbox, note(1)))
    await party.deliver(inbox, note(2))
    assert isinstance(await party.source.lookup(tried), Untried)


async def test_a_copy_is_found(source: MailSource, party: Party, inbox: MailboxId) -> None:
    ids = await party.deliver(inbox, note(1), note(2))
    target = await party.create("Target")
    await party.deliver(target, note(1))
    found = await found_out(
        party, Copy(id=operation_id(), mailbox=inbox, messages=tuple(ids), target=target)
    )
    new = (await everything(source, target))[1:]
    assert found.created == tuple(zip(ids, new, strict=True))


async def test_a_move_is_found(source: MailSource, party: Party, inbox: MailboxId) -> None:
    ids = await party.deliver(inbox, note(1), note(2))
    target = await party.create("Target")
    found = await found_out(
        party, Move(id=operation_id(), mailbox=inbox, messages=tuple(ids), target=target)
    )
    assert found.created == tuple(zip(ids, await everything(source, target), strict=True))


async def test_what_happened_to_mailboxes_is_found(party: Party) -> None:
    await found_out(party, CreateMailbox(id=operation_id(), path=("One", "Two")))
    one = await mailbox_of(party.source, ("One",))
    await found_out(party, RenameMailbox(id=operation_id(), mailbox=one.id, path=("Uno",)))
    uno = await mailbox_of(party.source, ("Uno", "Two"))
    await found_out(party, DeleteMailbox(id=operation_id(), mailbox=uno.id))
