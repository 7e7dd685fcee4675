"""Operations: everything a mail program can ask for that changes something.

One value is the argument of a call, the entry in the journal and the load on the link.  Operations
name mailboxes and messages by the ids of the source that they are given to; a replica translates
its own permanent ids into its source's when it carries them out (docs/rule.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar, NewType, TypeAlias

from mailferry.mail.mailbox import MailboxId, MailboxPath
from mailferry.mail.message import SEEN, BlobId, Flag, MessageId, MessageState

OperationId = NewType("OperationId", str)
"""32 hexadecimal digits, random, given once by the node that faces the mail program."""


class Nature(Enum):
    """What an operation does, as docs/rule.md divides them."""

    TAKES_AWAY = "takes away"
    MARKS = "marks"
    MARKS_READ = "marks read"
    ADDS = "adds"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFlags:
    """Add and remove flags on some messages (IMAP STORE, RFC 9051 §6.4.6).

    Replacing is said as what it adds and removes, message by message, so that a flag which
    somebody else set meanwhile is not wiped away.
    """

    id: OperationId
    mailbox: MailboxId
    messages: tuple[MessageId, ...]
    add: frozenset[Flag] = frozenset()
    remove: frozenset[Flag] = frozenset()

    def __post_init__(self) -> None:
        if self.add & self.remove:
            raise ValueError(f"flags both added and removed: {sorted(self.add & self.remove)}")

    @property
    def nature(self) -> Nature:
        """Setting the flag Seen marks read; all else marks."""
        return Nature.MARKS_READ if SEEN in self.add else Nature.MARKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Expunge:
    """Remove exactly these messages for good (UID EXPUNGE, RFC 4315 §2.1)."""

    nature: ClassVar[Nature] = Nature.TAKES_AWAY
    id: OperationId
    mailbox: MailboxId
    messages: tuple[MessageId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Copy messages with their flags and dates into another (or the same) mailbox."""

    nature: ClassVar[Nature] = Nature.ADDS
    id: OperationId
    mailbox: MailboxId
    messages: tuple[MessageId, ...]
    target: MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Move messages into another mailbox (RFC 6851)."""

    nature: ClassVar[Nature] = Nature.TAKES_AWAY
    id: OperationId
    mailbox: MailboxId
    messages: tuple[MessageId, ...]
    target: MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Put a new message, uploaded before as a blob, into a mailbox (RFC 9051 §6.3.12)."""

    nature: ClassVar[Nature] = Nature.ADDS
    id: OperationId
    mailbox: MailboxId
    blob: BlobId
    size: int
    flags: frozenset[Flag] = frozenset()
    internal_date: datetime | None = None
    """With a time zone; None: the moment of staging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMailbox:
    """Create a mailbox, and those above it that do not exist (RFC 9051 §6.3.4, RFC 6154 §3)."""

    nature: ClassVar[Nature] = Nature.ADDS
    id: OperationId
    path: MailboxPath
    special_use: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMailbox:
    """Delete a mailbox and the messages in it, not the mailboxes below it (RFC 9051 §6.3.5)."""

    nature: ClassVar[Nature] = Nature.TAKES_AWAY
    id: OperationId
    mailbox: MailboxId


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameMailbox:
    """Give a mailbox, and with it those below it, another name (RFC 9051 §6.3.6).

    Renaming INBOX is not said with this: a face says it as a create and a move.
    """

    nature: ClassVar[Nature] = Nature.ADDS
    id: OperationId
    mailbox: MailboxId
    path: MailboxPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    """Add a name to the list of subscriptions; the mailbox need not exist (RFC 9051 §6.3.7)."""

    nature: ClassVar[Nature] = Nature.ADDS
    id: OperationId
    path: MailboxPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    """Take a name off the list of subscriptions (RFC 9051 §6.3.8)."""

    nature: ClassVar[Nature] = Nature.MARKS
    id: OperationId
    path: MailboxPath


Operation: TypeAlias = (
    SetFlags
    | Expunge
    | Copy
    | Move
    | Append
    | CreateMailbox
    | DeleteMailbox
    | RenameMailbox
    | Subscribe
    | Unsubscribe
)


class OperationState(Enum):
    """Where an operation is in its life (docs/rule.md, "Life of an operation")."""

    STAGED = "staged"
    COMMITTED = "committed"
    APPLYING = "applying"
    APPLIED = "applied"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Delivery(Enum):
    """What became of the answer to an operation (docs/rule.md, "Words")."""

    DELIVERED = "delivered"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A message that an operation made: what UIDPLUS tells a client (RFC 4315 §3)."""

    original: MessageId | None
    """The message that was copied or moved; None for an append."""
    original_uid: int
    """0 for an append."""
    id: MessageId
    uid: int
    uid_validity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The answer that a source predicts for an operation which it has made durable."""

    id: OperationId
    created: tuple[Created, ...] = ()
    updated: tuple[MessageState, ...] = ()
    """The messages whose flags the operation changes, as they are with it."""
    mailbox: MailboxId | None = None
    """The mailbox that a CreateMailbox made."""


Probe = NewType("Probe", bytes)
"""What a source must look for to tell whether an attempt was carried out; opaque, to be kept durably."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An operation to be carried out now, with the probe that was taken and kept before."""

    operation: Operation
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """Carried out, for certain."""

    created: tuple[tuple[MessageId, MessageId], ...] = ()
    """Source's ids of (original, new message) where it can tell; the original is 0 for an append."""
    mailbox: MailboxId | None = None
    """The source's id of a mailbox that was created or renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not carried out, and trying again will not help; `reason` is in the source's own words."""

    reason: str
    code: str = ""
    """A response code of RFC 5530 where one fits: "OVERQUOTA", "NONEXISTENT", "ALREADYEXISTS"..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """Asked for, but the answer did not arrive: look it up before trying again."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Untried:
    """Not asked for, or certainly without effect: may be tried again at once."""

    reason: str


Outcome: TypeAlias = Applied | Refused | OutcomeUnknown | Untried


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One operation in the journal's words, for people."""

    sequence: int
    """Order of staging, ascending; `history(since)` continues after it."""
    operation: Operation
    state: OperationState
    login: str
    mailbox: MailboxPath
    """The mailbox as it was called when the operation was staged."""
    target: MailboxPath | None
    staged_at: datetime
    settled_at: datetime | None
    done_at: datetime | None
    reason: str
    """Why it was refused or withdrawn, or what it is waiting for; empty when there is nothing to say."""
