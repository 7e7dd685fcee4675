"""The octets of a message in memory, and what can be read from them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Final

from mailferry.mail.errors import SectionNotFound
from mailferry.mail.message import (
    CHUNK_LENGTH_MAX,
    HEADER_LENGTH_MAX,
    LISTED_FIELDS,
    BlobId,
    Section,
)
from mailferry.wire.mime.header import select_fields
from mailferry.wire.mime.part import Part
from mailferry.wire.mime.scanner import scan
from mailferry.wire.mime.sections import section_range
from mailferry.wire.mime.structure import body_structure, envelope

_LISTED: Final = frozenset(name.lower().encode() for name in LISTED_FIELDS)


class StoredContent:
    """Octets of a message, shared by all messages that consist of them; looked at when first asked."""

    def __init__(self, data: bytes) -> None:
        self.data: Final = data
        self.id: Final = BlobId(hashlib.sha256(data).hexdigest())

    @cached_property
    def structure(self) -> Part:
        """The tree of its parts."""
        return scan(self.data)

    @cached_property
    def envelope(self) -> bytes:
        """In IMAP's own form."""
        return envelope(self.structure)

    @cached_property
    def body_structure(self) -> bytes:
        """In IMAP's own form."""
        return body_structure(self.structure)

    @property
    def header(self) -> bytes:
        """The header with the empty line, cut off at HEADER_LENGTH_MAX."""
        return self.data[: min(self.structure.body_start, HEADER_LENGTH_MAX)]

    @cached_property
    def listed_fields(self) -> bytes:
        """The fields that lists are drawn from, with the empty line."""
        return select_fields(self.header, _LISTED)

    def section(self, section: Section) -> tuple[int, int]:
        """Return where a section begins and ends.

        Raises:
            SectionNotFound: the message has no such section.
        """
        found = section_range(self.structure, section)
        if found is None:
            raise SectionNotFound(section)
        return found

    async def chunks(self, begin: int, end: int) -> AsyncGenerator[bytes, None]:
        """Yield the octets from `begin` to before `end`."""
        for at in range(begin, end, CHUNK_LENGTH_MAX):
            yield self.data[at : min(at + CHUNK_LENGTH_MAX, end)]
