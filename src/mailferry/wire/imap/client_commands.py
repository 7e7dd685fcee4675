"""Commands of a client, as values that wire/imap/client.py puts on the line (RFC 9051 §6).

Each function names the RFC of its command; what depends on a server's capabilities is the caller's
choice.  Mailbox names are octets as the server gave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from mailferry.wire.errors import LocalProtocolError
from mailferry.wire.imap.dates import format_date_time
from mailferry.wire.imap.serialize import flag_list, nstring
from mailferry.wire.sasl import ClientMechanism


@dataclass(frozen=True, slots=True)
class AString:
    """Octets to be sent as an atom, quoted string or literal, whatever fits."""

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Raises LocalProtocolError for NUL, which no string can hold (RFC 9051 §4.3)."""
        if b"\0" in self.value:
            raise LocalProtocolError("NUL in a string")


@dataclass(frozen=True, slots=True)
class StreamedMessage:
    """A literal whose octets are handed in while it is sent."""

    length: int


Part: TypeAlias = bytes | AString | StreamedMessage
"""Octets are sent as they are and hold no literal."""


class Waits(Enum):
    """What may be sent behind a command before it is completed."""

    NOT = "anything: the server answers one after the other"
    ALONE = "nothing: what follows depends on how it ends"
    LAYER = "nothing, and after OK all octets belong to another layer, both ways"


@dataclass(frozen=True, slots=True)
class Command:
    """A command without its tag; the first word of `parts` is its name."""

    parts: tuple[Part, ...] = field(repr=False)
    waits: Waits = Waits.NOT

    @property
    def name(self) -> str:
        """The command's name, for logs: never an argument."""
        words = self.parts[0].split() if isinstance(self.parts[0], bytes) else []
        length = 2 if words[:1] == [b"UID"] else 1
        return b" ".join(words[:length]).decode("ascii")


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: the whole exchange (RFC 9051 §6.2.2)."""

    mechanism: ClientMechanism = field(repr=False)

    @property
    def name(self) -> str:
        """For logs."""
        return f"AUTHENTICATE {self.mechanism.name}"


@dataclass(frozen=True, slots=True)
class Idle:
    """IDLE, until it is finished (RFC 2177)."""

    name = "IDLE"


AnyCommand: TypeAlias = Command | Authenticate | Idle

CAPABILITY = Command((b"CAPABILITY",))
NOOP = Command((b"NOOP",))
LOGOUT = Command((b"LOGOUT",), Waits.ALONE)
STARTTLS = Command((b"STARTTLS",), Waits.LAYER)
COMPRESS = Command((b"COMPRESS DEFLATE",), Waits.LAYER)
"""RFC 4978."""
NAMESPACE = Command((b"NAMESPACE",))
UNSELECT = Command((b"UNSELECT",))
EXAMINE_INBOX = Command((b"EXAMINE INBOX",))
EXPUNGE = Command((b"EXPUNGE",))


def login(user: bytes, password: bytes) -> Command:
    """LOGIN (RFC 9051 §6.2.3)."""
    return Command((b"LOGIN ", AString(user), b" ", AString(password)), Waits.ALONE)


def enable(names: Iterable[str]) -> Command:
    """ENABLE (RFC 5161)."""
    return Command((b"ENABLE " + " ".join(sorted(names)).encode("ascii"),))


def identify(parameters: Mapping[str, str]) -> Command:
    """ID (RFC 2971)."""
    pairs = (nstring(octets.encode()) for pair in parameters.items() for octets in pair)
    return Command((b"ID (%b)" % b" ".join(pairs),))


def list_mailboxes(returning: Sequence[str] = (), status_items: Sequence[str] = ()) -> Command:
    """LIST of everything; `returning` as in RFC 5258, `status_items` as in RFC 5819."""
    options = list(returning)
    if status_items:
        options.append(f"STATUS ({' '.join(status_items)})")
    suffix = f" RETURN ({' '.join(options)})" if options else ""
    return Command((b'LIST "" "*"' + suffix.encode("ascii"),))


LIST_DELIMITER = Command((b'LIST "" ""',))
"""Asks for the delimiter only (RFC 9051 §6.3.9)."""
LIST_SUBSCRIBED = Command((b'LIST (SUBSCRIBED) "" "*"',))
"""Names that are subscribed, also those without a mailbox (RFC 5258 §3.1)."""
LSUB = Command((b'LSUB "" "*"',))
"""RFC 3501 §6.3.9."""


def status(name: bytes, items: Sequence[str]) -> Command:
    """STATUS (RFC 9051 §6.3.11)."""
    return Command((b"STATUS ", AString(name), f" ({' '.join(items)})".encode("ascii")))


def select(name: bytes) -> Command:
    """SELECT (RFC 9051 §6.3.2)."""
    return Command((b"SELECT ", AString(name)))


def select_condstore(name: bytes) -> Command:
    """SELECT with CONDSTORE (RFC 7162 §3.1.8)."""
    return Command((b"SELECT ", AString(name), b" (CONDSTORE)"))


def select_qresync(name: bytes, uid_validity: int, modseq: int) -> Command:
    """SELECT with what changed since `modseq` (RFC 7162 §3.2.5)."""
    return Command((b"SELECT ", AString(name), b" (QRESYNC (%d %d))" % (uid_validity, modseq)))


def create(name: bytes, special_use: str | None = None) -> Command:
    """CREATE, with a special use where given (RFC 6154 §3)."""
    suffix = f" (USE ({special_use}))".encode("ascii") if special_use else b""
    return Command((b"CREATE ", AString(name), suffix))


def delete(name: bytes) -> Command:
    """DELETE (RFC 9051 §6.3.5)."""
    return Command((b"DELETE ", AString(name)))


def rename(old: bytes, new: bytes) -> Command:
    """RENAME (RFC 9051 §6.3.6)."""
    return Command((b"RENAME ", AString(old), b" ", AString(new)))


def subscribe(name: bytes) -> Command:
    """SUBSCRIBE (RFC 9051 §6.3.7)."""
    return Command((b"SUBSCRIBE ", AString(name)))


def unsubscribe(name: bytes) -> Command:
    """UNSUBSCRIBE (RFC 9051 §6.3.8)."""
    return Command((b"UNSUBSCRIBE ", AString(name)))


def fetch(sequence_set: bytes, items: str) -> Command:
    """FETCH by sequence numbers."""
    return Command((b"FETCH %b %b" % (sequence_set, items.encode("ascii")),))


def uid_fetch(uids: bytes, items: str, *, changed_since: int | None = None) -> Command:
    """UID FETCH; `changed_since` as in RFC 7162 §3.1.4.1."""
    suffix = b"" if changed_since is None else b" (CHANGEDSINCE %d)" % changed_since
    return Command((b"UID FETCH %b %b%b" % (uids, items.encode("ascii"), suffix),))


def uid_store(uids: bytes, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Command:
    """UID STORE of flags to add or to remove, one of the two, silently."""
    sign, flags = (b"+", add) if add else (b"-", remove)
    return Command((b"UID STORE %b %bFLAGS.SILENT %b" % (uids, sign, flag_list(sorted(flags))),))


def uid_copy(uids: bytes, target: bytes) -> Command:
    """UID COPY (RFC 9051 §6.4.7)."""
    return Command((b"UID COPY %b " % uids, AString(target)))


def uid_move(uids: bytes, target: bytes) -> Command:
    """UID MOVE (RFC 6851)."""
    return Command((b"UID MOVE %b " % uids, AString(target)))


def uid_expunge(uids: bytes) -> Command:
    """UID EXPUNGE (RFC 4315 §2.1)."""
    return Command((b"UID EXPUNGE %b" % uids,))


def uid_search(keys: Sequence[Part], *, charset: str = "", extended: bool = False) -> Command:
    """UID SEARCH; `extended` asks for ranges (RFC 4731)."""
    prefix = b"UID SEARCH "
    prefix += b"RETURN (ALL) " if extended else b""
    prefix += f"CHARSET {charset} ".encode("ascii") if charset else b""
    return Command((prefix, *keys))


def append(
    name: bytes, length: int, *, flags: Iterable[str] = (), internal_date: datetime | None = None
) -> Command:
    """APPEND of a message whose octets are streamed (RFC 9051 §6.3.12)."""
    options = b" " + flag_list(sorted(flags))
    if internal_date is not None:
        options += b" " + format_date_time(internal_date)
    return Command((b"APPEND ", AString(name), options + b" ", StreamedMessage(length)))
