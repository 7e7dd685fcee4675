"""What a staged operation does to what is shown.

May be done again without harm: after a crash the operations that wait are shown anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.mail.message import MessageState
from mailferry.mail.operation import Append, Copy, Move
from mailferry.sources.replica.pending import messages_of
from mailferry.store.blobs import Description
from mailferry.store.codec import mailbox_key
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Edit
from mailferry.sync.identity import NOBODY, Identity


@dataclass(frozen=True, slots=True)
class BlobContent:
    """The content of an append: its key in the journal, what was found in it, who it is."""

    key: int
    description: Description
    identity: Identity = NOBODY


def show_operation(
    edit: Edit, stored: StoredOperation, blob: BlobContent | None
) -> list[MessageState]:
    """Show an operation; return the state of the messages that it names and that are still shown."""
    operation, result = stored.operation, stored.result
    for made in result.mailboxes:
        edit.put_mailbox(made.mailbox, made.path, (), listed=False, uid_next=1)
    if isinstance(operation, Append) and blob is not None:
        [birth] = result.births
        assert operation.internal_date is not None  # noqa: S101 - staging fills it in
        edit.bear_append(
            mailbox_key(operation.mailbox),
            birth.message,
            birth.uid,
            flags=operation.flags,
            internal_date=operation.internal_date,
            size=operation.size,
            description=blob.description,
        )
    elif isinstance(operation, Copy | Move):
        for birth in result.births:
            edit.bear_copy(mailbox_key(operation.target), birth.message, birth.uid, birth.original)
    return edit.refold(messages_of(operation))
