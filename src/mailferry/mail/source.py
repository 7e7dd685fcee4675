"""The one interface of mailferry: where mail comes from and where operations go.

Two protocols, one on top of the other:

- `MailSource` can be read, watched, and told to carry out operations that are already committed
  (`apply`).  A mail server, a gate.  Carrying out twice is avoided by looking first (`probe`,
  `lookup`).
- `StagingSource` is a MailSource that keeps mail and a journal of its own: it makes operations
  durable and predicts their answers before anything else is asked (`stage`, `settle`).  A replica,
  the memory source, a hub behind a link.  A face needs one of these.

Sources nest: a replica is a StagingSource over a MailSource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from mailferry.mail.changes import Changes, Event
from mailferry.mail.mailbox import Mailbox, MailboxId, State
from mailferry.mail.message import (
    WHOLE,
    Blob,
    BlobId,
    Body,
    MessageId,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.mail.operation import (
    Attempt,
    Delivery,
    HistoryEntry,
    Operation,
    OperationId,
    Outcome,
    Probe,
    Staged,
)
from mailferry.mail.query import Query, SearchResult

CHANGES_LIMIT = 1000
"""How many messages one `changes()` names at most unless told otherwise."""


class BlobReader(Protocol):
    """Gives the content that an operation refers to."""

    def read_blob(self, blob: BlobId, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield the content from `offset` in chunks of at most CHUNK_LENGTH_MAX."""
        ...


class MailSource(Protocol):
    """Where mail comes from and where committed operations go.

    All methods raise SourceUnavailable (temporary; nothing was consumed), AuthenticationFailed and
    ProtocolFault besides what they name.
    """

    async def mailboxes(self) -> Sequence[Mailbox]:
        """Return every mailbox with its status, in one round trip where the source allows it."""
        ...

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        """Return what changed in `mailbox` after `since`, oldest first.

        `since=None` means "I know nothing": the answer names every message, in `created` or in
        `present`.  At most `limit` messages are named one by one; when `has_more` is true, call
        again with `new_state`.

        Raises:
            CannotCalculateChanges: `since` is unknown; call again with None.
            MailboxNotFound: no such mailbox.
        """
        ...

    def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        """Yield what is asked about `messages`, in batches, in the order of `messages` where the
        source keeps it; messages that have gone are left out.

        Raises:
            MailboxNotFound: no such mailbox.
        """
        ...

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        """Open one section at an offset, so that whatever broke can go on.  Never marks as read.

        Raises:
            MessageNotFound: it has gone.
            SectionNotFound: the message has no such section.
        """
        ...

    async def search(self, mailbox: MailboxId, query: Query) -> SearchResult:
        """Return the messages that match.

        Raises:
            NotSupported: the source cannot search for this.
        """
        ...

    async def probe(self, operation: Operation, blobs: BlobReader) -> Probe | None:
        """Note, before an attempt, what tells afterwards whether it was carried out.

        `blobs` gives the content of an append, whose Message-ID is worth noting.  None for
        operations that may be carried out twice without harm (flags, expunges of named messages,
        subscriptions).
        """
        ...

    async def apply(self, attempts: Sequence[Attempt], blobs: BlobReader) -> Sequence[Outcome]:
        """Carry out committed operations in their order; one outcome each, in the same order.

        Does not raise for what happens to an operation: a dead line makes what was under way
        OutcomeUnknown and what was not begun Untried.
        """
        ...

    async def lookup(self, attempt: Attempt, taken: Collection[MessageId] = ()) -> Outcome:
        """Tell what became of an attempt whose outcome is unknown: Applied, Untried (certainly
        without effect), or OutcomeUnknown (cannot tell yet).

        Messages in `taken` were made by other operations, and are not what this one made.
        """
        ...

    def watch(self) -> AsyncIterator[Event]:
        """Yield events as they come, until closed.  Events are coalesced, never lost."""
        ...

    async def aclose(self) -> None:
        """End the session with the other side properly, within a time limit.  Never raises."""
        ...


class StagingSource(MailSource, BlobReader, Protocol):
    """A source with mail and a journal of its own: what a face serves."""

    async def upload(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Take in content for an operation to come; nothing is held whole in memory.

        A blob that no staged operation refers to is forgotten after a while, and at a restart.

        Raises:
            StorageFull: no room on the disk.
            MessageTooLarge: over the account's limit.
        """
        ...

    async def stage(self, operations: Sequence[Operation], *, login: str) -> Sequence[Staged]:
        """Make operations durable, all or none, and return the answer predicted for each.

        When this returns, the operations survive a crash, with the blobs they name (docs/rule.md,
        1).  Nothing is sent anywhere until `settle`.

        Raises:
            MailboxNotFound, MailboxExists, MailboxNameInvalid, MailboxHasChildren,
            MessageNotFound, NotPermitted, OverQuota, StorageFull: nothing was staged.
        """
        ...

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        """Say what became of the answer: commits or withdraws each operation (docs/rule.md)."""
        ...

    async def refresh(self, mailbox: MailboxId | None) -> None:
        """Look for news now, in one mailbox or in all, within a time limit (docs/rule.md, 11).

        Returns quietly when the origin cannot be reached: what is here is still served.
        """
        ...

    async def history(self, since: int = 0, *, limit: int = 1000) -> Sequence[HistoryEntry]:
        """Return the journal after sequence number `since`, oldest first."""
        ...
