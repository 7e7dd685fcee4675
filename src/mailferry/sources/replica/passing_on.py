"""A replica as the origin of another one: committed operations come in, outcomes go back.

Operations are known by their ids, so what comes twice is done once and nothing needs to be probed.
An outcome is told when the own origin has told it: what is only here is not yet *applied*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailferry.mail.errors import MailboxExists, MailboxNotFound, MailError, OverQuota
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    Operation,
    OperationState,
    Outcome,
    OutcomeUnknown,
    Probe,
    Refused,
    Untried,
)
from mailferry.mail.source import BlobReader
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.staging import Staging
from mailferry.sources.replica.uploads import Uploads
from mailferry.store import operations
from mailferry.store.codec import mailbox_id
from mailferry.store.operations import StoredOperation

KNOWN_BY_ID: Final = Probe(b"id")
"""All that has to be looked for is the operation's id."""

_CODES: Final[dict[type[MailError], str]] = {
    MailboxNotFound: "NONEXISTENT",
    MailboxExists: "ALREADYEXISTS",
    OverQuota: "OVERQUOTA",
}


class PassingOn:
    """Takes in operations of another replica."""

    def __init__(self, core: Core, staging: Staging, uploads: Uploads) -> None:
        self._core = core
        self._staging = staging
        self._uploads = uploads

    def probe(self, operation: Operation) -> Probe:
        """See MailSource.probe."""
        return KNOWN_BY_ID

    async def apply(self, attempts: Sequence[Attempt], contents: BlobReader) -> list[Outcome]:
        """See MailSource.apply."""
        taken = [await self._take(attempt.operation, contents) for attempt in attempts]
        return [
            outcome or await self._outcome(attempt.operation)
            for attempt, outcome in zip(attempts, taken, strict=True)
        ]

    async def _take(self, operation: Operation, contents: BlobReader) -> Outcome | None:
        """Take an operation in, unless it is here already; None: it is."""
        core = self._core
        if operations.find(core.journal.reader, core.account, operation.id) is not None:
            return None
        try:
            if isinstance(operation, Append):
                await self._uploads.upload(contents.read_blob(operation.blob))
            await self._staging.stage([operation], "", OperationState.COMMITTED)
        except MailError as exc:
            if exc.temporary:
                return Untried(reason=str(exc))
            return Refused(reason=str(exc), code=_CODES.get(type(exc), ""))
        return None

    async def _outcome(self, operation: Operation) -> Outcome:
        while self._core.pending.find(operation.id) is not None:
            await self._core.pending.ended.wait()
        return await self.lookup(Attempt(operation=operation))

    async def lookup(self, attempt: Attempt) -> Outcome:
        """See MailSource.lookup."""
        core = self._core
        stored = operations.find(core.journal.reader, core.account, attempt.operation.id)
        if stored is None:
            return Untried(reason="not known here")
        match stored.state:
            case OperationState.APPLIED:
                return _applied(stored)
            case OperationState.REFUSED | OperationState.WITHDRAWN:
                return Refused(reason=operations.reason(core.journal.reader, stored.sequence))
            case _:
                return OutcomeUnknown(reason="still on its way")


def _applied(stored: StoredOperation) -> Applied:
    made = stored.result.mailboxes
    return Applied(
        created=tuple(
            (MessageId(birth.original), MessageId(birth.message)) for birth in stored.result.births
        ),
        mailbox=mailbox_id(made[-1].mailbox) if made else None,
    )
