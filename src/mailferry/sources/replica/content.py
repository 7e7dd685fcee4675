"""Reading content that is here, in chunks; what is being read is pinned."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.message import CHUNK_LENGTH_MAX
from mailferry.sources.replica.core import Core
from mailferry.store import chunks
from mailferry.store.chunks import BODY_CHUNKS, ChunkTable


@dataclass(frozen=True, slots=True)
class Place:
    """Where content lies: the octets [begin, end) of a body of the replica or a blob of the journal."""

    table: ChunkTable
    key: int
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Octets."""
        return self.end - self.begin

    def part(self, begin: int, end: int) -> Place:
        """Return a part of it."""
        return Place(self.table, self.key, self.begin + begin, self.begin + end)


class Content:
    """Reads what is here."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pins: Final[Counter[tuple[ChunkTable, int]]] = Counter()

    def pinned(self, table: ChunkTable) -> set[int]:
        """Return the keys of what is being read from a table."""
        return {
            key for (pinned_in, key), count in self._pins.items() if pinned_in is table and count
        }

    @contextmanager
    def pin(self, table: ChunkTable, key: int) -> Iterator[None]:
        """Keep content from being dropped."""
        self._pins[table, key] += 1
        try:
            yield
        finally:
            self._pins[table, key] -= 1
            if not self._pins[table, key]:
                del self._pins[table, key]

    def read_chunk(self, table: ChunkTable, key: int, offset: int) -> bytes:
        """Return what is here from `offset`, a chunk at most; b"" when nothing is.  Takes 0.1 ms."""
        core = self._core
        reader = core.store.reader if table is BODY_CHUNKS else core.journal.reader
        return chunks.read(reader, table, key, offset)

    async def read(self, place: Place, offset: int) -> AsyncGenerator[bytes, None]:
        """Yield the octets of a place from `offset`."""
        with self.pin(place.table, place.key):
            at = place.begin + offset
            while at < place.end:
                data = self.read_chunk(place.table, place.key, at)[: place.end - at]
                if not data:
                    raise SourceUnavailable("the content was dropped meanwhile: ask again")
                yield data
                at += len(data)


async def in_memory(data: bytes, offset: int) -> AsyncIterator[bytes]:
    """Yield octets that are in memory."""
    for start in range(offset, len(data), CHUNK_LENGTH_MAX):
        yield data[start : start + CHUNK_LENGTH_MAX]
