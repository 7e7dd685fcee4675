"""Whether two messages are one: matching by content when the server's numbers have changed.

A server that changes UIDVALIDITY, or that was replaced by another one, calls its messages by new
names.  A message here keeps its id, its UID and its body when exactly one message of the mailbox
there is the same by content, and the other way round.  Where a match is not unique there is none:
better a new UID than the wrong mail removed (docs/architecture.md, "Identity").

The same finds a message that was born here and carried to a server which does not tell its UID.
There the contents are known to be equal, so equal ones may be paired in order.

Identities are keyed hashes: the map of ids outlives the mail and must tell nothing of it.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

IDENTITY_LENGTH: Final = 16  # Octets: two of 2^32 messages collide with a chance of 2^-64.
KEY_LENGTH: Final = 32  # Octets.

_WHITE: Final = re.compile(rb"\s+")
_MESSAGE_ID: Final = re.compile(
    rb"^message-id[ \t]*:(.*(?:\r?\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a message is known by, apart from any number; equal ones are candidates for a match."""

    email_id: bytes | None
    """Keyed hash of the server's EMAILID (RFC 8474 §5.1), where it has one."""
    content: bytes | None
    """Keyed hash of Message-ID, size, date and header; None when the message has no Message-ID."""


NOBODY: Final = Identity(None, None)


def identify(
    key: bytes,
    *,
    email_id: str | None,
    size: int | None,
    internal_date: datetime | None,
    header_fields: bytes | None,
) -> Identity:
    """Return the identity of a message of which this is known."""
    return Identity(
        email_id=_hash(key, b"email", email_id.encode()) if email_id else None,
        content=_content(key, size, internal_date, header_fields),
    )


def _content(
    key: bytes, size: int | None, internal_date: datetime | None, header_fields: bytes | None
) -> bytes | None:
    if size is None or header_fields is None:
        return None
    found = _MESSAGE_ID.search(header_fields)
    if found is None or not found[1].strip():
        return None
    date = internal_date.astimezone(UTC).strftime("%Y%m%d%H%M%S") if internal_date else ""
    # Servers fold and trim differently; the order and the words of the fields stay.
    header = _WHITE.sub(b" ", header_fields).strip()
    return _hash(key, b"content", found[1].strip(), str(size).encode(), date.encode(), header)


def _hash(key: bytes, *parts: bytes) -> bytes:
    digest = hashlib.blake2b(key=key, digest_size=IDENTITY_LENGTH)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


Known: TypeAlias = Mapping[int, Identity]
"""Message id -> identity."""


def match_unique(ours: Known, theirs: Known) -> dict[int, int]:
    """Return {their id: our id} where exactly one on each side has the identity.

    EMAILID decides where both sides have it; what stays open is matched by content.
    """
    pairs = _pair_unique(
        {one: identity.email_id for one, identity in ours.items()},
        {one: identity.email_id for one, identity in theirs.items()},
    )
    taken = set(pairs.values())
    pairs |= _pair_unique(
        {one: identity.content for one, identity in ours.items() if one not in taken},
        {one: identity.content for one, identity in theirs.items() if one not in pairs},
    )
    return pairs


def match_born(ours: Known, theirs: Known) -> dict[int, int]:
    """Return {their id: our id} for messages that were born here and are certainly there.

    Several of one content are paired in ascending order: they are the same but for their numbers.
    """
    pairs: dict[int, int] = {}
    their_groups = _groups({one: identity.content for one, identity in theirs.items()})
    for content, group in _groups({one: each.content for one, each in ours.items()}).items():
        pairs.update(zip(sorted(their_groups.get(content, ())), sorted(group), strict=False))
    return pairs


def _pair_unique(
    ours: Mapping[int, bytes | None], theirs: Mapping[int, bytes | None]
) -> dict[int, int]:
    our_groups = _groups(ours)
    return {
        group[0]: our_groups[identity][0]
        for identity, group in _groups(theirs).items()
        if len(group) == 1 and len(our_groups.get(identity, ())) == 1
    }


def _groups(identities: Mapping[int, bytes | None]) -> dict[bytes, list[int]]:
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for one, identity in identities.items():
        if identity is not None:
            groups[identity].append(one)
    return groups
