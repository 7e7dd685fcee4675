from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mailferry.mail.mailbox import INBOX, MailboxId, MailboxPath
from mailferry.mail.message import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    SEEN,
    BlobId,
    Flag,
    MessageId,
)
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    HistoryEntry,
    Move,
    Operation,
    OperationId,
    OperationState,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.node.journal_words import in_words, journal_line

ID = OperationId("0" * 32)
ONE = (MessageId(1),)
MANY = tuple(MessageId(number) for number in range(1200))
ARCHIVE = ("Archive", "2026")


def _flags(messages: tuple[MessageId, ...], *, add: Any = (), remove: Any = ()) -> SetFlags:
    return SetFlags(
        id=ID,
        mailbox=MailboxId("1"),
        messages=messages,
        add=frozenset(add),
        remove=frozenset(remove),
    )


IN: dict[str, Any] = {"id": ID, "mailbox": MailboxId("1")}
TO: dict[str, Any] = {"target": MailboxId("2")}

WORDS: list[tuple[Operation, MailboxPath, MailboxPath | None, str]] = [
    (_flags(ONE, add={SEEN}), INBOX, None, "marked read 1 message in INBOX"),
    (_flags(ONE, remove={SEEN}), INBOX, None, "marked unread 1 message in INBOX"),
    (_flags(ONE, add={DELETED}), INBOX, None, "marked for deletion 1 message in INBOX"),
    (
        _flags(MANY, add={ANSWERED, Flag("$Forwarded"), Flag("blue")}, remove={FLAGGED, DRAFT}),
        INBOX,
        None,
        (
            "marked answered and set $Forwarded, blue on and marked as no draft and unflagged"
            " 1,200 messages in INBOX"
        ),
    ),
    (_flags(ONE), INBOX, None, "changed nothing of 1 message in INBOX"),
    (Expunge(**IN, messages=ONE), INBOX, None, "deleted 1 message from INBOX"),
    (Copy(**IN, **TO, messages=ONE), INBOX, ARCHIVE, "copied 1 message from INBOX to Archive/2026"),
    (
        Move(**IN, **TO, messages=ONE * 3),
        INBOX,
        ARCHIVE,
        "moved 3 messages from INBOX to Archive/2026",
    ),
    (
        Append(**IN, blob=BlobId("x"), size=512),
        INBOX,
        None,
        "added a message of 512 octets to INBOX",
    ),
    (
        Append(**IN, blob=BlobId("x"), size=52_428_800),
        ("Sent",),
        None,
        "added a message of 52,429 kB to Sent",
    ),
    (CreateMailbox(id=ID, path=ARCHIVE), ARCHIVE, None, "created the mailbox Archive/2026"),
    (DeleteMailbox(**IN), ARCHIVE, None, "deleted the mailbox Archive/2026"),
    (
        RenameMailbox(**IN, path=("船",)),
        ARCHIVE,
        None,
        "renamed the mailbox Archive/2026 to 船",
    ),
    (Subscribe(id=ID, path=ARCHIVE), ARCHIVE, None, "subscribed to Archive/2026"),
    (Unsubscribe(id=ID, path=ARCHIVE), ARCHIVE, None, "unsubscribed from Archive/2026"),
]


@pytest.mark.parametrize(("operation", "mailbox", "target", "words"), WORDS)
def test_every_operation_has_words(
    operation: Operation, mailbox: MailboxPath, target: MailboxPath | None, words: str
) -> None:
    assert in_words(operation, mailbox, target) == words


def test_a_line_has_the_times_and_the_reason() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    entry = HistoryEntry(
        sequence=7,
        operation=_flags(ONE, add={SEEN}),
        state=OperationState.REFUSED,
        login="mina",
        mailbox=INBOX,
        target=None,
        staged_at=now,
        settled_at=now,
        done_at=None,
        reason="the mailbox is read-only",
    )
    line = journal_line(entry, "work")
    assert (line.sequence, line.account, line.login, line.state) == (7, "work", "mina", "refused")
    assert (line.asked_at, line.answered_at, line.done_at) == (now, now, None)
    assert line.reason == "the mailbox is read-only"
