"""What must not go before something else is settled (docs/rule.md, 3).

Order binds operations that share a message or a mailbox.  When one of them is to be tried again, or
nobody knows what became of it, those behind it wait, too: a move that overtakes a flag takes the
message away from it.  What was refused is settled, but for one thing: a copy that was not made must
not lose its original.
"""

from __future__ import annotations

from typing import TypeAlias

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Outcome,
    Refused,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)

_Named: TypeAlias = tuple[MailboxId, MessageId]


class Ordering:
    """What became of the operations of one call so far."""

    def __init__(self) -> None:
        self._unsettled: set[_Named] = set()
        self._not_copied: set[_Named] = set()
        self._unsettled_in: set[MailboxId] = set()
        """Mailboxes in which something is unsettled: they are not removed or renamed."""
        self._unnamed: set[MailboxId] = set()
        """Mailboxes of which nobody knows what they are called now, or whether they are there."""
        self._list_unsettled = False

    def holds_back(self, operation: Operation) -> bool:
        """Whether an operation has to wait for one before it."""
        mailboxes = _mailboxes(operation)
        if self._unnamed & mailboxes or self._unsettled & _named(operation):
            return True
        match operation:
            case Expunge() | Move():
                return bool(self._not_copied & _named(operation))
            case DeleteMailbox() | RenameMailbox():
                not_copied_from = {mailbox for mailbox, _ in self._not_copied}
                return self._list_unsettled or bool(
                    (self._unsettled_in | not_copied_from) & mailboxes
                )
            case CreateMailbox() | Subscribe() | Unsubscribe():
                return self._list_unsettled
            case _:
                return False

    def note(self, operation: Operation, outcome: Outcome) -> None:
        """Take in what became of an operation."""
        if isinstance(outcome, Applied):
            return
        if isinstance(outcome, Refused):
            if isinstance(operation, Copy | Move):
                self._not_copied |= _named(operation)
            return
        self._unsettled |= _named(operation)
        match operation:
            case CreateMailbox() | Subscribe() | Unsubscribe():
                self._list_unsettled = True
            case DeleteMailbox() | RenameMailbox():
                self._list_unsettled = True
                self._unnamed |= _mailboxes(operation)
            case _:
                self._unsettled_in |= _mailboxes(operation)


def _named(operation: Operation) -> set[_Named]:
    match operation:
        case SetFlags() | Expunge() | Copy() | Move():
            return {(operation.mailbox, message) for message in operation.messages}
        case _:
            return set()


def _mailboxes(operation: Operation) -> set[MailboxId]:
    match operation:
        case Copy() | Move():
            return {operation.mailbox, operation.target}
        case SetFlags() | Expunge() | Append() | DeleteMailbox() | RenameMailbox():
            return {operation.mailbox}
        case _:
            return set()
