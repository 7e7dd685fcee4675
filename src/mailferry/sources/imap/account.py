"""What all that is asked of one account needs: the way to the server, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.mail.mailbox import MailboxId, MailboxPath
from mailferry.sources.imap.connection import Connection
from mailferry.sources.imap.directory import Directory
from mailferry.sources.imap.quirks import QuirkReport
from mailferry.sources.imap.session import Session


@dataclass(frozen=True, slots=True)
class Account:
    """One user's mail at one server."""

    connection: Connection
    directory: Directory
    report: QuirkReport

    async def session(self) -> Session:
        """Return a session that is logged in; raises what Connection.session does."""
        return await self.connection.session()

    async def located(self, mailbox: MailboxId) -> tuple[Session, bytes]:
        """Return a session, and what the server calls a mailbox.

        Raises:
            MailboxNotFound: there is none of that id.
        """
        session = await self.session()
        return session, await self.directory.name_of(session, self.connection.names, mailbox)

    def name(self, path: MailboxPath) -> bytes:
        """Return what the server would call a path; after `session()` only.

        Raises:
            MailboxNameInvalid: the server cannot have such a mailbox.
        """
        return self.connection.names.name(path)
