"""Octets that were received and not yet understood: what every line protocol needs."""

from __future__ import annotations


class ReceiveBuffer:
    """A queue of octets with a memory of where it has already looked for a line's end.

    It sets no limit of its own: who feeds it takes out all that can be taken before feeding again,
    and refuses what grows past its protocol's limits (`len`).
    """

    __slots__ = ("_data", "_searched", "_start")

    def __init__(self) -> None:
        self._data = bytearray()
        self._start = 0  # What is before was taken; it is cut off at the next feed.
        self._searched = 0  # No line ends between `_start` and here.

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Add octets at the end."""
        if self._start:
            del self._data[: self._start]
            self._searched -= self._start
            self._start = 0
        self._data += data

    def take_line(self, terminator: bytes) -> bytes | None:
        """Return the octets before the first terminator and drop both; None: no whole line yet."""
        end = self._data.find(terminator, self._searched)
        if end < 0:
            # A terminator may be half here.
            self._searched = max(self._start, len(self._data) - len(terminator) + 1)
            return None
        line = bytes(self._data[self._start : end])
        self._start = self._searched = end + len(terminator)
        return line

    def take(self, length: int) -> bytes:
        """Return and drop at most `length` octets."""
        end = min(self._start + length, len(self._data))
        octets = bytes(self._data[self._start : end])
        self._start = end
        self._searched = max(self._searched, end)
        return octets

    def peek(self, length: int) -> bytes:
        """Return at most `length` octets and keep them."""
        return bytes(self._data[self._start : self._start + length])

    def drop(self, length: int) -> int:
        """Drop at most `length` octets; return how many."""
        dropped = min(length, len(self))
        self._start += dropped
        self._searched = max(self._searched, self._start)
        return dropped
