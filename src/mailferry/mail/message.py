"""Messages: one message in one mailbox (RFC 9051 §2.3), its summary and its content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, NewType

MessageId = NewType("MessageId", int)
"""Names one message in one mailbox at one source; 64 bits, never reused while the source lives.

A replica's ids are permanent from birth, whether the message was born at the server or here.  An
IMAP server's are its UIDVALIDITY and UID in one number, so that neither is used without the other.
Ints, because a mailbox of 100,000 is an array of them.
"""

BlobId = NewType("BlobId", str)
"""Names content: the SHA-256 of the octets, in hexadecimal."""

Flag = NewType("Flag", str)
"""A system flag or keyword (RFC 9051 §2.3.2), spelled as `flag()` spells it."""

SEEN: Final = Flag("\\Seen")
ANSWERED: Final = Flag("\\Answered")
FLAGGED: Final = Flag("\\Flagged")
DELETED: Final = Flag("\\Deleted")
DRAFT: Final = Flag("\\Draft")
SYSTEM_FLAGS: Final = frozenset({SEEN, ANSWERED, FLAGGED, DELETED, DRAFT})

_SYSTEM_FLAG_BY_NAME: Final = {name.lower(): name for name in SYSTEM_FLAGS}


def flag(name: str) -> Flag:
    """Return the one spelling of a flag: system flags are not case-sensitive, keywords stay as given."""
    return _SYSTEM_FLAG_BY_NAME.get(Flag(name.lower()), Flag(name))


Section = NewType("Section", str)
"""A body section without its brackets and its partial (RFC 9051 §6.4.5): "", "HEADER", "1.2.MIME".

HEADER.FIELDS is not one: a face makes it from HEADER or from `Summary.header_fields`.
"""

WHOLE: Final = Section("")
HEADER: Final = Section("HEADER")
TEXT: Final = Section("TEXT")

LISTED_FIELDS: Final = (
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Content-Type",
    "Content-Description",
    "Newsgroups",
    "Lines",
    "List-Post",
    "List-Id",
    "X-Label",
    "Priority",
    "X-Priority",
    "Importance",
    "X-MSMail-Priority",
    "Disposition-Notification-To",
    "Autocrypt",
    "X-TUID",
)
"""Header fields that mail programs ask for to draw a list (seen with mutt, Thunderbird, mbsync):
part of every first summary, so that drawing a list never needs the whole header."""


class SummaryItem(Enum):
    """What can be asked of `MailSource.summaries`."""

    FLAGS = "FLAGS"
    INTERNAL_DATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY_STRUCTURE = "BODYSTRUCTURE"
    HEADER_FIELDS = "LISTED_FIELDS"
    HEADER = "HEADER"
    EMAIL_ID = "EMAILID"
    THREAD_ID = "THREADID"


LISTING: Final = frozenset(
    {
        SummaryItem.FLAGS,
        SummaryItem.INTERNAL_DATE,
        SummaryItem.SIZE,
        SummaryItem.ENVELOPE,
        SummaryItem.BODY_STRUCTURE,
        SummaryItem.HEADER_FIELDS,
    }
)
"""What a first sync takes: all that a mail program needs to draw its list."""


@dataclass(frozen=True, slots=True)
class MessageState:
    """The part of a message that changes."""

    id: MessageId
    uid: int
    """0 where the source does not number its messages (POP3)."""
    flags: frozenset[Flag]
    modseq: int
    """0 where the source has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was asked about one message; an item that was not asked for is None.

    `envelope` and `body_structure` are in IMAP's own form (RFC 9051 §7.5.2), from "(" to ")", with
    literals in place, as a server would send them: so they pass through from server to client as
    they are, and only who searches in them takes them apart.
    """

    id: MessageId
    uid: int
    flags: frozenset[Flag] | None = None
    modseq: int = 0
    internal_date: datetime | None = None
    """Always with a time zone."""
    size: int | None = None
    """Octets of the whole message, as the source claims."""
    envelope: bytes | None = None
    body_structure: bytes | None = None
    header_fields: bytes | None = None
    """The LISTED_FIELDS that the header has, in its order, octet for octet, with the empty line."""
    header: bytes | None = None
    """The whole header with the empty line."""
    email_id: str | None = None
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A section on its way: `size` is of the whole section, `chunks` begin at the asked offset.

    Read `chunks` to its end or close it (`aclose()`); when it ends early with SourceUnavailable, ask
    again with the offset that was reached.  No chunk is longer than CHUNK_LENGTH_MAX.
    """

    size: int
    chunks: AsyncIterator[bytes]


CHUNK_LENGTH_MAX: Final = 64 * 1024  # Octets: what one body in flight may hold of our memory.
HEADER_LENGTH_MAX: Final = (
    1024 * 1024
)  # Octets: past this a header is cut off; Dovecot's own limit.


@dataclass(frozen=True, slots=True)
class Blob:
    """Content that was uploaded and that an operation can now refer to."""

    id: BlobId
    size: int
