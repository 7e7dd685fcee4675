"""What the command line asks a running node, and what it answers: one JSON value a line.

No secret is ever asked for or told here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias

import msgspec

LINE_LENGTH_MAX: Final = 1024 * 1024  # Octets of one request or answer; a status of 2,000 accounts.


class AskStatus(msgspec.Struct, frozen=True, tag="status"):
    """How is the node?  One NodeStatus."""


class AskJournal(msgspec.Struct, frozen=True, tag="journal", kw_only=True):
    """What happened?  JournalLines, oldest first, then the end; with `follow`, no end."""

    account: str | None = None
    """None: all accounts."""
    since: int = 0
    """Only lines with a higher sequence number; those are counted for each account."""
    follow: bool = False


class AskErase(msgspec.Struct, frozen=True, tag="erase", kw_only=True):
    """Erase the replica of this account and fetch it again.  One Done."""

    account: str


class AskRemove(msgspec.Struct, frozen=True, tag="remove", kw_only=True):
    """End the session of this account and forget it with all that is here.  One Done."""

    account: str


class AskReload(msgspec.Struct, frozen=True, tag="reload"):
    """Accounts were changed in the file: look now.  One Done."""


Request: TypeAlias = AskStatus | AskJournal | AskErase | AskRemove | AskReload


class ListenerStatus(msgspec.Struct, frozen=True, tag="listener", kw_only=True):
    """One listener."""

    protocol: str
    host: str
    port: int
    security: str
    connections: int = 0


class AccountStatus(msgspec.Struct, frozen=True, tag="account", kw_only=True):
    """One account."""

    name: str
    login: str
    server: str
    state: str
    """"connecting", "syncing", "ready", "waiting" (for the server) or "failed"."""
    reason: str = ""
    """Why it waits or failed, in words."""
    messages: int = 0
    """Messages in the replica."""
    messages_listed: int = 0
    """Of those, how many are listed: the summary is here."""
    bodies: int = 0
    """Of those, how many are here with their body."""
    mailboxes: int = 0
    pending: int = 0
    """Operations that wait to be carried out at the server."""
    refused: int = 0
    """Operations that the server refused."""


class NodeStatus(msgspec.Struct, frozen=True, tag="node", kw_only=True):
    """The whole node."""

    version: str
    pid: int
    started_at: datetime
    data_directory: str
    certificate_sha256: str
    listeners: tuple[ListenerStatus, ...]
    accounts: tuple[AccountStatus, ...]


class JournalLine(msgspec.Struct, frozen=True, tag="operation", kw_only=True):
    """One operation in words."""

    sequence: int
    account: str
    login: str
    what: str
    """"moved 3 messages from INBOX to Archive"."""
    state: str
    """The state of docs/rule.md: "staged", "committed", "applied" and so on."""
    asked_at: datetime
    answered_at: datetime | None
    done_at: datetime | None
    reason: str = ""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It has been done."""


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """It could not be done; `error` says why."""

    error: str


Answer: TypeAlias = NodeStatus | JournalLine | Done | Failure
