"""What changed in a mailbox: by QRESYNC, else CONDSTORE, else windows of flags (RFC 7162).

Theory of operation
===================

Every answer begins with a SELECT of its own, whose facts (UIDNEXT, HIGHESTMODSEQ, the number of
messages) make the new state; what is asked on top goes out with it in the same flight.

    since      server       asked besides SELECT                  removed messages are found by
    ---------  -----------  ------------------------------------  -----------------------------
    None       any          UID SEARCH ALL                        (all are named as ranges)
    m...       QRESYNC      nothing: SELECT (QRESYNC ...)         VANISHED (EARLIER)
    m...       CONDSTORE    UID FETCH 1:* (CHANGEDSINCE ...)      counting, then UID SEARCH ALL
    f...       neither      windows of flags (flag_rounds.py)      counting, then UID SEARCH ALL

Counting: of the messages known before, as many are left as there are now without the new ones.  When
the numbers do not fit, one more round trip names all that are left, as ranges.

For a mailbox without modification sequences see flag_rounds.py.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges
from mailferry.mail.mailbox import State
from mailferry.mail.message import MessageState
from mailferry.sources.imap.changed import (
    Changed,
    all_uids,
    checked_validity,
    fresh_select,
    ids_of,
    message_states,
    must_succeed,
)
from mailferry.sources.imap.flag_rounds import flags_round
from mailferry.sources.imap.mailboxes import keeps_modseq
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.search import search_all
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.states import FlagsState, ModseqState, PageState, from_state
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.sequence_set import Ranges, count, expanded, merged

PAGES_HELD_MAX: Final = 4
"""Answers whose later pages are kept at once: as many mailboxes as are likely to be followed in steps."""


@dataclass(slots=True)
class _Page:
    """What is still to be told of one answer, ascending by UID."""

    since: ModseqState
    until: ModseqState
    states: list[MessageState]
    destroyed: list[int]
    present: Ranges | None


class ChangeLog:
    """Answers `changes()`; keeps the later pages of the last few answers."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[bytes, State], _Page] = OrderedDict()

    async def changes(
        self, session: Session, name: bytes, since: State | None, limit: int
    ) -> Changes:
        """See MailSource.changes."""
        if since is None:
            return await _everything(session, name)
        held = self._pages.pop((name, since), None)
        if held is not None:
            return self._tell(name, held, limit)
        match from_state(since):
            case ModseqState() as state:
                return self._tell(name, await _since_modseq(session, name, state, limit), limit)
            case PageState() as state:
                page = await _since_modseq(session, name, state.since, limit)
                return self._tell(name, _rest_of(page, state), limit)
            case FlagsState() as state:
                return await flags_round(session, name, state, limit)

    def _tell(self, name: bytes, page: _Page, limit: int) -> Changes:
        """Give out the first `limit` messages of a page and keep the others."""
        told = _cut(page, limit)
        states = [state for state in page.states if state.uid <= told]
        destroyed = [uid for uid in page.destroyed if uid <= told]
        page.states = page.states[len(states) :]
        page.destroyed = page.destroyed[len(destroyed) :]
        has_more = bool(page.states or page.destroyed)
        new_state = page.until.to_state()
        if has_more:
            new_state = PageState(since=page.since, until=page.until, told=told).to_state()
            self._pages[name, new_state] = page
            if len(self._pages) > PAGES_HELD_MAX:
                self._pages.popitem(last=False)
        validity = page.until.uid_validity
        return Changes(
            created=tuple(state for state in states if state.uid >= page.since.uid_next),
            updated=tuple(state for state in states if state.uid < page.since.uid_next),
            destroyed=tuple(message_id(validity, uid) for uid in destroyed),
            present=None if has_more or page.present is None else ids_of(page.present, validity),
            new_state=new_state,
            has_more=has_more,
        )


def _cut(page: _Page, limit: int) -> int:
    """Return the UID up to which at most `limit` messages are named."""
    uids = sorted([*(state.uid for state in page.states), *page.destroyed])
    return uids[min(limit, len(uids)) - 1] if uids else 0


def _rest_of(page: _Page, state: PageState) -> _Page:
    """What is left to tell when the pages that were kept are lost.

    What changed after the first page is left for the next question: the state to come is that of
    the first page.
    """
    if page.until.uid_validity != state.until.uid_validity:
        raise CannotCalculateChanges("the server has numbered the mailbox anew")
    return _Page(
        since=page.since,
        until=state.until,
        states=[s for s in page.states if state.told < s.uid < state.until.uid_next],
        destroyed=[uid for uid in page.destroyed if uid > state.told],
        present=page.present,
    )


async def _everything(session: Session, name: bytes) -> Changes:
    async with session.selecting(name, fresh_select(session, name)) as selection:
        search, found = search_all(session)
    await selection.ready()
    await must_succeed(search)
    validity = checked_validity(selection)
    uid_next = selection.uid_next or (found.ranges[-1][1] + 1 if found.ranges else 1)
    state = _state(session, selection, uid_next)
    return Changes(present=ids_of(found.ranges, validity), new_state=state.to_state())


async def _since_modseq(session: Session, name: bytes, since: ModseqState, limit: int) -> _Page:
    changed = Changed()
    if "QRESYNC" in session.enabled:
        select = commands.select_qresync(name, since.uid_validity, since.modseq)
        async with session.selecting(name, select, changed) as selection:
            pass
        await selection.ready()
    else:
        fetch = commands.uid_fetch(b"1:*", "(FLAGS)", changed_since=since.modseq)
        async with session.selecting(name, fresh_select(session, name)) as selection:
            exchange = session.submit(fetch, changed)
        await selection.ready()
        await must_succeed(exchange)
    _check_continuity(selection, since, changed)
    page = _Page(
        since=since,
        until=ModseqState(
            uid_validity=selection.uid_validity,
            uid_next=selection.uid_next,
            modseq=selection.highest_modseq,
            messages=selection.exists,
        ),
        states=message_states(changed, selection.uid_validity, selection.uid_next),
        destroyed=[],
        present=None,
    )
    await _find_destroyed(session, name, page, changed, limit)
    return page


def _check_continuity(selection: Selection, since: ModseqState, changed: Changed) -> None:
    """Refuse to go on from a state that is not in this mailbox's past."""
    if selection.uid_validity != since.uid_validity:
        raise CannotCalculateChanges("the server has numbered the mailbox anew")
    if selection.highest_modseq < since.modseq or selection.uid_next < since.uid_next:
        raise CannotCalculateChanges("the server has gone back to an older state")
    if changed.overflowed:
        raise CannotCalculateChanges("too much has changed")


async def _find_destroyed(
    session: Session, name: bytes, page: _Page, changed: Changed, limit: int
) -> None:
    created = sum(state.uid >= page.since.uid_next for state in page.states)
    missing = page.since.messages + created - page.until.messages
    # VANISHED may name what we never knew; new ones that went again at once are nobody's concern.
    vanished = merged(
        (low, min(high, page.since.uid_next - 1))
        for low, high in changed.vanished
        if low < page.since.uid_next
    )
    if 0 <= missing <= count(vanished) <= limit:
        page.destroyed = expanded(vanished, limit)
    elif missing or vanished:
        page.present = await all_uids(session, name, page.until.uid_validity)


def _state(session: Session, selection: Selection, uid_next: int) -> ModseqState | FlagsState:
    if keeps_modseq(session) and selection.highest_modseq:
        return ModseqState(
            uid_validity=selection.uid_validity,
            uid_next=uid_next,
            modseq=selection.highest_modseq,
            messages=selection.exists,
        )
    return FlagsState(
        uid_validity=selection.uid_validity,
        uid_next=uid_next,
        messages=selection.exists,
        place=selection.exists + 1,
    )
