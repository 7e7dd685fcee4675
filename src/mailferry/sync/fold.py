"""shown = fold(what the server last said, pending operations in order).

Theory of operation.  What the server said is never changed by an operation that waits; it only
hides under it.  News from the server are put underneath, and the operations that wait are laid on
top again, as in a rebase.  Withdrawing or refusing an operation is leaving it out and folding
again.  Once it is carried out, its effect is part of what the server has, and it is left out too.

Two folds.  `fold_message`: flags and existence of one message.  `fold_mailboxes`: the list of
mailboxes and the subscribed names.  Messages and mailboxes that were born here have no word from
the server yet: what they were born with stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from mailferry.mail.mailbox import NOT_SELECTABLE, MailboxId, MailboxPath
from mailferry.mail.message import Flag
from mailferry.mail.operation import (
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)

Flags: TypeAlias = frozenset[Flag]


@dataclass(frozen=True, slots=True)
class FlagChange:
    """A waiting operation adds and removes flags."""

    add: Flags
    remove: Flags


@dataclass(frozen=True, slots=True)
class Removal:
    """A waiting operation takes the message away."""


Effect: TypeAlias = FlagChange | Removal


def effect_on_messages(operation: Operation) -> Effect | None:
    """Return what an operation does to each of its `messages`; None: nothing that shows."""
    match operation:
        case SetFlags(add=add, remove=remove):
            return FlagChange(add, remove)
        case Expunge() | Move():
            return Removal()
        case _:
            return None


def fold_message(said: Flags, effects: Iterable[Effect]) -> Flags | None:
    """Return the flags that are shown, or None when the message is not shown at all."""
    flags = said
    for effect in effects:
        match effect:
            case FlagChange(add, remove):
                flags = (flags - remove) | add
            case Removal():
                return None
    return flags


def net_change(changes: Iterable[FlagChange]) -> FlagChange:
    """Return the one change that does the same as all of them in order."""
    add: Flags = frozenset()
    remove: Flags = frozenset()
    for change in changes:
        add = (add - change.remove) | change.add
        remove = (remove - change.add) | change.remove
    return FlagChange(add, remove)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMailbox:
    """A mailbox as the server last listed it, or as it was born here."""

    id: MailboxId
    path: MailboxPath
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxList:
    """All mailboxes, and all subscribed names, with or without a mailbox."""

    mailboxes: tuple[ListedMailbox, ...]
    subscribed: frozenset[MailboxPath]


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A waiting operation on the list, with the mailboxes that it was promised to make."""

    operation: Operation
    made: tuple[ListedMailbox, ...] = ()


def fold_mailboxes(said: MailboxList, pending: Sequence[PendingChange]) -> MailboxList:
    """Return the list that is shown."""
    shown = {mailbox.id: mailbox for mailbox in said.mailboxes}
    subscribed = set(said.subscribed)
    for change in pending:
        _make(shown, change.made)
        match change.operation:
            case RenameMailbox(mailbox=mailbox, path=path) if mailbox in shown:
                _rename(shown, shown[mailbox].path, path)
            case DeleteMailbox(mailbox=mailbox):
                shown.pop(mailbox, None)
            case Subscribe(path=path):
                subscribed.add(path)
            case Unsubscribe(path=path):
                subscribed.discard(path)
            case _:
                pass
    ordered = sorted(shown.values(), key=lambda mailbox: mailbox.path)
    return MailboxList(mailboxes=tuple(ordered), subscribed=frozenset(subscribed))


def _make(shown: dict[MailboxId, ListedMailbox], made: Iterable[ListedMailbox]) -> None:
    """Add what an operation makes, unless the server has it already, by its id or by its name.

    By its name: somebody made one at the server meanwhile.  The two become one when the list is
    taken in; until then a name is shown once.
    """
    taken = {mailbox.path for mailbox in shown.values()}
    for mailbox in made:
        if mailbox.id not in shown and mailbox.path not in taken:
            shown[mailbox.id] = mailbox


def _rename(shown: dict[MailboxId, ListedMailbox], old: MailboxPath, new: MailboxPath) -> None:
    """Move a name and those below it; not when the server has the new name by now.

    The server will refuse that one too, and the old name stays what is shown.
    """
    moving = {key: each for key, each in shown.items() if each.path[: len(old)] == old}
    moved = {key: replace(each, path=new + each.path[len(old) :]) for key, each in moving.items()}
    staying = {each.path for key, each in shown.items() if key not in moving}
    if not staying & {each.path for each in moved.values()}:
        shown.update(moved)


def find_mailbox(shown: MailboxList, path: MailboxPath) -> ListedMailbox | None:
    """Return the mailbox of a name."""
    return next((each for each in shown.mailboxes if each.path == path), None)


def below(shown: MailboxList, path: MailboxPath) -> list[ListedMailbox]:
    """Return the mailboxes below a name, not itself."""
    return [
        each
        for each in shown.mailboxes
        if len(each.path) > len(path) and each.path[: len(path)] == path
    ]


def is_selectable(mailbox: ListedMailbox) -> bool:
    """Whether the mailbox can hold messages."""
    return not mailbox.attributes & NOT_SELECTABLE
