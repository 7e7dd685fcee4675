"""What happened in a mailbox since a state, and events that say that something did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mailferry.mail.mailbox import MailboxId, State
from mailferry.mail.message import MessageId, MessageState

IdRanges = tuple[tuple[int, int], ...]
"""Ascending, disjoint, inclusive ranges of message ids: 100,000 messages of an IMAP server are a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One step from a state to `new_state` (RFC 8620 §5.2)."""

    created: tuple[MessageState, ...] = ()
    updated: tuple[MessageState, ...] = ()
    """May name messages that did not change, or that the caller does not know yet: take them as they are."""
    destroyed: tuple[MessageId, ...] = ()
    present: IdRanges | None = None
    """When given: all messages that exist as of `new_state`; what is not in it has been destroyed,
    what is in it and unknown to the caller was created (its flags are not known yet)."""
    new_state: State
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class MailboxChanged:
    """Something in this mailbox changed: ask `changes()`."""

    mailbox: MailboxId


@dataclass(frozen=True, slots=True)
class MailboxesChanged:
    """A mailbox was made, renamed, deleted or (un)subscribed: ask `mailboxes()`."""


@dataclass(frozen=True, slots=True)
class Reachability:
    """The source's own origin went out of reach or came back."""

    reachable: bool
    reason: str = ""


Event: TypeAlias = MailboxChanged | MailboxesChanged | Reachability
