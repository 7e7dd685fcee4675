"""Changes in a mailbox without modification sequences: flags looked at in rounds.

A round looks at the newest messages and at one window of older ones, which wanders from round to round,
so that every message is looked at in time and no round is long.  New messages are told by their UIDs;
removed ones are found by counting, then by listing what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges
from mailferry.sources.imap.changed import (
    Changed,
    all_uids,
    checked_validity,
    fresh_select,
    ids_of,
    message_states,
)
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import FLAGS_WINDOW
from mailferry.sources.imap.states import FlagsState
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.sequence_set import Ranges

_Looks = tuple[tuple[int, int], ...]


async def flags_round(session: Session, name: bytes, since: FlagsState, limit: int) -> Changes:
    """Answer `changes()`: begin a round, or go on with one."""
    looks, place = (since.looks, since.place) if since.looks else _plan(since)
    # A fifth is left for new messages; when they are more, they are told as ranges.
    now, later = _split(looks, max(1, limit * 4 // 5))
    changed = Changed()
    async with session.selecting(name, fresh_select(session, name)) as selection:
        asked = [
            session.submit(commands.fetch(b"%d:%d" % look, "(UID FLAGS)"), changed) for look in now
        ]
        # Last: only answers to UID commands may renumber messages (RFC 9051 §7.5.1).
        new_ones = commands.uid_fetch(b"%d:*" % since.uid_next, "(FLAGS)")
        asked.append(session.submit(new_ones, changed))
    await selection.ready()
    for exchange in asked:
        await exchange.status()  # BAD when there are fewer messages now: the next round will fit.
    if checked_validity(selection) != since.uid_validity:
        raise CannotCalculateChanges("the server has numbered the mailbox anew")
    uid_next = selection.uid_next or max(changed.flags, default=since.uid_next - 1) + 1
    states = message_states(changed, selection.uid_validity, uid_next)
    created = [state for state in states if state.uid >= since.uid_next]
    updated = [state for state in states if state.uid < since.uid_next]
    present: Ranges | None = None
    if since.messages + len(created) != selection.exists or len(states) > limit:
        present = await all_uids(session, name, selection.uid_validity)
        created = []
    return Changes(
        created=tuple(created),
        updated=tuple(updated),
        present=None if present is None else ids_of(present, selection.uid_validity),
        new_state=FlagsState(
            uid_validity=selection.uid_validity,
            uid_next=uid_next,
            messages=selection.exists,
            place=place,
            looks=later,
        ).to_state(),
        has_more=bool(later),
    )


def _plan(since: FlagsState) -> tuple[_Looks, int]:
    """Return what a new round looks at, and where the round after it goes on."""
    if not since.messages:
        return (), 1
    newest = max(1, since.messages - FLAGS_WINDOW + 1)
    place = min(since.place, newest)
    older = max(1, place - FLAGS_WINDOW)
    looks = [(newest, since.messages)] + ([(older, place - 1)] if place > 1 else [])
    return tuple(looks), older if older > 1 else since.messages + 1


def _split(looks: Sequence[tuple[int, int]], length: int) -> tuple[_Looks, _Looks]:
    """Cut off ranges of `length` numbers together, the last ones of each first."""
    now: list[tuple[int, int]] = []
    later: list[tuple[int, int]] = []
    for first, last in looks:
        cut = max(first, last - length + 1)
        if length > 0:
            now.append((cut, last))
            length -= last - cut + 1
            last = cut - 1
        if first <= last:
            later.append((first, last))
    return tuple(now), tuple(later)
