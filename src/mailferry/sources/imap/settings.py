"""How an IMAP server is reached, and the limits of the conversation with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from mailferry.wire.sasl import Credential

CredentialProvider: TypeAlias = Callable[[], Awaitable[Credential]]
"""Gives what to log in with, asked anew at every login: an access token is refreshed there.

Raises AuthenticationFailed when the user has to do something, SourceUnavailable when it can be
tried again later: network trouble is never taken for lost consent.
"""


class Security(Enum):
    """How the connection is protected."""

    TLS = "implicit TLS (RFC 8314)"
    STARTTLS = "TLS after a beginning in the clear; never anything secret before it"
    PLAIN = "none; a password crosses in the clear unless the server has SCRAM"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings:
    """Settings of one upstream; the defaults suit a satellite line."""

    host: str
    port: int
    security: Security = Security.TLS
    mechanisms: frozenset[str] | None = None
    """SASL mechanisms that may be used, in upper case, "LOGIN" included; None: all we have."""
    disabled_capabilities: frozenset[str] = frozenset()
    """Capabilities, in upper case, not to be used though the server offers them."""

    connect_timeout_s: float = 30.0
    """Connecting and resolving the name."""
    silence_s: float = 90.0
    """Without one octet moving while we wait for an answer, after which the line counts as dead.
    A server may think for a minute about a SEARCH in 100,000 bodies and sends nothing meanwhile."""
    logout_s: float = 5.0
    """For the goodbye, whatever the line is like: LOGOUT and its answer."""
    backoff_first_s: float = 2.0
    """Between a failed attempt to connect and the next; doubles each time, with jitter."""
    backoff_max_s: float = 300.0
    """The longest such wait.  Also after refused credentials: servers lock out who hammers."""
    idle_after_s: float = 1.0
    """Of quiet before IDLE begins, so that it is not begun and ended between two requests."""
    idle_renew_s: float = 540.0
    """An IDLE is renewed after that: NAT boxes forget TCP connections after 10 minutes or more, and
    RFC 2177 allows servers to end it after 30."""
    poll_interval_s: float = 300.0
    """Between looks at the mailboxes that IDLE does not watch (one LIST-STATUS)."""
    settle_s: float = 30.0
    """After a lost connection, in which the server may still be carrying out what it was told last."""


WINDOW_LENGTH: Final = 256 * 1024
"""Octets of a body asked for at once.  Two in flight fill a satellite line of 6 Mbit/s, and other commands
come between them; each body in flight holds no more than these two windows."""
FIRST_WINDOW_LENGTH: Final = 64 * 1024
"""Octets of a body asked for before anything is known of it: most messages are shorter."""
WINDOWS_IN_FLIGHT: Final = 2
SUMMARIES_BATCH: Final = 200
"""Messages in one FETCH of summaries: about 300 kB, so that other commands come between."""
BATCHES_IN_FLIGHT: Final = 3
"""FETCHes of summaries under way at once: the line is never empty while one is being taken in."""
UID_SET_LENGTH_MAX: Final = 6000
"""Octets of a UID set in a command; servers take lines of 8,192 (RFC 7162 §4)."""
CHANGED_MAX: Final = 20_000
"""Changed messages that one answer of `changes` keeps for its later pages, about 4 MB; when more changed,
starting anew from the list of UIDs is no dearer."""
FLAGS_WINDOW: Final = 400
"""Messages whose flags are looked at in one `changes` where the server has no CONDSTORE: the newest so
many, and as many of the older ones in turn."""
SEARCHED_MAX: Final = 1_000_000
"""Messages in a mailbox: what a list of UIDs may expand to."""
COMMANDS_IN_FLIGHT_MAX: Final = 32
"""Commands sent and unanswered: enough to fill any line, few enough for servers that count."""
