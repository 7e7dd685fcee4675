"""Taking back what an operation does, because it was withdrawn or refused.

What it made goes; what it took away comes back, under new ids and UIDs, as somebody may have been told
that the old ones are gone; flags are folded again without it.  Other operations that wait and name
a message that came back are rewritten in the same transaction to name the new one.

An operation can also be taken back for some of its messages only: it stays, and names the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Copy,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    OperationState,
    SetFlags,
)
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.pending import Pending, messages_of
from mailferry.store import identifiers, operations
from mailferry.store.codec import Result, mailbox_key
from mailferry.store.database import Connection
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What is to be taken back."""

    stored: StoredOperation
    state: OperationState | None
    """The final state; None: the operation stays, without `messages`."""
    reason: str
    messages: frozenset[int]
    """For which of its messages."""


def whole(stored: StoredOperation, state: OperationState, reason: str) -> Undo:
    """Return the undoing of a whole operation."""
    return Undo(
        stored=stored,
        state=state,
        reason=reason,
        messages=frozenset(messages_of(stored.operation)),
    )


def partly(stored: StoredOperation, messages: frozenset[int], reason: str) -> Undo:
    """Return the undoing of an operation for some of its messages, of all of it when none is left.

    One that is not committed yet, or may be under way, stays, to be settled as it must be.
    """
    is_all = messages.issuperset(messages_of(stored.operation))
    ends = is_all and stored.state is OperationState.COMMITTED
    return Undo(
        stored=stored,
        state=OperationState.REFUSED if ends else None,
        reason=reason,
        messages=messages,
    )


@dataclass(slots=True)
class _Done:
    """What the journal's transaction did."""

    removed: set[int]
    """Messages that had been made."""
    reborn: dict[int, dict[int, tuple[int, int]]]
    """Mailbox -> {old id: (new id, UID)}."""
    rewritten: list[StoredOperation]
    uid_validities: dict[int, int]


async def undo(core: Core, plan: Callable[[], Sequence[Undo]]) -> Sequence[Undo]:
    """Take operations back, the last one first; return what was taken back.

    `plan` is asked for it when nobody else gives messages other ids any more.
    """
    async with core.identities:
        undos = plan()
        if undos:
            await _undo(core, undos)
        return undos


async def _undo(core: Core, undos: Sequence[Undo]) -> None:
    ordered = sorted(undos, key=lambda each: each.stored.sequence, reverse=True)
    returning = {id(each): _returning(core.pending, each, undos) for each in ordered}
    named = {message for each in ordered for message in _concerned(each)}
    others = core.pending.naming(named)
    now = core.clock()
    boxes = [
        mailbox_key(each.stored.operation.mailbox)
        for each in ordered
        if isinstance(each.stored.operation, Expunge | Move)
    ]

    def unit(connection: Connection) -> _Done:
        done = _Done(set(), {}, [], {})
        current = {stored.sequence: stored for stored in others}
        for each in ordered:
            _undo_one(connection, core.account, each, returning[id(each)], current, done, now)
        finished = {each.stored.sequence for each in ordered if each.state is not None}
        done.rewritten = [
            stored
            for stored in current.values()
            if stored.sequence not in finished and stored not in others
        ]
        for stored in done.rewritten:
            operations.rewrite(connection, stored)
        return done

    async with core.numbering(boxes):
        done = await core.journal.write(unit)
        await _show(core, ordered, done)


def _concerned(each: Undo) -> Iterable[int]:
    yield from each.messages
    for birth in each.stored.result.births:
        yield birth.message


def _returning(pending: Pending, one: Undo, undos: Sequence[Undo]) -> list[int]:
    """Return the messages that come back: those that no other operation takes away too."""
    if not isinstance(one.stored.operation, Expunge | Move):
        return []
    undone = {(each.stored.sequence, message) for each in undos for message in each.messages}
    return [
        message
        for message in one.messages
        if all((other.sequence, message) in undone for other in pending.removing(message))
    ]


def _undo_one(
    connection: Connection,
    account: int,
    each: Undo,
    returning: Sequence[int],
    current: dict[int, StoredOperation],
    done: _Done,
    now: datetime,
) -> None:
    stored = current.get(each.stored.sequence, each.stored)
    births = _births_for(stored.result, each)
    identifiers.forget_messages(connection, births)
    done.removed.update(births)
    operation = stored.operation
    if returning and isinstance(operation, Expunge | Move):
        mailbox = mailbox_key(operation.mailbox)
        made = identifiers.bear_again(connection, mailbox, returning, into=mailbox)
        if made:
            done.reborn.setdefault(mailbox, {}).update(made)
        renamed = {old: new for old, (new, _) in made.items()}
        for sequence, other in list(current.items()):
            current[sequence] = with_ids(other, renamed)
        stored = current.get(stored.sequence, stored)
        each = replace(each, messages=frozenset(renamed.get(m, m) for m in each.messages))
    if isinstance(operation, DeleteMailbox) and each.state is not None:
        mailbox = mailbox_key(operation.mailbox)
        done.uid_validities[mailbox] = identifiers.renew_uid_validity(
            connection, account, mailbox, now_s=int(now.timestamp())
        )
    if each.state is None:
        current[stored.sequence] = without(stored, each.messages)
        return
    for made_mailbox in stored.result.mailboxes:
        identifiers.forget_mailbox(connection, made_mailbox.mailbox)
    operations.move_on(connection, [stored.sequence], each.state, now=now, reason=each.reason)


def _births_for(result: Result, each: Undo) -> list[int]:
    return [
        birth.message
        for birth in result.births
        if each.state is not None or birth.original in each.messages
    ]


async def _show(core: Core, ordered: Sequence[Undo], done: _Done) -> None:
    for stored in done.rewritten:
        core.pending.rewrite(stored)
    for each in ordered:
        if each.state is not None:
            core.pending.remove(each.stored.sequence)
    gone = [
        made.mailbox
        for each in ordered
        if each.state is not None
        for made in each.stored.result.mailboxes
    ]
    for mailbox in gone:
        core.boxes.pop(mailbox, None)
    for mailbox, uid_validity in done.uid_validities.items():
        if mailbox in core.boxes:  # It may have gone at the server meanwhile.
            core.boxes[mailbox] = replace(core.boxes[mailbox], uid_validity=uid_validity)
    flagged = {
        message
        for each in ordered
        if isinstance(each.stored.operation, SetFlags)
        for message in each.messages
    }
    new = {key for made in done.reborn.values() for key, _ in made.values()}

    def show(edit: Edit) -> None:
        edit.remove(done.removed)
        for mailbox, made in done.reborn.items():
            edit.bear_again(mailbox, made)
        edit.refold(flagged)
        for mailbox in gone:
            edit.drop_mailbox(mailbox)

    await core.edit_in_the_end(show, flagged | new)
    core.refold_list()
    core.committed.set()  # Those that had to wait behind it may go now.


def with_ids(stored: StoredOperation, renamed: Mapping[int, int]) -> StoredOperation:
    """Return an operation that names messages by their new ids."""
    births = tuple(
        msgspec.structs.replace(
            birth,
            original=renamed.get(birth.original, birth.original),
            message=renamed.get(birth.message, birth.message),
        )
        for birth in stored.result.births
    )
    ids = tuple(MessageId(renamed.get(each, each)) for each in messages_of(stored.operation))
    return replace(
        stored,
        operation=_naming(stored.operation, ids),
        result=msgspec.structs.replace(stored.result, births=births),
    )


def without(stored: StoredOperation, messages: frozenset[int]) -> StoredOperation:
    """Return an operation that does not name some messages any more."""
    ids = tuple(MessageId(each) for each in messages_of(stored.operation) if each not in messages)
    births = tuple(each for each in stored.result.births if each.original not in messages)
    return replace(
        stored,
        operation=_naming(stored.operation, ids),
        result=msgspec.structs.replace(stored.result, births=births),
    )


def _naming(operation: Operation, ids: tuple[MessageId, ...]) -> Operation:
    match operation:
        case SetFlags() | Expunge() | Copy() | Move():
            return replace(operation, messages=ids)
        case _:
            return operation
