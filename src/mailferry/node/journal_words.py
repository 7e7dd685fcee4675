"""An operation in the words of people: "moved 3 messages from INBOX to Archive"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from mailferry.mail.mailbox import MailboxPath
from mailferry.mail.message import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flag
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    HistoryEntry,
    Move,
    Operation,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.node.control_messages import JournalLine

_SETTING: Final = {
    SEEN: "marked read",
    ANSWERED: "marked answered",
    FLAGGED: "flagged",
    DELETED: "marked for deletion",
    DRAFT: "marked as draft",
}
_CLEARING: Final = {
    SEEN: "marked unread",
    ANSWERED: "marked not answered",
    FLAGGED: "unflagged",
    DELETED: "unmarked for deletion",
    DRAFT: "marked as no draft",
}


def journal_line(entry: HistoryEntry, account: str) -> JournalLine:
    """Return what is told of an operation; names of mailboxes are all that it tells of the mail."""
    return JournalLine(
        sequence=entry.sequence,
        account=account,
        login=entry.login,
        what=in_words(entry.operation, entry.mailbox, entry.target),
        state=entry.state.value,
        asked_at=entry.staged_at,
        answered_at=entry.settled_at,
        done_at=entry.done_at,
        reason=entry.reason,
    )


def in_words(operation: Operation, mailbox: MailboxPath, target: MailboxPath | None) -> str:
    """Say what was asked for, in the past tense."""
    here, there = _name(mailbox), _name(target or ())
    match operation:
        case SetFlags(messages=messages):
            return f"{_flags(operation)} {_count(messages)} in {here}"
        case Expunge(messages=messages):
            return f"deleted {_count(messages)} from {here}"
        case Copy(messages=messages):
            return f"copied {_count(messages)} from {here} to {there}"
        case Move(messages=messages):
            return f"moved {_count(messages)} from {here} to {there}"
        case Append(size=size):
            return f"added a message of {_size(size)} to {here}"
        case CreateMailbox():
            return f"created the mailbox {here}"
        case DeleteMailbox():
            return f"deleted the mailbox {here}"
        case RenameMailbox(path=path):
            return f"renamed the mailbox {here} to {_name(path)}"
        case Subscribe():
            return f"subscribed to {here}"
        case Unsubscribe():
            return f"unsubscribed from {here}"
        case _:
            assert_never(operation)


def _flags(operation: SetFlags) -> str:
    words = [
        *_spoken(operation.add, _SETTING, "set"),
        *_spoken(operation.remove, _CLEARING, "cleared"),
    ]
    return " and ".join(words) or "changed nothing of"


def _spoken(flags: Iterable[Flag], known: dict[Flag, str], otherwise: str) -> list[str]:
    ordered = sorted(flags)
    keywords = [flag for flag in ordered if flag not in known]
    words = [known[flag] for flag in ordered if flag in known]
    if keywords:
        words.append(f"{otherwise} {', '.join(keywords)} on")
    return words


def _name(path: MailboxPath) -> str:
    return "/".join(path)


def _count(messages: tuple[object, ...]) -> str:
    return "1 message" if len(messages) == 1 else f"{len(messages):,} messages"


def _size(octets: int) -> str:
    return f"{octets:,} octets" if octets < 10_000 else f"{octets / 1000:,.0f} kB"
