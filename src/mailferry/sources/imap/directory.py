"""Which mailbox an id means: the last list that was seen, and a new one where it does not say."""

from __future__ import annotations

from collections.abc import Sequence

from mailferry.mail.errors import MailboxNotFound
from mailferry.mail.mailbox import Mailbox, MailboxId
from mailferry.sources.imap.mailboxes import list_mailboxes
from mailferry.sources.imap.names import Names, id_by_name, id_by_object_id, name_in_id
from mailferry.sources.imap.session import Session
from mailferry.wire.imap.responses import Status


class Directory:
    """Ids and names of one account."""

    def __init__(self) -> None:
        self._names: dict[MailboxId, bytes] = {}

    async def refresh(self, session: Session, names: Names) -> Sequence[Mailbox]:
        """List all mailboxes, and remember what they are called."""
        listed = await list_mailboxes(session, names)
        self._names = {mailbox.id: name for name, mailbox in listed.items()}
        return tuple(listed.values())

    async def name_of(self, session: Session, names: Names, mailbox: MailboxId) -> bytes:
        """Return what the server calls a mailbox.

        Raises:
            MailboxNotFound: there is none of that id.
        """
        name = name_in_id(mailbox)
        if name is not None:
            return name
        if mailbox not in self._names:
            await self.refresh(session, names)
        if mailbox not in self._names:
            raise MailboxNotFound("there is no such mailbox at the server")
        return self._names[mailbox]

    def id_of(self, name: bytes) -> MailboxId:
        """Return the id of a mailbox by its name, as far as is known."""
        for mailbox, known in self._names.items():
            if known == name:
                return mailbox
        return id_by_name(name)

    def note_created(self, session: Session, name: bytes, status: Status) -> MailboxId | None:
        """Return the id of a mailbox that was just made, None where only a list tells."""
        if not session.has("OBJECTID"):
            return id_by_name(name)
        values = status.code.values if status.code_name == "MAILBOXID" and status.code else ()
        inner = values[0] if values else None
        if not isinstance(inner, list) or not inner or not isinstance(inner[0], bytes):
            return None
        mailbox = id_by_object_id(inner[0].decode("ascii", "replace"))
        self._names[mailbox] = name
        return mailbox

    def forget(self) -> None:
        """Ask anew: names have changed."""
        self._names.clear()
