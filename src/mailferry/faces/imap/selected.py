"""SELECT, EXAMINE and what ends them; EXPUNGE and UID EXPUNGE (RFC 9051 §6.3.2, §6.4; RFC 4315)."""

from __future__ import annotations

import asyncio
import contextlib

from mailferry.faces.imap.replies import Answer, Bad
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.view import View
from mailferry.mail import operation
from mailferry.mail.message import DELETED, SYSTEM_FLAGS, MessageId
from mailferry.mail.operation import Operation
from mailferry.mail.query import And, HasFlag, Query, UidIn
from mailferry.wire.imap.commands.mailbox import Select
from mailferry.wire.imap.commands.message import Expunge
from mailferry.wire.imap.serialize import flag_list


async def select(state: SessionState, command: Select) -> Answer:
    """Answer SELECT or EXAMINE."""
    if command.condstore or command.qresync is not None:
        raise Bad(b"CONDSTORE is not offered")
    state.view = None  # RFC 9051 §6.3.2: also when this fails.
    mailbox = await state.mailbox(command.mailbox)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(state.limits.select_news_s):
            await state.source.refresh(mailbox.id)
    mailbox = await state.mailbox(command.mailbox)
    recents = state.user.recents
    view = View(
        mailbox,
        read_only=command.read_only,
        claim_recent=recents.look if command.read_only else recents.claim,
    )
    uid_validity, uid_next = (
        (mailbox.status.uid_validity, mailbox.status.uid_next) if mailbox.status else (1, 1)
    )
    await view.load(state.source, uid_next)
    state.view = view
    _tell_selected(state, view, uid_validity)
    return Answer(
        b"[READ-ONLY] EXAMINE completed" if command.read_only else b"[READ-WRITE] SELECT completed"
    )


def _tell_selected(state: SessionState, view: View, uid_validity: int) -> None:
    out = state.out
    out.untagged(b"FLAGS " + view.flags_in_use())
    out.untagged(b"%d EXISTS" % view.count)
    out.untagged(b"%d RECENT" % view.recent_count)
    unseen = view.position(view.first_unseen_uid) if view.first_unseen_uid else None
    if unseen is not None:
        out.untagged(b"OK [UNSEEN %d] The first unread message" % (unseen + 1))
    settable = [] if view.read_only else [*sorted(SYSTEM_FLAGS), *sorted(view.keywords), "\\*"]
    out.untagged(b"OK [PERMANENTFLAGS %b] Flags that stay" % flag_list(settable))
    out.untagged(b"OK [UIDVALIDITY %d] UIDs are valid" % uid_validity)
    out.untagged(b"OK [UIDNEXT %d] The next UID" % view.uid_next)


async def expunge(state: SessionState, command: Expunge) -> Answer:
    """Answer EXPUNGE or UID EXPUNGE."""
    view = state.writable
    wanted: Query = HasFlag(DELETED)
    if command.uids is not None:
        positions = state.positions(command.uids, by_uid=True)
        wanted = And((wanted, UidIn(view.uid_ranges(positions))))
    await _expunge(state, view, wanted)
    return Answer(b"EXPUNGE completed")


async def _expunge(state: SessionState, view: View, wanted: Query) -> None:
    """Stage the removal of what matches; of the messages that this client knows of only."""
    found = view.find((await state.source.search(view.mailbox, wanted)).messages)

    def operations(messages: tuple[MessageId, ...]) -> list[Operation]:
        return [operation.Expunge(id=state.operation_id(), mailbox=view.mailbox, messages=messages)]

    await state.stage_about([range(at, at + 1) for at in found], operations)


async def close(state: SessionState) -> Answer:
    """Answer CLOSE: removes what is marked as deleted, without a word about each."""
    view = state.selected
    if not view.read_only:
        await _expunge(state, view, HasFlag(DELETED))
    state.view = None
    return Answer(b"CLOSE completed")


async def unselect(state: SessionState) -> Answer:
    """Answer UNSELECT (RFC 3691): like CLOSE, and nothing is removed."""
    if state.selected is not None:
        state.view = None
    return Answer(b"UNSELECT completed")


async def check(state: SessionState) -> Answer:
    """Answer CHECK (RFC 3501 §6.4.1): everything is on disk at all times."""
    if state.selected is not None:
        await state.source.refresh(state.selected.mailbox)
    return Answer(b"CHECK completed")


async def noop(state: SessionState) -> Answer:
    """Answer NOOP: looks for news (docs/rule.md, 11)."""
    if state.login is not None:
        await state.source.refresh(state.view.mailbox if state.view is not None else None)
    return Answer(b"NOOP completed")
