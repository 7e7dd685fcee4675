"""What all sessions of a server share."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from mailferry.faces.imap.limits import Limits
from mailferry.faces.imap.logins import Login, Logins, Recents
from mailferry.faces.imap.replies import No

_DECOY_KEY_LENGTH: Final = 32


class Shared:
    """Counts the sessions and keeps what outlives one of them."""

    def __init__(
        self,
        logins: Logins,
        *,
        tls: ssl.SSLContext | None,
        limits: Limits,
        entropy: Callable[[int], bytes],
    ) -> None:
        self.logins: Final = logins
        self.tls: Final = tls
        self.limits: Final = limits
        self.entropy: Final = entropy
        self.decoy_key: Final = entropy(_DECOY_KEY_LENGTH)
        self.strangers = 0
        """Sessions in which nobody has logged in."""
        self._sessions: Counter[str] = Counter()
        self._recents: dict[str, Recents] = {}

    def arrive(self) -> bool:
        """Count a new session; False when there are too many of strangers."""
        if self.strangers >= self.limits.strangers_max:
            return False
        self.strangers += 1
        return True

    async def enter(self, name: str) -> Login:
        """Let in a login that has proved who it is.

        Raises:
            No: it has too many sessions.
            MailError: its mail cannot be opened.
        """
        if self._sessions[name] >= self.limits.sessions_per_login_max:
            raise No(b"Too many sessions of this login", code=b"LIMIT")
        source = await self.logins.open(name)
        self._sessions[name] += 1
        self.strangers -= 1
        return Login(name, source, self._recents.setdefault(name, Recents()))

    def leave(self, login: Login | None) -> None:
        """Count the end of a session."""
        if login is None:
            self.strangers -= 1
            return
        self._sessions[login.name] -= 1
        if not self._sessions[login.name]:
            del self._sessions[login.name]
