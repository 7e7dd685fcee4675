"""Carrying out committed operations, in their order (docs/rule.md, 3).

Runs of flag changes go out together, identical neighbours as one UID STORE; every other operation
waits for the one before it.  What takes messages away is not tried when an earlier operation on them
did not succeed: a copy that the server refused must not lose its original.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeAlias, assert_never

from mailferry.mail.errors import MailError
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
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
from mailferry.wire.errors import LocalProtocolError

_Touched: TypeAlias = tuple[MailboxId, MessageId]


async def apply(
    account: Account, attempts: Sequence[Attempt], blobs: BlobReader
) -> Sequence[Outcome]:
    """See MailSource.apply."""
    outcomes: list[Outcome] = []
    doubtful: set[_Touched] = set()
    for are_flags, run in groupby(
        (attempt.operation for attempt in attempts), lambda op: isinstance(op, SetFlags)
    ):
        operations = list(run)
        if are_flags:
            made = await apply_messages.set_flags(account, _only_flags(operations))
            outcomes += made
            continue
        for operation in operations:
            outcome = await _one(account, operation, blobs, doubtful)
            if not isinstance(outcome, Applied):
                doubtful |= _touched(operation)
            outcomes.append(outcome)
    return outcomes


def _only_flags(operations: Iterable[Operation]) -> list[SetFlags]:
    return [operation for operation in operations if isinstance(operation, SetFlags)]


def _touched(operation: Operation) -> set[_Touched]:
    match operation:
        case Copy() | Move():
            return {(operation.mailbox, message) for message in operation.messages}
        case _:
            return set()


async def _one(
    account: Account, operation: Operation, blobs: BlobReader, doubtful: set[_Touched]
) -> Outcome:
    if _loses_something(operation, doubtful):
        return Untried(reason="an earlier operation on the same messages did not succeed")
    try:
        return await _carry_out(account, operation, blobs)
    except (MailError, LocalProtocolError) as error:
        return apply_messages.outcome_of(error)


def _loses_something(operation: Operation, doubtful: set[_Touched]) -> bool:
    """Whether it takes away what an earlier operation should have kept elsewhere."""
    match operation:
        case Expunge() | Move():
            return any((operation.mailbox, message) in doubtful for message in operation.messages)
        case DeleteMailbox():
            return any(mailbox == operation.mailbox for mailbox, _ in doubtful)
        case _:
            return False


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
