"""Carrying out committed operations, in their order (docs/rule.md, 3).

Runs of flag changes go out together, identical neighbours as one UID STORE; every other operation
waits for the one before it.  What an earlier one holds back (see `ordering`) is not tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, assert_never

from mailferry.mail.errors import MailError
from mailferry.mail.operation import (
    Append,
    Attempt,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Outcome,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
    Untried,
)
from mailferry.mail.source import BlobReader
from mailferry.sources.imap import apply_mailboxes, apply_messages
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.ordering import Ordering
from mailferry.wire.errors import LocalProtocolError

_HELD_BACK: Final = Untried(
    reason="an earlier operation on the same messages or mailboxes did not succeed"
)


async def apply(
    account: Account, attempts: Sequence[Attempt], blobs: BlobReader
) -> Sequence[Outcome]:
    """See MailSource.apply."""
    outcomes: list[Outcome] = []
    ordering = Ordering()
    for are_flags, run in groupby(
        (attempt.operation for attempt in attempts), lambda op: isinstance(op, SetFlags)
    ):
        operations = list(run)
        if are_flags:
            outcomes += await _flags(account, _only_flags(operations), ordering)
            continue
        for operation in operations:
            outcome = await _one(account, operation, blobs, ordering)
            ordering.note(operation, outcome)
            outcomes.append(outcome)
    return outcomes


def _only_flags(operations: Iterable[Operation]) -> list[SetFlags]:
    return [operation for operation in operations if isinstance(operation, SetFlags)]


async def _flags(
    account: Account, operations: Sequence[SetFlags], ordering: Ordering
) -> list[Outcome]:
    """Change flags in one flight.

    Of those that name a message, none counts as carried out behind one that is to be tried again: it
    is made once more, after that one.
    """
    free = [operation for operation in operations if not ordering.holds_back(operation)]
    made = dict(zip(map(id, free), await apply_messages.set_flags(account, free), strict=True))
    outcomes: list[Outcome] = []
    for operation in operations:
        outcome = _HELD_BACK if ordering.holds_back(operation) else made[id(operation)]
        ordering.note(operation, outcome)
        outcomes.append(outcome)
    return outcomes


async def _one(
    account: Account, operation: Operation, blobs: BlobReader, ordering: Ordering
) -> Outcome:
    if ordering.holds_back(operation):
        return _HELD_BACK
    try:
        return await _carry_out(account, operation, blobs)
    except (MailError, LocalProtocolError) as error:
        return apply_messages.outcome_of(error)


async def _carry_out(account: Account, operation: Operation, blobs: BlobReader) -> Outcome:
    match operation:
        case SetFlags():
            [outcome] = await apply_messages.set_flags(account, [operation])
            return outcome
        case Expunge():
            return await apply_messages.expunge(account, operation)
        case Copy():
            return await apply_messages.copy(account, operation)
        case Move():
            return await apply_messages.move(account, operation)
        case Append():
            return await apply_messages.append(account, operation, blobs)
        case CreateMailbox():
            return await apply_mailboxes.create(account, operation)
        case DeleteMailbox():
            return await apply_mailboxes.delete(account, operation)
        case RenameMailbox():
            return await apply_mailboxes.rename(account, operation)
        case Subscribe():
            return await apply_mailboxes.subscribe(account, operation)
        case Unsubscribe():
            return await apply_mailboxes.unsubscribe(account, operation)
        case _:
            assert_never(operation)
