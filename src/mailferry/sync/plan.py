"""Which waiting operations go to the server next, and together.

Operations that share a mailbox keep their order; others do not wait for each other.  What may go now
is cut into *lanes*: the operations of one lane go one after the other in one call, different lanes
at the same time.  Neighbouring flag changes of a lane are merged, so that a hundred of them are one
STORE with a set of UIDs.

Something that takes messages away, or marks them for it, never goes in the same call as a copy of
the same messages before it: if the server refuses the copy, the removal must not have happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    OperationId,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.sync.fold import FlagChange, net_change

LANE_LENGTH_MAX: Final = 100  # Operations: what one call carries, so that outcomes come in steps.
LANE_OCTETS_MAX: Final = 1024 * 1024  # Appended octets: a big one ends its lane.
LANES_MAX: Final = 4  # Calls at the same time; a server allows an account some ten sessions.

Key: TypeAlias = Hashable
THE_LIST: Final[Key] = "the list of mailboxes"
"""Shared by all operations that change names: they keep their order among each other."""


def keys_of(
    operation: Operation, made: Collection[MailboxId], below: Collection[MailboxId]
) -> frozenset[Key]:
    """Return what an operation shares with others that must keep their order with it.

    `made` are the mailboxes that it creates, `below` those under the one that it renames.
    """
    match operation:
        case SetFlags() | Expunge() | Append():
            return frozenset({operation.mailbox})
        case Copy() | Move():
            return frozenset({operation.mailbox, operation.target})
        case CreateMailbox():
            return frozenset({THE_LIST, *made})
        case RenameMailbox() | DeleteMailbox():
            return frozenset({THE_LIST, operation.mailbox, *below})
        case Subscribe() | Unsubscribe():
            # Some servers subscribe only to what exists: a create or rename before it goes first.
            return frozenset({THE_LIST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An operation that is not final yet."""

    sequence: int
    operation: Operation
    keys: frozenset[Key]
    ready: bool
    """False while it is staged, under way, waiting for its next try, or names what the server has
    no name for yet.  It still keeps those behind it waiting."""
    apart: bool = False
    """Not to be merged: merged with others it was refused."""


Lane: TypeAlias = tuple[Waiting, ...]


def lanes(waiting: Sequence[Waiting], under_way: int = 0) -> list[Lane]:
    """Return what may go now; `waiting` is in the order of staging."""
    blocked: set[Key] = set()
    chosen: list[list[Waiting]] = []
    for one in waiting:
        if not one.ready or one.keys & blocked:
            blocked |= one.keys
            continue
        sharing = [lane for lane in chosen if any(one.keys & other.keys for other in lane)]
        if not sharing and len(chosen) + under_way < LANES_MAX:
            chosen.append([one])
        elif len(sharing) == 1 and _may_follow(sharing[0], one):
            sharing[0].append(one)
        else:
            blocked |= one.keys
    return [tuple(lane) for lane in chosen]


def _may_follow(lane: Sequence[Waiting], one: Waiting) -> bool:
    if len(lane) >= LANE_LENGTH_MAX or _octets(lane) >= LANE_OCTETS_MAX:
        return False
    if isinstance(one.operation, RenameMailbox | DeleteMailbox | CreateMailbox):
        return False  # What comes after may have other names: the answer must be known first.
    if any(
        isinstance(each.operation, RenameMailbox | DeleteMailbox | CreateMailbox) for each in lane
    ):
        return False
    if any(_makes_the_same(each.operation, one.operation) for each in lane):
        return False
    going = removed_by(one.operation)
    return not any(
        isinstance(each.operation, Copy | Move) and going.intersection(each.operation.messages)
        for each in lane
    )


def _makes_the_same(one: Operation, other: Operation) -> bool:
    """Whether two operations make messages of the same content in the same mailbox.

    What to look for after a doubt is noted before a call, for all of it: were both in it, what one
    of them made could be taken for the other's.
    """
    match one, other:
        case Append(), Append():
            return (one.mailbox, one.blob) == (other.mailbox, other.blob)
        case ((Copy() | Move()), (Copy() | Move())):
            same = not set(one.messages).isdisjoint(other.messages)
            return one.target == other.target and same
        case _:
            return False


def removed_by(operation: Operation) -> frozenset[MessageId]:
    """Return the messages that an operation takes away, or marks to be taken away."""
    match operation:
        case Expunge(messages=messages) | Move(messages=messages):
            return frozenset(messages)
        case SetFlags(messages=messages, add=add) if DELETED in add:
            return frozenset(messages)
        case _:
            return frozenset()


def _octets(lane: Sequence[Waiting]) -> int:
    return sum(each.operation.size for each in lane if isinstance(each.operation, Append))


@dataclass(frozen=True, slots=True)
class Parcel:
    """One operation to be sent, and the operations that are done when it is done."""

    operation: Operation
    covers: tuple[int, ...]
    """Sequence numbers, ascending."""


def parcels(lane: Lane) -> list[Parcel]:
    """Return what a lane sends, in order, with its flag changes merged."""
    result: list[Parcel] = []
    run: list[tuple[int, SetFlags]] = []
    for one in lane:
        operation = one.operation
        change = operation if isinstance(operation, SetFlags) and not one.apart else None
        if run and (change is None or change.mailbox != run[0][1].mailbox):
            result += _merged(run)
            run = []
        if change is not None:
            run.append((one.sequence, change))
        else:
            result.append(Parcel(operation, (one.sequence,)))
    if run:
        result += _merged(run)
    return result


def _merged(run: Sequence[tuple[int, SetFlags]]) -> list[Parcel]:
    """Return fewer changes that do the same in this order.

    Each operation goes whole into one parcel, so that it ends exactly when that parcel does.
    """
    by_sequence = dict(run)
    bundles = [
        _Bundle((sequence,), frozenset(each.messages), FlagChange(each.add, each.remove))
        for sequence, each in run
    ]
    return [
        Parcel(
            SetFlags(
                id=_id_of([by_sequence[each].id for each in bundle.covers], bundle.change),
                mailbox=run[0][1].mailbox,
                messages=tuple(sorted(bundle.messages)),
                add=bundle.change.add,
                remove=bundle.change.remove,
            ),
            bundle.covers,
        )
        for bundle in _joined_by_messages(_joined_by_change(bundles))
    ]


@dataclass(frozen=True, slots=True)
class _Bundle:
    """One change of flags, of all of these messages."""

    covers: tuple[int, ...]
    messages: frozenset[MessageId]
    change: FlagChange

    def joined(self, other: _Bundle, change: FlagChange) -> _Bundle:
        return _Bundle(
            tuple(sorted((*self.covers, *other.covers))), self.messages | other.messages, change
        )


def _joined_by_change(bundles: Sequence[_Bundle]) -> list[_Bundle]:
    """Join those that make the same change, unless one of their messages is changed in between."""
    result: list[_Bundle] = []
    last: dict[MessageId, int] = {}  # Message -> the last bundle that changes it.
    latest: dict[FlagChange, int] = {}
    for bundle in bundles:
        earliest = max((last.get(each, 0) for each in bundle.messages), default=0)
        at = latest.get(bundle.change, -1)
        if at >= earliest:
            result[at] = result[at].joined(bundle, bundle.change)
        else:
            at = latest[bundle.change] = len(result)
            result.append(bundle)
        last.update(dict.fromkeys(bundle.messages, at))
    return result


def _joined_by_messages(bundles: Sequence[_Bundle]) -> list[_Bundle]:
    """Join those that change the same messages, with nothing in between that changes one of them."""
    result: list[_Bundle] = []
    last: dict[MessageId, int] = {}
    for bundle in bundles:
        before = {last.get(each, -1) for each in bundle.messages}
        at = before.pop() if len(before) == 1 else -1
        if at >= 0 and result[at].messages == bundle.messages:
            change = net_change([result[at].change, bundle.change])
            result[at] = result[at].joined(bundle, change)
        else:
            at = len(result)
            result.append(bundle)
        last.update(dict.fromkeys(bundle.messages, at))
    return result


def _id_of(ids: Sequence[OperationId], change: FlagChange) -> OperationId:
    """Return an id that no other content has: receivers may know operations by it."""
    if len(ids) == 1:
        return ids[0]
    text = "\n".join([*ids, "+", *sorted(change.add), "-", *sorted(change.remove)])
    return OperationId(hashlib.blake2b(text.encode(), digest_size=16).hexdigest())
