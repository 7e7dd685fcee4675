"""The limits of the IMAP face, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from mailferry.faces.imap.output import SILENCE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a session waits, and how much of everything there may be."""

    login_silence_s: float = 90.0
    """Silence before somebody has logged in: long enough for a handshake over a slow radio, short
    enough that strangers do not fill the server."""
    silence_s: float = 30 * 60.0
    """Silence of a client that is logged in: RFC 9051 §5.4 asks for 30 minutes at least."""
    unread_s: float = SILENCE_S
    """How long a client may take nothing of an answer."""
    idle_keepalive_s: float = 4 * 60.0
    """How often IDLE is given a sign of life: below the five minutes of most address translators."""
    select_news_s: float = 1.0
    """How long SELECT waits for news of the mailbox: programs that run now and then (mbsync, curl) look
    only once.  On a slow line the news come after the answer, as they do to who stays."""
    failure_delay_s: float = 2.0
    """Before a refused login is answered, growing by as much with each refusal on the connection."""
    failures_max: int = 3
    """Refused logins on one connection before it is closed."""
    strangers_max: int = 200
    """Connections at once on which nobody has logged in yet."""
    sessions_per_login_max: int = 100
    """Sessions at once of one login; a mail program opens five to ten."""
    invalid_commands_max: int = 50
    """Lines in a row that are no commands: whoever sends more does not speak IMAP."""
