"""The contract of StagingSource: what a face may rely on (docs/rule.md)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from mailferry.mail.errors import (
    MailboxNotFound,
    MessageNotFound,
)
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import (
    ANSWERED,
    CHUNK_LENGTH_MAX,
    FLAGGED,
    SEEN,
    flag,
)
from mailferry.mail.operation import (
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Delivery,
    Move,
    RenameMailbox,
    Subscribe,
    Unsubscribe,
)
from tests.contract.client import Client, in_chunks
from tests.contract.letters import ARRIVED, PARTS, large, note
from tests.contract.world import (
    Follower,
    all_octets,
    everything,
    flags_of,
    mailbox_of,
    octets_of,
    operation_id,
    summaries,
)

# Uploading


async def test_upload(client: Client) -> None:
    blob = await client.source.upload(in_chunks(PARTS))
    assert blob.size == len(PARTS)
    assert blob.id == hashlib.sha256(PARTS).hexdigest()
    assert b"".join([chunk async for chunk in client.source.read_blob(blob.id)]) == PARTS
    assert b"".join([chunk async for chunk in client.source.read_blob(blob.id, 99)]) == PARTS[99:]


async def test_upload_of_something_large(client: Client) -> None:
    letter = large(5_000_000)
    append = await client.append(letter)
    assert append.size == len(letter)
    [staged] = await client.do(append)
    message = staged.created[0].id
    assert await octets_of(client.source, client.inbox, message) == letter
    chunks = [chunk async for chunk in client.source.read_blob(append.blob)]
    assert max(map(len, chunks)) <= CHUNK_LENGTH_MAX
    assert await client.at_origin() == {letter: frozenset()}


async def test_upload_that_breaks_off_leaves_nothing(client: Client) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield note(1)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await client.source.upload(breaking())
    assert await client.put(note(1))


# Staging


async def test_append(client: Client) -> None:
    before = (await mailbox_of(client.source, INBOX)).status
    append = await client.append(note(1), SEEN, flag("project-x"))
    [staged] = await client.stage(append)
    [created] = staged.created
    assert before is not None
    assert created.original is None
    assert created.original_uid == 0
    assert created.uid >= before.uid_next
    assert created.uid_validity == before.uid_validity
    [summary] = await summaries(client.source, client.inbox, [created.id])
    assert summary.uid == created.uid
    assert summary.flags == frozenset({SEEN, flag("project-x")})
    assert summary.internal_date == ARRIVED
    assert summary.size == len(note(1))
    assert await octets_of(client.source, client.inbox, created.id) == note(1)
    after = (await mailbox_of(client.source, INBOX)).status
    assert after is not None
    assert after.uid_next > created.uid
    await client.settle(Delivery.DELIVERED, append)
    assert await client.at_origin() == {note(1): frozenset({SEEN, flag("project-x")})}
    assert await everything(client.source, client.inbox) == [created.id]


async def test_set_flags(client: Client) -> None:
    first, second = await client.put(note(1), note(2), flags=(FLAGGED,))
    follower = Follower(client.source, client.inbox)
    await follower.follow()
    modseqs = dict(follower.modseqs)
    operation = client.set_flags(first, second, add=(SEEN, flag("x")), remove=(FLAGGED,))
    [staged] = await client.stage(operation)
    assert [each.id for each in staged.updated] == [first, second]
    assert [each.uid for each in staged.updated] == [follower.uids[first], follower.uids[second]]
    assert all(each.flags == {SEEN, flag("x")} for each in staged.updated)
    assert all(each.modseq > modseqs[each.id] for each in staged.updated)
    await follower.follow()
    assert follower.flags == {first: {SEEN, flag("x")}, second: {SEEN, flag("x")}}
    assert follower.modseqs == {each.id: each.modseq for each in staged.updated}
    await client.settle(Delivery.DELIVERED, operation)
    assert set((await client.at_origin()).values()) == {frozenset({SEEN, flag("x")})}


async def test_expunge(client: Client) -> None:
    first, second = await client.put(note(1), note(2))
    follower = Follower(client.source, client.inbox)
    await follower.follow()
    await client.do(client.expunge(first))
    await follower.follow()
    assert sorted(follower.flags) == [second]
    with pytest.raises(MessageNotFound):
        await octets_of(client.source, client.inbox, first)
    assert set(await client.at_origin()) == {note(2)}


async def test_copy(client: Client) -> None:
    ids = await client.put(note(1), PARTS, flags=(SEEN,))
    target = await client.create("Copies")
    [staged] = await client.do(
        Copy(id=operation_id(), mailbox=client.inbox, messages=tuple(ids), target=target)
    )
    assert [each.original for each in staged.created] == ids
    assert [each.original_uid for each in staged.created] == sorted(await client.shown())
    uids = [each.uid for each in staged.created]
    assert uids == sorted(uids)
    copies = [each.id for each in staged.created]
    found = await summaries(client.source, target, copies)
    assert [each.uid for each in found] == uids
    assert [each.flags for each in found] == [frozenset({SEEN})] * 2
    assert [each.internal_date for each in found] == [ARRIVED] * 2
    assert await octets_of(client.source, target, copies[1]) == PARTS
    assert set(await client.at_origin(("Copies",))) == {note(1), PARTS}
    assert set(await client.at_origin()) == {note(1), PARTS}
    assert sorted(await everything(client.source, target)) == sorted(copies)


async def test_copy_of_a_copy_before_anything_was_told(client: Client) -> None:
    first, second = await client.create("First"), await client.create("Second")
    append = await client.append(note(1))
    [appended] = await client.stage(append)
    one = Copy(
        id=operation_id(),
        mailbox=client.inbox,
        messages=(appended.created[0].id,),
        target=first,
    )
    [copied] = await client.stage(one)
    two = Copy(id=operation_id(), mailbox=first, messages=(copied.created[0].id,), target=second)
    await client.stage(two)
    await client.settle(Delivery.DELIVERED, append, one, two)
    assert await all_octets(client.source, second) == [note(1)]
    assert set(await client.at_origin(("Second",))) == {note(1)}


async def test_move(client: Client) -> None:
    first, second = await client.put(note(1), note(2), flags=(ANSWERED,))
    target = await client.create("Moved")
    operation = Move(id=operation_id(), mailbox=client.inbox, messages=(second,), target=target)
    [staged] = await client.do(operation)
    [created] = staged.created
    assert created.original == second
    assert await everything(client.source, client.inbox) == [first]
    assert await everything(client.source, target) == [created.id]
    assert await flags_of(client.source, target, created.id) == {ANSWERED}
    assert set(await client.at_origin()) == {note(1)}
    assert await client.at_origin(("Moved",)) == {note(2): frozenset({ANSWERED})}


async def test_create(client: Client) -> None:
    operation = CreateMailbox(id=operation_id(), path=("Projekte", "Ærø"))
    [staged] = await client.stage(operation)
    made = await mailbox_of(client.source, ("Projekte", "Ærø"))
    assert staged.mailbox == made.id
    assert made.status is not None
    assert made.status.messages == 0
    assert made.status.uid_next >= 1
    assert (await mailbox_of(client.source, ("Projekte",))).id != made.id
    await client.settle(Delivery.DELIVERED, operation)
    assert ("Projekte", "Ærø") in await client.paths_at_origin()
    assert (await mailbox_of(client.source, ("Projekte", "Ærø"))).id == made.id


async def test_everything_in_a_mailbox_that_is_new_too(client: Client) -> None:
    create = CreateMailbox(id=operation_id(), path=("New",))
    [staged] = await client.stage(create)
    assert staged.mailbox is not None
    append = await client.append(note(1), mailbox=staged.mailbox)
    await client.stage(append)
    await client.settle(Delivery.DELIVERED, create, append)
    rename = RenameMailbox(id=operation_id(), mailbox=staged.mailbox, path=("Newer",))
    await client.do(rename)
    assert set(await client.at_origin(("Newer",))) == {note(1)}
    assert ("New",) not in await client.paths_at_origin()


async def test_delete(client: Client) -> None:
    mailbox = await client.create("Doomed")
    await client.do(await client.append(note(1), mailbox=mailbox))
    await client.do(DeleteMailbox(id=operation_id(), mailbox=mailbox))
    assert ("Doomed",) not in {box.path for box in await client.source.mailboxes()}
    with pytest.raises(MailboxNotFound):
        await client.source.changes(mailbox, None)
    assert ("Doomed",) not in await client.paths_at_origin()


async def test_a_mailbox_that_is_made_again_is_another_one(client: Client) -> None:
    mailbox = await client.create("Again")
    first = (await mailbox_of(client.source, ("Again",))).status
    await client.do(DeleteMailbox(id=operation_id(), mailbox=mailbox))
    await client.create("Again")
    second = (await mailbox_of(client.source, ("Again",))).status
    assert first is not None
    assert second is not None
    assert first.uid_validity != second.uid_validity


async def test_rename(client: Client) -> None:
    mailbox = await client.create("Old")
    inner = await client.create("Old", "Inner")
    await client.do(await client.append(note(1), mailbox=inner))
    await client.do(RenameMailbox(id=operation_id(), mailbox=mailbox, path=("Above", "New")))
    shown = {box.path: box.id for box in await client.source.mailboxes()}
    assert shown[("Above", "New")] == mailbox
    assert shown[("Above", "New", "Inner")] == inner
    assert ("Above",) in shown
    assert ("Old",) not in shown
    assert await all_octets(client.source, inner) == [note(1)]
    assert set(await client.at_origin(("Above", "New", "Inner"))) == {note(1)}


async def test_subscriptions(client: Client) -> None:
    await client.create("Seldom")
    await client.do(Subscribe(id=operation_id(), path=("Seldom",)))
    assert (await mailbox_of(client.source, ("Seldom",))).subscribed
    await client.do(Unsubscribe(id=operation_id(), path=("Seldom",)))
    assert not (await mailbox_of(client.source, ("Seldom",))).subscribed


async def test_uids_ascend_and_are_never_given_twice(client: Client) -> None:
    given = []
    for number in range(3):
        [staged] = await client.do(await client.append(note(number)))
        given.append(staged.created[0].uid)
        await client.do(client.expunge(staged.created[0].id))
    assert given == sorted(set(given))
    status = (await mailbox_of(client.source, INBOX)).status
    assert status is not None
    assert status.uid_next > given[-1]
