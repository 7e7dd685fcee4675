"""What a server says, as values (RFC 9051 §7 and the extensions named at each type).

Only types are here; wire/imap/response_parser.py makes them from lines.  Mailbox names are octets as
they came (modified UTF-7 or UTF-8), flags and attributes are spelled as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from mailferry.wire.imap.framing import StreamedLiteral
from mailferry.wire.imap.sequence_set import Ranges
from mailferry.wire.imap.tokens import Value


class StatusKind(Enum):
    """RFC 9051 §7.1."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"
    BYE = "BYE"
    PREAUTH = "PREAUTH"


@dataclass(frozen=True, slots=True)
class ResponseCode:
    """What stands in brackets before the text of a status response (RFC 5530, RFC 9051 §7.1)."""

    name: str
    """In upper case."""
    values: tuple[Value, ...] = ()

    def number(self, index: int = 0) -> int | None:
        """Return the number at that place, None where there is none."""
        value = self.values[index] if index < len(self.values) else None
        return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class Status:
    """A status response, tagged or not."""

    kind: StatusKind
    text: str = ""
    code: ResponseCode | None = None

    @property
    def ok(self) -> bool:
        """Whether the command was carried out."""
        return self.kind is StatusKind.OK

    @property
    def code_name(self) -> str:
        """The code's name, "" without a code."""
        return self.code.name if self.code else ""


@dataclass(frozen=True, slots=True)
class Tagged:
    """The end of a command."""

    tag: bytes
    status: Status


@dataclass(frozen=True, slots=True)
class Continuation:
    """The server's "+": go on (RFC 9051 §7.6)."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Capabilities:
    """CAPABILITY; names in upper case."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enabled:
    """ENABLED (RFC 9051 §7.2.1); names in upper case."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListEntry:
    """LIST, or LSUB (RFC 9051 §7.3.1, RFC 3501 §7.2.3)."""

    name: bytes
    delimiter: bytes | None
    attributes: frozenset[str]
    lsub: bool = False
    old_name: bytes | None = None
    """OLDNAME of a rename (RFC 9051 §6.3.9.7)."""


@dataclass(frozen=True, slots=True)
class MailboxStatusItems:
    """STATUS; item names in upper case, MAILBOXID as text."""

    name: bytes
    items: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH: numbers in the order in which they came."""

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedSearch:
    """ESEARCH (RFC 4731)."""

    tag: bytes | None = None
    uid: bool = False
    all: Ranges = ()
    min: int | None = None
    max: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Vanished:
    """VANISHED (RFC 7162 §3.2.10)."""

    uids: Ranges
    earlier: bool


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace: prefix and delimiter (RFC 2342)."""

    prefix: bytes
    delimiter: bytes | None


@dataclass(frozen=True, slots=True)
class Namespaces:
    """NAMESPACE."""

    personal: tuple[Namespace, ...]
    other_users: tuple[Namespace, ...]
    shared: tuple[Namespace, ...]


@dataclass(frozen=True, slots=True)
class ServerId:
    """ID (RFC 2971); names in lower case."""

    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Flags:
    """FLAGS: those defined in the mailbox."""

    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exists:
    """EXISTS: how many messages there are."""

    count: int


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT (RFC 3501 §7.3.2)."""

    count: int


@dataclass(frozen=True, slots=True)
class Expunged:
    """EXPUNGE: the message with this sequence number has gone."""

    sequence: int


@dataclass(frozen=True, slots=True)
class FetchedSection:
    """BODY[...] of a FETCH, whole or in part."""

    name: str
    """Without brackets, in upper case: "", "HEADER", "1.2.MIME", 'HEADER.FIELDS (SUBJECT)'."""
    origin: int | None
    """Where the part begins, None for a whole section."""
    data: bytes | StreamedLiteral | None = field(repr=False)
    """None: NIL, which servers send where there is no such section."""


@dataclass(slots=True, kw_only=True)
class Fetch:
    """FETCH: what was told about one message; an item that was not told is None."""

    sequence: int
    uid: int | None = None
    flags: frozenset[str] | None = None
    modseq: int | None = None
    internal_date: bytes | None = None
    size: int | None = None
    envelope: bytes | None = field(default=None, repr=False)
    """Canonical, see wire/imap/structure.py."""
    body_structure: bytes | None = field(default=None, repr=False)
    sections: tuple[FetchedSection, ...] = ()
    email_id: str | None = None
    """EMAILID (RFC 8474 §5.1), or X-GM-MSGID."""
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """An untagged response that is none of these, or that could not be read."""

    name: str


Untagged: TypeAlias = (
    Status
    | Capabilities
    | Enabled
    | ListEntry
    | MailboxStatusItems
    | Search
    | ExtendedSearch
    | Vanished
    | Namespaces
    | ServerId
    | Flags
    | Exists
    | Recent
    | Expunged
    | Fetch
    | Other
)
Response: TypeAlias = Tagged | Continuation | Untagged
