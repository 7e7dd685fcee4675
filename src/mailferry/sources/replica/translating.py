"""Operations in the server's names.

Our operations name permanent ids; what the server calls them is looked up when an operation is about
to be carried out.  What has no name there any more is left out; what is then left of an operation
decides whether it is sent, done already, or impossible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.pending import messages_of
from mailferry.store import identifiers
from mailferry.store.codec import mailbox_key
from mailferry.store.identifiers import MappedMessage


class NotYet(Enum):
    """Why an operation cannot be put in the server's names now."""

    MAILBOX_UNNAMED = auto()
    """A mailbox is there, but the list must be taken to know what it is called."""
    MESSAGE_UNNAMED = auto()
    """A message is there, but the mailbox must be looked at to know what it is called."""
    UNBORN = auto()
    """A message is not there yet: an operation before this one makes it."""


@dataclass(frozen=True, slots=True)
class Moot:
    """There is nothing (left) to be done."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Impossible:
    """It cannot be done any more."""

    reason: str
    target_gone: bool = False
    """It makes messages, and the mailbox for them has gone."""


@dataclass(frozen=True, slots=True)
class KeptHere:
    """It names messages that are on this side only."""

    messages: frozenset[int]


@dataclass(frozen=True, slots=True)
class Translated:
    """The operation in the server's names."""

    operation: Operation
    ours: dict[MessageId, int]
    """{name at the server: our id} of the messages that it names."""


Translation: TypeAlias = Translated | Moot | Impossible | KeptHere | NotYet


class _Unnamed(Exception):
    def __init__(self, why: NotYet) -> None:
        super().__init__(why.name)
        self.why = why


class _Gone(Exception):
    """A mailbox has gone."""


def translate(core: Core, operation: Operation) -> Translation:
    """Put an operation into the server's names."""
    try:
        match operation:
            case SetFlags() | Expunge():
                return _on_messages(core, operation)
            case Copy() | Move():
                return _copy(core, operation)
            case Append():
                try:
                    return Translated(replace(operation, mailbox=_box(core, operation.mailbox)), {})
                except _Gone:
                    return Impossible("the mailbox has gone", target_gone=True)
            case CreateMailbox() | Subscribe() | Unsubscribe():
                return Translated(operation, {})
            case DeleteMailbox() | RenameMailbox():
                return Translated(replace(operation, mailbox=_box(core, operation.mailbox)), {})
            case _:
                assert_never(operation)
    except _Unnamed as unnamed:
        return unnamed.why
    except _Gone:
        if isinstance(operation, Expunge | DeleteMailbox):
            return Moot("the mailbox has gone already")
        return Impossible("the mailbox has gone")


def _on_messages(core: Core, operation: SetFlags | Expunge) -> Translation:
    found = _messages(core, operation)
    if isinstance(found, KeptHere):
        return found
    box = _box(core, operation.mailbox)
    if not found:
        return Moot("the messages have gone already" if operation.messages else "")
    return Translated(replace(operation, mailbox=box, messages=tuple(found)), found)


def _copy(core: Core, operation: Copy | Move) -> Translation:
    found = _messages(core, operation)
    if isinstance(found, KeptHere):
        return found
    box = _box(core, operation.mailbox)
    if not found:
        if not operation.messages:
            return Moot()
        return Impossible("the messages have gone at the server meanwhile")
    try:
        target = _box(core, operation.target)
    except _Gone:
        return Impossible("the target has gone", target_gone=True)
    return Translated(replace(operation, mailbox=box, target=target, messages=tuple(found)), found)


def _box(core: Core, mailbox: MailboxId) -> MailboxId:
    box = core.boxes.get(mailbox_key(mailbox))
    if box is None or not box.at_server:
        raise _Gone
    if box.remote is None:
        raise _Unnamed(NotYet.MAILBOX_UNNAMED)
    return box.remote


def _messages(core: Core, operation: Operation) -> dict[MessageId, int] | KeptHere:
    mapped = identifiers.messages(core.journal.reader, messages_of(operation))
    kept = frozenset(key for key, each in mapped.items() if _is_kept_here(core, each))
    if kept:
        return KeptHere(kept)
    if any(each.remote is None and each.at_server for each in mapped.values()):
        raise _Unnamed(NotYet.MESSAGE_UNNAMED)
    if any(each.remote is None for each in mapped.values()):
        raise _Unnamed(NotYet.UNBORN)
    named = ((each.remote, key) for key, each in mapped.items())
    return {remote: key for remote, key in sorted(named) if remote is not None}


def _is_kept_here(core: Core, mapped: MappedMessage) -> bool:
    return (
        mapped.remote is None and not mapped.at_server and core.pending.birth_of(mapped.id) is None
    )
