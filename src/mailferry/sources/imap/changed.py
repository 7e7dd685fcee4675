"""What `changes()` is made of: collected flags, a fresh SELECT, the list of all UIDs."""

from __future__ import annotations

from typing import Final

from mailferry.mail.errors import CannotCalculateChanges, NotSupported
from mailferry.mail.message import Flag, MessageId, MessageState, flag
from mailferry.sources.imap.exchange import Collector, Exchange
from mailferry.sources.imap.mailboxes import keeps_modseq
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.refusals import error_of
from mailferry.sources.imap.search import search_all
from mailferry.sources.imap.selection import Selection
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.settings import CHANGED_MAX
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import Fetch, Untagged, Vanished
from mailferry.wire.imap.sequence_set import Ranges

_RECENT: Final = "\\recent"


class FlagSets:
    """Flags as values, each set made once: thousands of messages share a handful."""

    def __init__(self) -> None:
        self._known: dict[frozenset[str], frozenset[Flag]] = {}

    def get(self, names: frozenset[str]) -> frozenset[Flag]:
        """Return the flags; Recent is a matter of the session and left out."""
        known = self._known.get(names)
        if known is None:
            known = frozenset(flag(name) for name in names if name.lower() != _RECENT)
            self._known[names] = known
        return known


class Changed(Collector):
    """Flags of messages by UID, and what vanished."""

    def __init__(self) -> None:
        self.flags: dict[int, tuple[frozenset[Flag], int]] = {}
        self.vanished: list[tuple[int, int]] = []
        self.overflowed = False
        self._sets = FlagSets()

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Fetch(uid=int(uid), flags=frozenset() as flags):
                if uid in self.flags or len(self.flags) < CHANGED_MAX:
                    self.flags[uid] = (self._sets.get(flags), response.modseq or 0)
                else:
                    self.overflowed = True
            case Vanished():
                self.vanished.extend(response.uids)
            case _:
                return False
        return True


async def all_uids(session: Session, name: bytes, uid_validity: int) -> Ranges:
    """Return the UIDs of all messages; raises CannotCalculateChanges after a renumbering."""
    async with session.selecting(name) as selection:
        exchange, found = search_all(session)
    await selection.ready()
    await must_succeed(exchange)
    if selection.uid_validity != uid_validity:
        raise CannotCalculateChanges("the server has numbered the mailbox anew")
    return found.ranges


def message_states(changed: Changed, uid_validity: int, uid_next: int) -> list[MessageState]:
    """Ascending; what came after the SELECT is left for the next question."""
    return [
        MessageState(message_id(uid_validity, uid), uid, *changed.flags[uid])
        for uid in sorted(changed.flags)
        if uid < uid_next
    ]


def fresh_select(session: Session, name: bytes) -> commands.Command:
    """Return the SELECT that tells about modification sequences where there are any."""
    if keeps_modseq(session) and not session.enabled:
        return commands.select_condstore(name)
    return commands.select(name)


async def must_succeed(exchange: Exchange) -> None:
    """Wait for a command; raise what its refusal means."""
    status = await exchange.status()
    if not status.ok:
        raise error_of(status)


def checked_validity(selection: Selection) -> int:
    """Return UIDVALIDITY; raises NotSupported where there is none."""
    if not selection.uid_validity:
        raise NotSupported("the server gives messages no permanent numbers (UIDVALIDITY)")
    return selection.uid_validity


def ids_of(ranges: Ranges, uid_validity: int) -> tuple[tuple[MessageId, MessageId], ...]:
    """Return ranges of UIDs as ranges of ids."""
    return tuple(
        (message_id(uid_validity, low), message_id(uid_validity, high)) for low, high in ranges
    )
