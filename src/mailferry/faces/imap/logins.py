"""Who may log in, and what the sessions of one login share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.source import StagingSource
from mailferry.wire.scram import ScramVerifier


class Logins(Protocol):
    """Knows the local logins; given by whoever composes the server."""

    async def verifier(self, login: str) -> ScramVerifier | None:
        """Return what checks the login's password; None: there is no such login."""
        ...

    async def open(self, login: str) -> StagingSource:
        """Return the mail of a login that has proved who it is.

        Sessions share one source; it stays the callee's, who closes it when nobody needs it.

        Raises:
            MailError: it cannot be opened now.
        """
        ...


class Recents:
    r"""Which messages are \Recent (RFC 3501 §2.3.2), for all sessions of one login.

    They belong to the first session that is told of them.  This lives as long as the process: after
    that messages are recent once more, as the RFC wants it where a server cannot tell.
    """

    def __init__(self) -> None:
        self._seen_up_to: dict[MailboxId, int] = {}

    def look(self, mailbox: MailboxId, uid_next: int) -> int:
        r"""Return the UID from which on messages are \Recent to who asks, and change nothing."""
        return min(self._seen_up_to.get(mailbox, 1), uid_next)

    def claim(self, mailbox: MailboxId, uid_next: int) -> int:
        r"""The same; and messages below `uid_next` are \Recent to nobody else from now on."""
        first = self.look(mailbox, uid_next)
        self._seen_up_to[mailbox] = max(uid_next, self._seen_up_to.get(mailbox, 1))
        return first


@dataclass(frozen=True, slots=True)
class Login:
    """A session's login, once it has proved who it is."""

    name: str
    source: StagingSource
    recents: Recents
