"""All mailboxes with their status, in one round trip where the server can (RFC 5258, RFC 5819)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mailferry.mail.mailbox import (
    NON_EXISTENT,
    NOT_SELECTABLE,
    SPECIAL_USES,
    Mailbox,
    MailboxStatus,
    State,
)
from mailferry.observe import logger
from mailferry.sources.imap.exchange import Collector, Exchange
from mailferry.sources.imap.names import Names, id_by_name, id_by_object_id
from mailferry.sources.imap.refusals import error_of
from mailferry.sources.imap.session import Session
from mailferry.sources.imap.states import ModseqState
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import ListEntry, MailboxStatusItems, Untagged

_log = logger(__name__)
_BASIC_ITEMS: Final = ("MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN")
# CHILDREN says what the names say; RFC 5258 §3 has the others.
_NOT_SHOWN: Final = frozenset({"\\haschildren", "\\hasnochildren", "\\subscribed", "\\remote"})
_SPELLING: Final[Mapping[str, str]] = {
    name.lower(): name
    for name in (*SPECIAL_USES, *NOT_SELECTABLE, "\\Noinferiors", "\\Marked", "\\Unmarked")
}


class _Listing(Collector):
    """LIST, LSUB and STATUS responses."""

    def __init__(self) -> None:
        self.entries: dict[bytes, ListEntry] = {}
        self.subscribed: dict[bytes, ListEntry] = {}
        self.status: dict[bytes, Mapping[str, int | str]] = {}

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case ListEntry(lsub=True):
                self.subscribed[canonical(response.name)] = response
            case ListEntry():
                self.entries[canonical(response.name)] = response
            case MailboxStatusItems():
                self.status[canonical(response.name)] = response.items
            case _:
                return False
        return True


class _Subscriptions(Collector):
    """LIST responses that name what is subscribed (RFC 5258 §3.1)."""

    def __init__(self, listing: _Listing) -> None:
        self._listing = listing

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        if not isinstance(response, ListEntry):
            return False
        self._listing.subscribed[canonical(response.name)] = response
        return True


def canonical(name: bytes) -> bytes:
    """Return a name with INBOX in upper case, as all its spellings mean the same."""
    return b"INBOX" if name.upper() == b"INBOX" else name


def status_items(session: Session) -> tuple[str, ...]:
    """Return the STATUS items that this server knows."""
    items = list(_BASIC_ITEMS)
    if keeps_modseq(session):
        items.append("HIGHESTMODSEQ")
    if session.has("STATUS=SIZE"):
        items.append("SIZE")
    if session.has("OBJECTID"):
        items.append("MAILBOXID")
    return tuple(items)


def keeps_modseq(session: Session) -> bool:
    """Whether the server has CONDSTORE, which QRESYNC includes (RFC 7162)."""
    return session.has("CONDSTORE") or session.has("QRESYNC")


async def list_mailboxes(session: Session, names: Names) -> dict[bytes, Mailbox]:
    """Return all mailboxes by the server's names, in the server's order.

    Raises:
        MailError: the server refused, or the connection ended.
    """
    listing = _Listing()
    await _let_go(session)
    if session.has("LIST-EXTENDED") and session.has("LIST-STATUS"):
        returning = ["SPECIAL-USE"] if session.has("SPECIAL-USE") else []
        command = commands.list_mailboxes(returning, status_items(session))
        await _all_well(
            [
                session.submit(command, listing),
                session.submit(commands.LIST_SUBSCRIBED, _Subscriptions(listing)),
            ]
        )
    else:
        await _list_plainly(session, listing)
    return dict(_shown(listing, names))


async def _let_go(session: Session) -> None:
    """Have no old view of a mailbox: a selected one's status is told as the session sees it.

    A NOOP has to be waited for: Dovecot carries it out behind what was sent after it.
    """
    if session.has("UNSELECT"):
        await session.deselect()
    elif session.selection is not None:
        await session.run_command(commands.NOOP)


async def _list_plainly(session: Session, listing: _Listing) -> None:
    """LIST and LSUB, then a STATUS for each mailbox: two round trips, however many there are."""
    await _all_well(
        [
            session.submit(commands.list_mailboxes(), listing),
            session.submit(commands.LSUB, listing),
        ]
    )
    items = status_items(session)
    asked = [
        session.submit(commands.status(entry.name, items), listing)
        for name, entry in listing.entries.items()
        if not _attributes(entry) & NOT_SELECTABLE and name not in listing.status
    ]
    for exchange in asked:
        await exchange.status()  # A mailbox that cannot be asked is shown without a status.


async def _all_well(exchanges: Iterable[Exchange]) -> None:
    for exchange in exchanges:
        status = await exchange.status()
        if not status.ok:
            raise error_of(status)


def _shown(listing: _Listing, names: Names) -> Iterable[tuple[bytes, Mailbox]]:
    for name, entry in listing.entries.items():
        try:
            path = names.path(name, entry.delimiter)
        except ValueError as error:
            _log.warning("mailbox left out: %s", error)
            continue
        items = listing.status.get(name, {})
        object_id = items.get("MAILBOXID")
        yield (
            name,
            Mailbox(
                id=id_by_object_id(object_id) if isinstance(object_id, str) else id_by_name(name),
                path=path,
                attributes=_attributes(entry),
                subscribed=name in listing.subscribed,
                status=_status(items),
            ),
        )
    for name, entry in listing.subscribed.items():
        if name not in listing.entries:
            yield from _only_subscribed(name, entry, names)


def _only_subscribed(
    name: bytes, entry: ListEntry, names: Names
) -> Iterable[tuple[bytes, Mailbox]]:
    """A subscription outlives its mailbox (RFC 9051 §6.3.5)."""
    try:
        path = names.path(name, entry.delimiter)
    except ValueError as error:
        _log.warning("subscription left out: %s", error)
        return
    gone = frozenset({NON_EXISTENT})
    yield name, Mailbox(id=id_by_name(name), path=path, attributes=gone, subscribed=True)


def _lowered(entry: ListEntry) -> set[str]:
    return {attribute.lower() for attribute in entry.attributes}


def _attributes(entry: ListEntry) -> frozenset[str]:
    """Attributes in the spelling of the RFCs, without those that say what is said otherwise."""
    shown = _lowered(entry) - _NOT_SHOWN
    return frozenset(_SPELLING.get(attribute, attribute) for attribute in shown)


def _status(items: Mapping[str, int | str]) -> MailboxStatus | None:
    numbers = {name: value for name, value in items.items() if isinstance(value, int)}
    if not {"UIDVALIDITY", "UIDNEXT", "MESSAGES"} <= numbers.keys():
        return None
    modseq = numbers.get("HIGHESTMODSEQ") or None
    state: State | None = None
    if modseq is not None:
        state = ModseqState(
            uid_validity=numbers["UIDVALIDITY"],
            uid_next=numbers["UIDNEXT"],
            modseq=modseq,
            messages=numbers["MESSAGES"],
        ).to_state()
    return MailboxStatus(
        uid_validity=numbers["UIDVALIDITY"],
        uid_next=numbers["UIDNEXT"],
        messages=numbers["MESSAGES"],
        unseen=numbers.get("UNSEEN"),
        size=numbers.get("SIZE"),
        highest_modseq=modseq,
        state=state,
    )
