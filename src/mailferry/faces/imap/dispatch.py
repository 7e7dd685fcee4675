"""Which function answers which command, and what may be told together with its answer."""

from __future__ import annotations

from mailferry.faces.imap import copy, fetch, listing, mailboxes, search, selected, status, store
from mailferry.faces.imap.replies import Answer, Bad
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.view import Expunges
from mailferry.wire.imap.commands.fetch import Fetch
from mailferry.wire.imap.commands.listing import List, Lsub
from mailferry.wire.imap.commands.mailbox import (
    Check,
    Close,
    Create,
    Delete,
    Rename,
    Select,
    Status,
    Subscribe,
    Unselect,
    Unsubscribe,
)
from mailferry.wire.imap.commands.message import Copy, Expunge, Move, Store
from mailferry.wire.imap.commands.parse import Command
from mailferry.wire.imap.commands.search import Search
from mailferry.wire.imap.commands.session import Namespace, Noop


async def answer(state: SessionState, tag: str, command: Command) -> Answer:
    """Carry out a command about mail, up to its tagged line.

    Raises:
        No, Bad, MailError: it is refused.
        LineUnusable: the answer broke off in the middle.
    """
    match command:
        case Fetch() | Store() | Search() | Copy() | Move() | Expunge():
            return await _about_messages(state, tag, command)
        case Select():
            return await selected.select(state, command)
        case Close():
            return await selected.close(state)
        case Unselect():
            return await selected.unselect(state)
        case Check():
            return await selected.check(state)
        case Noop():
            return await selected.noop(state)
        case List():
            return await listing.list_(state, command)
        case Lsub():
            return await listing.lsub(state, command)
        case Namespace():
            return await listing.namespace(state)
        case Status():
            return await status.status(state, command)
        case Create() | Delete() | Rename() | Subscribe() | Unsubscribe():
            return await _about_mailboxes(state, command)
        case _:
            raise Bad(b"That command is not offered here")


async def _about_messages(
    state: SessionState, tag: str, command: Fetch | Store | Search | Copy | Move | Expunge
) -> Answer:
    match command:
        case Fetch():
            return await fetch.fetch(state, command)
        case Store():
            return await store.store(state, command)
        case Search():
            return await search.search(state, tag, command)
        case Copy():
            return await copy.copy(state, command)
        case Move():
            return await copy.move(state, command)
        case Expunge():
            return await selected.expunge(state, command)


async def _about_mailboxes(
    state: SessionState, command: Create | Delete | Rename | Subscribe | Unsubscribe
) -> Answer:
    match command:
        case Create():
            return await mailboxes.create(state, command)
        case Delete():
            return await mailboxes.delete(state, command)
        case Rename():
            return await mailboxes.rename(state, command)
        case Subscribe():
            return await mailboxes.subscribe(state, command)
        case Unsubscribe():
            return await mailboxes.unsubscribe(state, command)


def updates_with(command: Command) -> Expunges | None:
    """Return what may be told of the selected mailbox before the tagged line; None: nothing.

    Sequence numbers stay as they are while FETCH, STORE and SEARCH are answered, not while their
    UID forms are (RFC 9051 §7.5.1).
    """
    match command:
        case Fetch(by_uid=False) | Store(by_uid=False) | Search(by_uid=False):
            return Expunges.HOLD_BACK
        case Select() | Close() | Unselect():
            return None
        case _:
            return Expunges.TELL
