"""STATUS (RFC 9051 §6.3.11) with SIZE (RFC 8438), also as part of LIST (RFC 5819)."""

from __future__ import annotations

from collections.abc import Sequence

from mailferry.faces.imap.names import written_name
from mailferry.faces.imap.replies import Answer, Bad
from mailferry.faces.imap.state import SessionState
from mailferry.mail.mailbox import Mailbox, MailboxStatus
from mailferry.mail.message import DELETED, SEEN
from mailferry.mail.query import HasFlag, Not, Query, UidIn
from mailferry.wire.imap.commands.mailbox import Status, StatusItem
from mailferry.wire.imap.serialize import parenthesised


async def status(state: SessionState, command: Status) -> Answer:
    """Answer STATUS: looks for news first (docs/rule.md, 11)."""
    mailbox = await state.mailbox(command.mailbox)
    await state.source.refresh(mailbox.id)
    await status_response(state, await state.mailbox(command.mailbox), command.items)
    return Answer(b"STATUS completed")


async def status_response(
    state: SessionState, mailbox: Mailbox, items: Sequence[StatusItem]
) -> None:
    """Tell the counters of a mailbox."""
    counters = mailbox.status
    if counters is None:
        return
    told = [
        b"%b %d" % (item.value.encode(), await _count(state, mailbox, counters, item))
        for item in items
    ]
    state.out.untagged(b"STATUS %b %b" % (written_name(mailbox.path), parenthesised(told)))


async def _count(
    state: SessionState, mailbox: Mailbox, counters: MailboxStatus, item: StatusItem
) -> int:
    match item:
        case StatusItem.MESSAGES:
            return counters.messages
        case StatusItem.RECENT:
            return await _recent(state, mailbox, counters)
        case StatusItem.UIDNEXT:
            return counters.uid_next
        case StatusItem.UIDVALIDITY:
            return counters.uid_validity
        case StatusItem.UNSEEN:
            return await _known(state, mailbox, counters.unseen, Not(HasFlag(SEEN)))
        case StatusItem.DELETED:
            return await _known(state, mailbox, counters.deleted, HasFlag(DELETED))
        case StatusItem.SIZE:
            return counters.size or 0
        case StatusItem.HIGHESTMODSEQ:
            # Never 0: some mail programs drop all they have at 0.
            return max(1, counters.highest_modseq or 1)
        case StatusItem.MAILBOXID:
            raise Bad(b"OBJECTID is not offered")


async def _known(state: SessionState, mailbox: Mailbox, count: int | None, query: Query) -> int:
    """Return the count, or count ourselves where the source does not."""
    if count is not None:
        return count
    return len((await state.source.search(mailbox.id, query)).messages)


async def _recent(state: SessionState, mailbox: Mailbox, counters: MailboxStatus) -> int:
    first = state.user.recents.look(mailbox.id, counters.uid_next)
    if first >= counters.uid_next:
        return 0
    if first <= 1:
        return counters.messages
    found = await state.source.search(mailbox.id, UidIn(((first, counters.uid_next),)))
    return len(found.messages)
