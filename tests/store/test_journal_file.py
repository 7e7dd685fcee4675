"""The journal file: its lock, its checks, what must outlive everything else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.errors import StorageDamaged
from mailferry.mail.mailbox import INBOX, MailboxId
from mailferry.mail.message import SEEN, BlobId, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    Expunge,
    Operation,
    OperationId,
    OperationState,
    Probe,
    SetFlags,
)
from mailferry.store import account_state, blobs, chunks, identifiers, operations
from mailferry.store.blobs import Description
from mailferry.store.chunks import BLOB_CHUNKS
from mailferry.store.codec import (
    Birth,
    Result,
    decode_flags,
    decode_operation,
    encode_flags,
    encode_operation,
    from_signed,
    mailbox_id,
    mailbox_key,
    to_signed,
)
from mailferry.store.database import Connection
from mailferry.store.journal import Journal
from mailferry.store.writer import Unit
from mailferry.sync.identity import Identity
from tests.sources.replica.aboard import add_account

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    account = add_account(tmp_path)
    assert account == 1
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    await journal.write(lambda connection: account_state.open_account(connection, 1))
    yield journal
    await journal.close()


# The file


async def test_a_second_node_is_kept_away(journal: Journal) -> None:
    with pytest.raises(StorageDamaged, match="another mailferry is running"):
        await Journal(journal.path).open()


async def test_opened_again_after_closing(journal: Journal) -> None:
    key = journal.identity_key
    await journal.close()
    again = Journal(journal.path)
    await again.open()
    assert again.identity_key == key
    assert len(key) == 32
    await again.close()


async def test_opened_again_after_a_crash(journal: Journal) -> None:
    await journal.write(lambda c: identifiers.add_mailbox(c, 1, INBOX, None, now_s=1))
    journal.abandon()
    again = Journal(journal.path)
    await again.open()
    assert len(identifiers.mailboxes(again.reader, 1)) == 1
    await again.close()


@pytest.mark.parametrize("where", ["beginning", "middle"])
async def test_a_damaged_journal_is_told_with_what_to_do(journal: Journal, where: str) -> None:
    await journal.write(lambda c: identifiers.add_mailbox(c, 1, INBOX, None, now_s=1))
    for _ in range(20):
        await journal.write(lambda c: identifiers.add_messages(c, 1, [None] * 500))
    await journal.close()
    data = bytearray(journal.path.read_bytes())
    at = 0 if where == "beginning" else 12 * 4096
    data[at : at + 4096 * 2] = b"\x55" * 8192
    journal.path.write_bytes(data)
    again = Journal(journal.path)
    with pytest.raises(StorageDamaged, match="mailferry salvage"):
        await again.open()
    await again.close()


# The map of ids


def new_mailbox(connection: Connection, *, now_s: int = 1) -> int:
    return identifiers.add_mailbox(connection, 1, ("A",), None, now_s=now_s).id


async def test_uid_validity_ascends_though_the_clock_goes_back(journal: Journal) -> None:
    times = [1000, 2000, 500, 500, 2001, 1]

    def adding(now_s: int) -> Unit[identifiers.MappedMailbox]:
        return lambda c: identifiers.add_mailbox(c, 1, ("A",), None, now_s=now_s)

    given = [(await journal.write(adding(now_s))).uid_validity for now_s in times]
    assert given == [1000, 2000, 2001, 2002, 2003, 2004]


async def test_uids_and_ids_are_never_given_twice(journal: Journal) -> None:
    mailbox = await journal.write(new_mailbox)
    first = await journal.write(lambda c: identifiers.add_messages(c, mailbox, [None] * 3))
    await journal.write(lambda c: identifiers.forget_messages(c, [key for key, _ in first]))
    second = await journal.write(lambda c: identifiers.add_messages(c, mailbox, [None] * 2))
    assert [uid for _, uid in first + second] == [1, 2, 3, 4, 5]
    assert len({key for key, _ in first + second}) == 5

    def failing(connection: Connection) -> None:
        identifiers.add_messages(connection, mailbox, [None])
        raise ValueError

    with pytest.raises(ValueError):
        await journal.write(failing)
    [(_, uid)] = await journal.write(lambda c: identifiers.add_messages(c, mailbox, [None]))
    assert uid == 6


HIGH = MessageId((0xFFFF_FFFF << 32) | 7)  # A UIDVALIDITY past 2^31 makes a number past 2^63.


async def test_names_of_64_bits(journal: Journal) -> None:
    mailbox = await journal.write(new_mailbox)
    [(key, uid)] = await journal.write(lambda c: identifiers.add_messages(c, mailbox, [HIGH]))
    assert identifiers.by_remote(journal.reader, mailbox, [HIGH]) == {HIGH: (key, uid)}
    assert identifiers.all_remotes(journal.reader, mailbox) == {HIGH: key}
    assert identifiers.messages(journal.reader, [key])[key].remote == HIGH


@given(st.integers(0, 2**64 - 1))
def test_signed_and_back(number: int) -> None:
    assert -(2**63) <= to_signed(number) < 2**63
    assert from_signed(to_signed(number)) == number


async def test_names_change_hands(journal: Journal) -> None:
    mailbox = await journal.write(new_mailbox)
    one, two = MessageId(1), MessageId(2)
    made = await journal.write(lambda c: identifiers.add_messages(c, mailbox, [one, two]))
    (first, _), (second, _) = made
    await journal.write(lambda c: identifiers.name_messages(c, {first: two, second: one}))
    assert identifiers.all_remotes(journal.reader, mailbox) == {two: first, one: second}


async def test_born_again(journal: Journal) -> None:
    mailbox = await journal.write(new_mailbox)
    [(key, uid), _] = await journal.write(
        lambda c: identifiers.add_messages(c, mailbox, [MessageId(5), MessageId(6)])
    )
    known = Identity(b"e", b"c")
    await journal.write(lambda c: identifiers.set_identities(c, {key: known}))
    made = await journal.write(
        lambda c: identifiers.bear_again(c, mailbox, [key, 12345], into=mailbox)
    )
    [(new, new_uid)] = made.values()
    assert new > key
    assert new_uid > uid
    assert identifiers.by_remote(journal.reader, mailbox, [MessageId(5)]) == {5: (new, new_uid)}
    assert identifiers.identities(journal.reader, [new]) == {new: known}
    assert identifiers.messages(journal.reader, [key]) == {}


async def test_an_account_that_is_removed_takes_its_map_along(journal: Journal) -> None:
    mailbox = await journal.write(new_mailbox)
    await journal.write(lambda c: identifiers.add_messages(c, mailbox, [None]))
    await journal.write(lambda c: c.execute("DELETE FROM account").fetchall())
    assert identifiers.mailboxes(journal.reader, 1) == []


async def test_modseqs_are_never_given_twice(journal: Journal) -> None:
    floors = [
        (await journal.write(lambda c: account_state.open_account(c, 1))).modseq_floor
        for _ in range(3)
    ]
    assert floors[1] - floors[0] == floors[2] - floors[1] == account_state.MODSEQ_BLOCK
    reached = floors[2] + 5 * account_state.MODSEQ_BLOCK
    await journal.write(lambda c: account_state.reserve_modseqs(c, 1, reached))
    after = await journal.write(lambda c: account_state.open_account(c, 1))
    assert after.modseq_floor > reached


async def test_whether_the_replica_was_closed_in_order(journal: Journal) -> None:
    assert (await journal.write(lambda c: account_state.open_account(c, 1))).was_open
    await journal.write(lambda c: account_state.close_account(c, 1))
    assert not (await journal.write(lambda c: account_state.open_account(c, 1))).was_open


# Operations


def append(number: int) -> Append:
    return Append(
        id=OperationId(f"{number:032x}"),
        mailbox=MailboxId("1"),
        blob=BlobId("b"),
        size=3,
        flags=frozenset({SEEN, Flag("x y")}),
        internal_date=datetime(2026, 3, 1, 21, tzinfo=timezone(timedelta(hours=9))),
    )


async def stage(journal: Journal, operation: Operation) -> int:
    stored = await journal.write(
        lambda c: operations.add(
            c,
            1,
            operation,
            result=Result(births=(Birth(1, 2, 3, 4),), uid_validity=5),
            login="ann",
            paths=(INBOX, ("A", "B")),
            now=NOW,
        )
    )
    return stored.sequence


def moving(sequence: int, state: OperationState) -> Unit[None]:
    return lambda c: operations.move_on(c, [sequence], state, now=NOW)


async def test_a_life_in_the_journal(journal: Journal) -> None:
    sequence = await stage(journal, append(1))
    [stored] = operations.open_operations(journal.reader, 1)
    assert stored.operation == append(1)
    assert stored.result.births == (Birth(1, 2, 3, 4),)
    assert stored.state is OperationState.STAGED
    for state in (OperationState.COMMITTED, OperationState.APPLYING):
        await journal.write(moving(sequence, state))
    await journal.write(lambda c: operations.keep_probe(c, sequence, Probe(b"look")))
    [stored] = operations.open_operations(journal.reader, 1)
    assert stored.probe == b"look"
    later = NOW + timedelta(seconds=1)
    await journal.write(
        lambda c: operations.move_on(c, [sequence], OperationState.APPLIED, now=later, reason="so")
    )
    assert operations.open_operations(journal.reader, 1) == []
    [entry] = operations.history(journal.reader, 1, since=0, limit=10)
    assert entry.operation == append(1)
    assert entry.mailbox == INBOX
    assert entry.target == ("A", "B")
    assert (entry.staged_at, entry.settled_at, entry.done_at) == (NOW, NOW, later)
    assert entry.reason == "so"
    assert operations.history(journal.reader, 1, since=sequence, limit=10) == []


async def test_history_is_trimmed_but_never_what_waits(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "HISTORY_LENGTH_MAX", 3)
    first = await stage(journal, append(0))
    for number in range(1, 8):
        sequence = await stage(journal, append(number))
        await journal.write(moving(sequence, OperationState.APPLIED))
    await journal.write(lambda c: operations.trim_history(c, 1))
    entries = operations.history(journal.reader, 1, since=0, limit=100)
    assert entries[0].sequence == first
    assert len(entries) == 4


OPERATIONS: list[Operation] = [
    append(1),
    SetFlags(
        id=OperationId("s"),
        mailbox=MailboxId("7"),
        messages=(MessageId(1), MessageId(2**62)),
        add=frozenset({SEEN}),
        remove=frozenset({Flag("x")}),
    ),
    Expunge(id=OperationId("e"), mailbox=MailboxId("7"), messages=()),
    Copy(
        id=OperationId("c"),
        mailbox=MailboxId("7"),
        messages=(MessageId(1),),
        target=MailboxId("8"),
    ),
    CreateMailbox(id=OperationId("m"), path=("日本", "x"), special_use="\\Sent"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_come_back_as_they_were(operation: Operation) -> None:
    found = decode_operation(*encode_operation(operation))
    assert found == operation
    if isinstance(operation, Append):
        assert isinstance(found, Append)
        assert found.internal_date is not None
        assert operation.internal_date is not None
        assert found.internal_date.utcoffset() == operation.internal_date.utcoffset()


@given(
    st.frozensets(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).map(Flag))
)
def test_flags_come_back_as_they_were(flags: frozenset[Flag]) -> None:
    assert decode_flags(encode_flags(flags)) == flags


def test_ids_of_mailboxes() -> None:
    assert mailbox_key(mailbox_id(12)) == 12
    for nonsense in ("", "x", "-1", "name:A", "1" * 30, "²"):
        assert mailbox_key(MailboxId(nonsense)) == 0


# Blobs

DESCRIPTION = Description(b"(e)", b"(s)", b"f", b"h", b"t")


async def keep(journal: Journal, data: bytes, name: str) -> blobs.StoredBlob:
    def unit(connection: Connection) -> blobs.StoredBlob:
        key = blobs.begin(connection, 1)
        chunks.write(connection, BLOB_CHUNKS, key, 0, chunks.pack(data))
        return blobs.finish(
            connection, 1, key, blob=BlobId(name), size=len(data), description=DESCRIPTION
        )

    return await journal.write(unit)


async def test_a_blob(journal: Journal) -> None:
    stored = await keep(journal, b"content", "hash")
    assert blobs.find(journal.reader, 1, BlobId("hash")) == stored
    assert chunks.read(journal.reader, BLOB_CHUNKS, stored.key, 0) == b"content"
    assert chunks.read(journal.reader, BLOB_CHUNKS, stored.key, 4) == b"ent"
    assert chunks.read(journal.reader, BLOB_CHUNKS, stored.key, 7) == b""
    assert blobs.description(journal.reader, stored.key) == DESCRIPTION
    assert await keep(journal, b"content", "hash") == stored


async def test_a_blob_stays_while_anything_needs_it(journal: Journal) -> None:
    stored = await keep(journal, b"content", "hash")
    mailbox = await journal.write(new_mailbox)
    [(message, _)] = await journal.write(
        lambda c: identifiers.add_messages(c, mailbox, [None], blob=stored.key)
    )
    operation = await journal.write(
        lambda c: operations.add(
            c,
            1,
            append(1),
            result=Result(),
            login="",
            blob=stored.key,
            paths=(INBOX, None),
            now=NOW,
        )
    )

    async def dropped() -> int:
        return await journal.write(lambda c: blobs.drop_unpinned(c, 1))

    assert await dropped() == 0
    await journal.write(lambda c: blobs.unpin(c, message))
    assert await dropped() == 0
    await journal.write(
        lambda c: operations.move_on(c, [operation.sequence], OperationState.APPLIED, now=NOW)
    )
    assert await journal.write(lambda c: blobs.drop_unpinned(c, 1, {stored.key})) == 0
    assert await dropped() == 1


async def test_what_did_not_come_in_whole_is_dropped(journal: Journal) -> None:
    await journal.write(lambda c: blobs.begin(c, 1))
    assert await journal.write(lambda c: blobs.drop_unpinned(c, 1)) == 1


async def test_durable_operations_are_grouped(journal: Journal) -> None:
    """A hundred at once are far fewer than a hundred syncs; counted, not timed."""
    commits = 0

    def watch(connection: Connection) -> None:
        def count() -> bool:
            nonlocal commits
            commits += 1
            return False

        connection.set_commit_hook(count)

    await journal.write(watch)
    await asyncio.gather(*[stage(journal, append(n)) for n in range(300)])
    assert commits < 150
