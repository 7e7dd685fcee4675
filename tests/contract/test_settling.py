"""The contract of StagingSource.settle, its journal and its refusals (docs/rule.md)."""

from __future__ import annotations

import pytest

from mailferry.mail.changes import MailboxChanged, MailboxesChanged
from mailferry.mail.errors import (
    MailboxExists,
    MailboxNameInvalid,
    MailboxNotFound,
    MailError,
    MessageNotFound,
    NotPermitted,
)
from mailferry.mail.mailbox import INBOX, MailboxId
from mailferry.mail.message import DELETED, FLAGGED, SEEN, MessageId, flag
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Delivery,
    Move,
    Operation,
    OperationId,
    OperationState,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from tests.contract.client import Client
from tests.contract.letters import note
from tests.contract.world import (
    Follower,
    Party,
    all_octets,
    everything,
    flags_of,
    inbox_of,
    mailbox_of,
    next_event_of_kind,
    octets_of,
    operation_id,
)

NOWHERE = MailboxId("no such mailbox")


# The answer was lost


async def test_lost_marks_are_withdrawn(client: Client) -> None:
    [message] = await client.put(note(1), flags=(FLAGGED, flag("kept")))
    operation = client.set_flags(message, add=(SEEN, DELETED), remove=(FLAGGED,))
    [staged] = await client.stage(operation)
    follower = Follower(client.source, client.inbox)
    await follower.follow()
    await client.settle(Delivery.LOST, operation)
    assert await flags_of(client.source, client.inbox, message) == {FLAGGED, flag("kept")}
    await follower.follow()
    assert follower.flags[message] == {FLAGGED, flag("kept")}
    assert follower.modseqs[message] > staged.updated[0].modseq
    assert await client.state_of(operation) is OperationState.WITHDRAWN
    assert set((await client.at_origin()).values()) == {frozenset({FLAGGED, flag("kept")})}


async def test_withdrawing_spares_what_others_set(client: Client) -> None:
    [message] = await client.put(note(1), flags=(FLAGGED,))
    lost = client.set_flags(message, add=(SEEN, FLAGGED))
    await client.stage(lost)
    await client.do(client.set_flags(message, add=(flag("mine"),)))
    await client.settle(Delivery.LOST, lost)
    assert await flags_of(client.source, client.inbox, message) == {FLAGGED, flag("mine")}
    assert set((await client.at_origin()).values()) == {frozenset({FLAGGED, flag("mine")})}


async def test_lost_expunges_are_withdrawn(client: Client) -> None:
    [message, other] = await client.put(note(1), note(2), flags=(DELETED,))
    follower = Follower(client.source, client.inbox)
    await follower.follow()
    old_uid = follower.uids[message]
    operation = client.expunge(message)
    await client.stage(operation)
    await follower.follow()
    assert sorted(follower.flags) == [other]
    await client.settle(Delivery.LOST, operation)
    [back] = set(await everything(client.source, client.inbox)) - {other}
    assert await octets_of(client.source, client.inbox, back) == note(1)
    assert await flags_of(client.source, client.inbox, back) == {DELETED}
    # The session may have been told that it has gone: it is a new message under a new UID.
    fresh = Follower(client.source, client.inbox)
    await fresh.follow()
    assert fresh.uids[back] > max(old_uid, follower.uids[other])
    assert await client.state_of(operation) is OperationState.WITHDRAWN
    assert set(await client.at_origin()) == {note(1), note(2)}


async def test_a_follower_sees_the_message_come_back(client: Client) -> None:
    [message, other] = await client.put(note(1), note(2))
    follower = Follower(client.source, client.inbox)
    await follower.follow()
    operation = client.expunge(message)
    await client.stage(operation)
    await client.settle(Delivery.LOST, operation)
    fresh = Follower(client.source, client.inbox)
    await fresh.follow()
    assert len(fresh.flags) == 2
    # Whoever did not look in between ends up with the same picture.
    late = Follower(client.source, client.inbox, state=follower.state)
    await late.follow()
    told = {late.uids[each] for each in late.flags}
    assert told | {follower.uids[other]} == {fresh.uids[each] for each in fresh.flags}


async def test_lost_moves_are_withdrawn_whole(client: Client) -> None:
    [message] = await client.put(note(1), flags=(SEEN,))
    target = await client.create("Target")
    operation = Move(id=operation_id(), mailbox=client.inbox, messages=(message,), target=target)
    await client.stage(operation)
    assert await everything(client.source, client.inbox) == []
    await client.settle(Delivery.LOST, operation)
    assert await everything(client.source, target) == []
    [back] = await everything(client.source, client.inbox)
    assert await octets_of(client.source, client.inbox, back) == note(1)
    assert await flags_of(client.source, client.inbox, back) == {SEEN}
    assert await client.at_origin() == {note(1): frozenset({SEEN})}
    assert await client.at_origin(("Target",)) == {}


async def test_lost_deletions_of_mailboxes_are_withdrawn(client: Client) -> None:
    mailbox = await client.create("Saved")
    await client.do(await client.append(note(1), mailbox=mailbox))
    operation = DeleteMailbox(id=operation_id(), mailbox=mailbox)
    await client.stage(operation)
    await client.settle(Delivery.LOST, operation)
    back = await mailbox_of(client.source, ("Saved",))
    assert await all_octets(client.source, back.id) == [note(1)]
    assert set(await client.at_origin(("Saved",))) == {note(1)}


async def test_a_lost_unsubscribe_is_withdrawn(client: Client) -> None:
    await client.create("Read")
    await client.do(Subscribe(id=operation_id(), path=("Read",)))
    operation = Unsubscribe(id=operation_id(), path=("Read",))
    await client.stage(operation)
    await client.settle(Delivery.LOST, operation)
    assert (await mailbox_of(client.source, ("Read",))).subscribed


async def test_what_adds_is_kept_though_the_answer_was_lost(client: Client) -> None:
    [message] = await client.put(note(1))
    target = await client.create("Kept")
    operations: list[Operation] = [
        await client.append(note(2)),
        Copy(id=operation_id(), mailbox=client.inbox, messages=(message,), target=target),
        CreateMailbox(id=operation_id(), path=("Also",)),
        Subscribe(id=operation_id(), path=("Also",)),
    ]
    for operation in operations:
        await client.stage(operation)
    await client.settle(Delivery.LOST, *operations)
    assert set(await client.at_origin()) == {note(1), note(2)}
    assert set(await client.at_origin(("Kept",))) == {note(1)}
    assert ("Also",) in await client.paths_at_origin()
    assert (await mailbox_of(client.source, ("Also",))).subscribed
    for operation in operations:
        assert await client.state_of(operation) is OperationState.APPLIED


async def test_settling_again_changes_nothing(client: Client) -> None:
    [message] = await client.put(note(1))
    operation = client.set_flags(message, add=(SEEN,))
    await client.do(operation)
    await client.settle(Delivery.LOST, operation)
    await client.settle(Delivery.DELIVERED, operation)
    await client.source.settle([OperationId("f" * 32)], Delivery.LOST)
    assert await flags_of(client.source, client.inbox, message) == {SEEN}
    assert set((await client.at_origin()).values()) == {frozenset({SEEN})}


async def test_nothing_is_sent_before_it_is_settled(client: Client) -> None:
    [message] = await client.put(note(1))
    operation = client.set_flags(message, add=(SEEN,))
    await client.stage(operation)
    assert await client.state_of(operation) is OperationState.STAGED
    await client.source.refresh(None)
    if client.world.origin is not client.source:
        assert await client.at_origin() == {note(1): frozenset()}
    await client.settle(Delivery.DELIVERED, operation)
    assert await client.at_origin() == {note(1): frozenset({SEEN})}


# All or none


async def refusals(
    client: Client, message: MessageId, gone: MessageId
) -> list[tuple[Operation, type[MailError]]]:
    inbox, other = client.inbox, await client.create("Other")
    append = await client.append(note(9))
    return [
        (client.set_flags(message, gone, add=(SEEN,)), MessageNotFound),
        (client.expunge(gone), MessageNotFound),
        (Copy(id=operation_id(), mailbox=inbox, messages=(gone,), target=other), MessageNotFound),
        (
            Copy(id=operation_id(), mailbox=inbox, messages=(message,), target=NOWHERE),
            MailboxNotFound,
        ),
        (Move(id=operation_id(), mailbox=inbox, messages=(gone,), target=other), MessageNotFound),
        (
            Move(id=operation_id(), mailbox=inbox, messages=(message,), target=NOWHERE),
            MailboxNotFound,
        ),
        (
            Append(id=operation_id(), mailbox=NOWHERE, blob=append.blob, size=append.size),
            MailboxNotFound,
        ),
        (SetFlags(id=operation_id(), mailbox=NOWHERE, messages=(message,)), MailboxNotFound),
        (CreateMailbox(id=operation_id(), path=("Other",)), MailboxExists),
        (CreateMailbox(id=operation_id(), path=INBOX), MailboxExists),
        (CreateMailbox(id=operation_id(), path=("a\x01b",)), MailboxNameInvalid),
        (DeleteMailbox(id=operation_id(), mailbox=NOWHERE), MailboxNotFound),
        (DeleteMailbox(id=operation_id(), mailbox=inbox), NotPermitted),
        (RenameMailbox(id=operation_id(), mailbox=other, path=INBOX), MailboxExists),
        (RenameMailbox(id=operation_id(), mailbox=other, path=("Other", "In")), MailboxNameInvalid),
        (RenameMailbox(id=operation_id(), mailbox=NOWHERE, path=("X",)), MailboxNotFound),
    ]


async def test_refusals(client: Client) -> None:
    message, gone = await client.put(note(1), note(2))
    await client.do(client.expunge(gone))
    for operation, error in await refusals(client, message, gone):
        with pytest.raises(error):
            await client.stage(operation)
        fine = client.set_flags(message, add=(FLAGGED,))
        with pytest.raises(error):
            await client.stage(fine, operation)
        assert await flags_of(client.source, client.inbox, message) == frozenset(), operation
    assert await everything(client.source, client.inbox) == [message]
    assert set(await client.at_origin()) == {note(1)}


# Journal and events


async def test_history(client: Client) -> None:
    [message] = await client.put(note(1))
    target = await client.create("Target")
    before = max([entry.sequence for entry in await client.source.history()])
    lost = client.set_flags(message, add=(SEEN,))
    await client.stage(lost)
    await client.settle(Delivery.LOST, lost)
    copy = Copy(id=operation_id(), mailbox=client.inbox, messages=(message,), target=target)
    await client.do(copy)
    waiting = client.set_flags(message, add=(FLAGGED,))
    await client.world.come_to_rest()
    await client.stage(waiting)
    entries = await client.source.history(before)
    assert [entry.operation.id for entry in entries] == [lost.id, copy.id, waiting.id]
    assert [entry.state for entry in entries] == [
        OperationState.WITHDRAWN,
        OperationState.APPLIED,
        OperationState.STAGED,
    ]
    assert [entry.login for entry in entries] == ["ann"] * 3
    assert [entry.mailbox for entry in entries] == [INBOX] * 3
    assert [entry.target for entry in entries] == [None, ("Target",), None]
    assert [entry.settled_at is not None for entry in entries] == [True, True, False]
    assert [entry.done_at is not None for entry in entries] == [False, True, False]
    assert all(entry.staged_at.tzinfo is not None for entry in entries)
    sequences = [entry.sequence for entry in entries]
    assert sequences == sorted(set(sequences))
    first = await client.source.history(before, limit=1)
    assert [entry.operation.id for entry in first] == [lost.id]
    rest = await client.source.history(first[0].sequence)
    assert [entry.operation.id for entry in rest] == [copy.id, waiting.id]


async def test_who_watches_is_told_at_staging(client: Client) -> None:
    [message] = await client.put(note(1))
    events = client.source.watch()
    await client.stage(client.set_flags(message, add=(SEEN,)))
    await next_event_of_kind(events, MailboxChanged(client.inbox))
    await client.stage(CreateMailbox(id=operation_id(), path=("Told",)))
    await next_event_of_kind(events, MailboxesChanged())


async def test_who_watches_is_told_of_withdrawals(client: Client) -> None:
    [message] = await client.put(note(1))
    operation = client.expunge(message)
    await client.stage(operation)
    events = client.source.watch()
    await client.settle(Delivery.LOST, operation)
    await next_event_of_kind(events, MailboxChanged(client.inbox))


# Somebody else at the origin


async def test_others_at_the_origin_are_seen_after_a_refresh(client: Client) -> None:
    origin = client.world.origin
    await client.put(note(1))
    await Party(origin).deliver(await inbox_of(origin), note(2))
    await client.source.refresh(client.inbox)
    assert set(await all_octets(client.source, client.inbox)) == {note(1), note(2)}


async def test_flags_of_two_parties_meet(client: Client) -> None:
    origin = client.world.origin
    [message] = await client.put(note(1))
    far = await inbox_of(origin)
    [there] = await everything(origin, far)
    waiting = client.set_flags(message, add=(SEEN,))
    await client.stage(waiting)
    await Party(origin).done(
        SetFlags(id=operation_id(), mailbox=far, messages=(there,), add=frozenset({FLAGGED}))
    )
    await client.source.refresh(client.inbox)
    await client.settle(Delivery.DELIVERED, waiting)
    assert await client.at_origin() == {note(1): frozenset({SEEN, FLAGGED})}
    await client.source.refresh(client.inbox)
    assert await flags_of(client.source, client.inbox, message) == {SEEN, FLAGGED}
