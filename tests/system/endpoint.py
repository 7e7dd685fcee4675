"""Where a mail program connects: a server, the node in front of it, or a relay."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

HOST = "127.0.0.1"

# imaplib refuses longer lines; SEARCH and ESEARCH answers over a whole corpus are long.
imaplib._MAXLINE = 16 * 1024 * 1024  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Plain IMAP on the loopback, and who logs in there."""

    port: int
    user: str
    password: str
    host: str = HOST
    name: str = "the server"
    """How a difference calls this side."""

    def through(self, port: int) -> Endpoint:
        """Return the same login at another port: a relay."""
        return replace(self, port=port)


@contextmanager
def imaplib_session(endpoint: Endpoint, *, timeout_s: float = 60) -> Iterator[imaplib.IMAP4]:
    """Log in with imaplib, and out again at the end, whatever happened in between."""
    session = imaplib.IMAP4(endpoint.host, endpoint.port, timeout=timeout_s)
    try:
        session.login(endpoint.user, endpoint.password)
        yield session
    finally:
        try:
            session.logout()
        except (OSError, imaplib.IMAP4.error):
            session.shutdown()


def ok(answer: tuple[str, Sequence[Any]]) -> list[bytes]:
    """Return what imaplib got, without the Nones; fail unless the server said OK."""
    assert answer[0] == "OK", answer
    return [line for line in answer[1] if line is not None]
