"""The octets of a message in memory, and what can be read from them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from mailferry.mail.errors import SectionNotFound
from mailferry.mail.message import HEADER, HEADER_LENGTH_MAX, TEXT, WHOLE, BlobId, Section

_END_OF_HEADER: Final = re.compile(rb"\A\r?\n|\r?\n\r?\n")


class Content:
    """Octets of a message, shared by all messages that consist of them."""

    __slots__ = ("__weakref__", "_header_length", "data", "id")

    def __init__(self, data: bytes) -> None:
        self.data: Final = data
        self.id: Final = BlobId(hashlib.sha256(data).hexdigest())
        end = _END_OF_HEADER.search(data)
        self._header_length = end.end() if end else len(data)

    @property
    def header(self) -> bytes:
        """The header with the empty line, cut off at HEADER_LENGTH_MAX."""
        return self.data[: min(self._header_length, HEADER_LENGTH_MAX)]

    def section(self, section: Section) -> tuple[int, int]:
        """Return where a section begins and ends.

        Raises:
            SectionNotFound: the message has no such section.
        """
        if section == WHOLE:
            return 0, len(self.data)
        if section == HEADER:
            return 0, self._header_length
        if section == TEXT:
            return self._header_length, len(self.data)
        raise SectionNotFound(section)
