"""What is the memory source's own; what it shares with all sources is in tests/contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from mailferry.mail.errors import (
    CannotCalculateChanges,
    MessageNotFound,
    MessageTooLarge,
    NotPermitted,
    OverQuota,
)
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import SEEN, BlobId, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Delivery,
    Expunge,
    Operation,
    OperationState,
    SetFlags,
    Staged,
)
from mailferry.sources import memory
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.contract.world import (
    Follower,
    all_octets,
    everything,
    inbox_of,
    mailbox_of,
    operation_id,
)


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def do(source: MemorySource, *operations: Operation) -> list[Staged]:
    staged = await source.stage(operations, login="ann")
    await source.settle([operation.id for operation in operations], Delivery.DELIVERED)
    return list(staged)


async def append(source: MemorySource, data: bytes, mailbox: MailboxId | None = None) -> Append:
    blob = await source.upload(once(data))
    return Append(
        id=operation_id(),
        mailbox=mailbox or await inbox_of(source),
        blob=blob.id,
        size=blob.size,
    )


async def put(source: MemorySource, data: bytes) -> MessageId:
    [staged] = await do(source, await append(source, data))
    return staged.created[0].id


async def test_quota() -> None:
    source = MemorySource(quota_octets=2 * len(note(1)))
    inbox = await inbox_of(source)
    message = await put(source, note(1))
    await put(source, note(2))
    with pytest.raises(OverQuota):
        await source.stage([await append(source, note(3))], login="ann")
    with pytest.raises(OverQuota):
        await source.stage(
            [Copy(id=operation_id(), mailbox=inbox, messages=(message,), target=inbox)], login="ann"
        )
    await do(source, Expunge(id=operation_id(), mailbox=inbox, messages=(message,)))
    await put(source, note(3))


async def test_messages_have_a_limit() -> None:
    source = MemorySource(message_length_max=100)
    with pytest.raises(MessageTooLarge):
        await source.upload(once(bytes(101)))
    assert (await source.upload(once(bytes(100)))).size == 100


async def test_uploads_that_nobody_uses_are_forgotten() -> None:
    source = MemorySource()
    used = await append(source, note(0))
    await do(source, used)
    unused = await source.upload(once(b"unused"))
    for number in range(memory.UPLOADS_MAX):
        await source.upload(once(note(number)))
    with pytest.raises(MessageNotFound):
        source.read_blob(unused.id)
    assert b"".join([chunk async for chunk in source.read_blob(used.blob)]) == note(0)
    with pytest.raises(MessageNotFound):
        await source.stage(
            [Append(id=operation_id(), mailbox=used.mailbox, blob=BlobId("0" * 64), size=1)],
            login="ann",
        )


async def test_a_state_from_before_the_forgotten_tombstones() -> None:
    source = MemorySource(tombstones_max=2)
    inbox = await inbox_of(source)
    messages = [await put(source, note(number)) for number in range(5)]
    follower = Follower(source, inbox)
    await follower.follow()
    old = follower.state
    for message in messages[:2]:
        await do(source, Expunge(id=operation_id(), mailbox=inbox, messages=(message,)))
    await follower.follow()
    assert sorted(follower.flags) == messages[2:]
    await do(source, Expunge(id=operation_id(), mailbox=inbox, messages=(messages[2],)))
    with pytest.raises(CannotCalculateChanges):
        await source.changes(inbox, old)
    await follower.follow()
    assert sorted(follower.flags) == messages[3:]


async def test_who_is_on_the_way_misses_no_removal() -> None:
    source = MemorySource()
    inbox = await inbox_of(source)
    messages = [await put(source, note(number)) for number in range(6)]
    await do(source, Expunge(id=operation_id(), mailbox=inbox, messages=(messages[0],)))
    first = await source.changes(inbox, None, limit=2)
    assert not first.destroyed, "removals from before the beginning mean nothing to who begins"
    await do(source, Expunge(id=operation_id(), mailbox=inbox, messages=(messages[1], messages[5])))
    follower = Follower(source, inbox, state=first.new_state)
    follower.flags = {each.id: each.flags for each in first.created}
    await follower.follow(limit=2)
    assert sorted(follower.flags) == messages[2:5]


async def test_the_log_of_changes_does_not_grow_for_ever() -> None:
    source = MemorySource()
    inbox = await inbox_of(source)
    message = await put(source, note(1))
    for number in range(1000):
        change = frozenset({SEEN})
        await do(
            source,
            SetFlags(
                id=operation_id(),
                mailbox=inbox,
                messages=(message,),
                add=change if number % 2 else frozenset(),
                remove=frozenset() if number % 2 else change,
            ),
        )
    [box] = source._account.boxes()
    assert len(box.log) < 100
    assert await everything(source, inbox) == [message]


async def test_the_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HISTORY_MAX", 3)
    source = MemorySource()
    for number in range(5):
        await put(source, note(number))
    assert [entry.sequence for entry in await source.history()] == [3, 4, 5]


async def test_a_deleted_mailbox_comes_back_beside_its_successor() -> None:
    source = MemorySource()
    [made] = await do(source, CreateMailbox(id=operation_id(), path=("Twice",)))
    assert made.mailbox is not None
    await do(source, await append(source, note(1), made.mailbox))
    delete = DeleteMailbox(id=operation_id(), mailbox=made.mailbox)
    await source.stage([delete], login="ann")
    await do(source, CreateMailbox(id=operation_id(), path=("Twice",)))
    await source.settle([delete.id], Delivery.LOST)
    assert await all_octets(source, made.mailbox) == [note(1)]
    assert await all_octets(source, (await mailbox_of(source, ("Twice",))).id) == []


async def test_withdrawing_where_the_mailbox_has_gone() -> None:
    source = MemorySource()
    [made] = await do(source, CreateMailbox(id=operation_id(), path=("Short",)))
    assert made.mailbox is not None
    [staged] = await do(source, await append(source, note(1), made.mailbox))
    expunge = Expunge(id=operation_id(), mailbox=made.mailbox, messages=(staged.created[0].id,))
    await source.stage([expunge], login="ann")
    await do(source, DeleteMailbox(id=operation_id(), mailbox=made.mailbox))
    await source.settle([expunge.id], Delivery.LOST)
    [entry] = [e for e in await source.history() if e.operation.id == expunge.id]
    assert entry.state is OperationState.WITHDRAWN
    assert "not undone" in entry.reason


async def test_special_uses_are_those_of_the_rfc() -> None:
    source = MemorySource()
    await do(source, CreateMailbox(id=operation_id(), path=("S",), special_use="\\Sent"))
    assert (await mailbox_of(source, ("S",))).special_use == {"\\Sent"}
    wrong = CreateMailbox(id=operation_id(), path=("X",), special_use="\\Nonsense")
    with pytest.raises(NotPermitted):
        await source.stage([wrong], login="ann")


async def test_it_is_deterministic() -> None:
    def clock() -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    async def play() -> list[object]:
        source = MemorySource(clock=clock)
        await put(source, note(1))
        await do(source, CreateMailbox(id=operation_id(), path=("A", "B")))
        return [await source.mailboxes(), await source.changes(await inbox_of(source), None)]

    assert await play() == await play()
