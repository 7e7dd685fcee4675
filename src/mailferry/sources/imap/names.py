"""Names: of mailboxes (path and id against the server's name) and of messages (id against UID).

A mailbox's id is its OBJECTID where the server has such (RFC 8474), else its name; both with a letter
in front.  A message's id is UIDVALIDITY and UID in one number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mailferry.mail.errors import MailboxNameInvalid
from mailferry.mail.mailbox import INBOX, MailboxId, MailboxPath, checked_path
from mailferry.mail.message import MessageId
from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import mailbox_name
from mailferry.wire.imap.responses import Namespaces

UID_BITS: Final = 32
_UID_MASK: Final = (1 << UID_BITS) - 1
_BY_NAME: Final = "name:"
_BY_OBJECT_ID: Final = "id:"


def message_id(uid_validity: int, uid: int) -> MessageId:
    """Return the id of a message."""
    return MessageId(uid_validity << UID_BITS | uid)


def uid_of(message: MessageId) -> int:
    """Return a message's UID."""
    return message & _UID_MASK


def uid_validity_of(message: MessageId) -> int:
    """Return the UIDVALIDITY that a message's UID belongs to."""
    return message >> UID_BITS


def uids_of(messages: Iterable[MessageId], uid_validity: int) -> list[int]:
    """Return the UIDs, ascending, of those messages that belong to `uid_validity`."""
    return sorted({uid_of(m) for m in messages if uid_validity_of(m) == uid_validity})


def id_by_name(name: bytes) -> MailboxId:
    """Return the id of a mailbox that has none but its name."""
    return MailboxId(_BY_NAME + name.decode("utf-8", "surrogateescape"))


def id_by_object_id(object_id: str) -> MailboxId:
    """Return the id of a mailbox that the server has given one."""
    return MailboxId(_BY_OBJECT_ID + object_id)


def name_in_id(mailbox: MailboxId) -> bytes | None:
    """Return the name, None where the id is not made of one."""
    if not mailbox.startswith(_BY_NAME):
        return None
    return mailbox.removeprefix(_BY_NAME).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Names:
    """How the server writes what we call a path: delimiter and prefix of the personal namespace."""

    prefix: bytes = b""
    delimiter: bytes | None = None
    """None: a server without hierarchy."""

    @classmethod
    def of(cls, namespaces: Namespaces | None, delimiter: bytes | None) -> Names:
        """Take the first personal namespace (RFC 2342), else only the delimiter."""
        if namespaces is None or not namespaces.personal:
            return cls(delimiter=delimiter)
        first = namespaces.personal[0]
        return cls(first.prefix, first.delimiter)

    def path(self, name: bytes, delimiter: bytes | None) -> MailboxPath:
        """Return the path of a mailbox called `name`.

        Raises:
            ValueError: it has no name that could be shown.
        """
        if name.upper() == b"INBOX":
            return INBOX
        if self.prefix and name.startswith(self.prefix):
            name = name[len(self.prefix) :]
        parts = name.split(delimiter) if delimiter else [name]
        try:
            decoded = tuple(mailbox_name.decode(part) for part in parts if part)
        except RemoteProtocolError as exc:
            raise ValueError("a mailbox name cannot be read") from exc
        return checked_path(decoded)

    def name(self, path: MailboxPath) -> bytes:
        """Return what the server calls `path`.

        Raises:
            MailboxNameInvalid: the server cannot have such a mailbox.
        """
        if path == INBOX:
            return b"INBOX"
        if self.delimiter is None and len(path) > 1:
            raise MailboxNameInvalid("this server has no mailboxes below others")
        try:
            parts = [mailbox_name.encode(part) for part in checked_path(path)]
        except (ValueError, LocalProtocolError) as exc:
            raise MailboxNameInvalid(str(exc)) from exc
        delimiter = self.delimiter or b""
        if delimiter and any(delimiter in part for part in parts):
            written = delimiter.decode("ascii", "replace")
            raise MailboxNameInvalid(f"this server allows no {written} in a mailbox's name")
        return self.prefix + delimiter.join(parts)
