"""Mailbox names between the wire and `MailboxPath`, and which of them a LIST shows.

Our delimiter is "/".  A component that holds a "/" itself (a server with another delimiter allows
that) shows U+2215 in its place, and is found by that name again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mailferry.mail.errors import MailboxNameInvalid, MailboxNotFound
from mailferry.mail.mailbox import Mailbox, MailboxPath, checked_path
from mailferry.wire.imap import mailbox_name
from mailferry.wire.imap.serialize import astring

DELIMITER: Final = "/"
_SHOWN_SLASH: Final = "\N{DIVISION SLASH}"


def shown_name(path: MailboxPath) -> str:
    """Return a mailbox's name as clients know it, in Unicode."""
    return DELIMITER.join(component.replace(DELIMITER, _SHOWN_SLASH) for component in path)


def written_name(path: MailboxPath) -> bytes:
    """Return a mailbox's name as it goes over the wire."""
    return astring(mailbox_name.encode(shown_name(path)))


def path_of(name: str) -> MailboxPath:
    """Return the path that a client's name means; a delimiter at its end means nothing.

    Raises:
        MailboxNameInvalid: no mailbox can be called so.
    """
    try:
        return checked_path(tuple(name.removesuffix(DELIMITER).split(DELIMITER)))
    except ValueError as exc:
        raise MailboxNameInvalid(str(exc)) from exc


def find(mailboxes: Iterable[Mailbox], name: str) -> Mailbox:
    """Return the mailbox that a client calls so.

    Raises:
        MailboxNotFound: there is none, or it cannot be selected.
        MailboxNameInvalid: there cannot be one.
    """
    wanted = shown_name(path_of(name))
    for mailbox in mailboxes:
        if mailbox.selectable and shown_name(mailbox.path) == wanted:
            return mailbox
    raise MailboxNotFound(name)


def resolve(mailboxes: Iterable[Mailbox], name: str) -> MailboxPath:
    """Return the path that a client's name means, be there a mailbox of that name or not.

    Levels that exist are spelled as they are, others as the client spells them.

    Raises:
        MailboxNameInvalid: there cannot be one.
    """
    path = path_of(name)
    spelled = {shown_name(mailbox.path): mailbox.path for mailbox in mailboxes}
    for depth in range(len(path), 0, -1):
        existing = spelled.get(shown_name(path[:depth]))
        if existing is not None:
            return existing + path[depth:]
    return path
