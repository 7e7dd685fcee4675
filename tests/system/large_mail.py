"""A mail that is too large to be held, made chunk by chunk."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

LINE_LENGTH = 57  # Octets of an attachment in one line of base64.
LINES_PER_CHUNK = 800  # About 62 kB of mail.


@dataclass(frozen=True, slots=True)
class LargeMail:
    """A mail with one attachment that no compression makes smaller; the same again for a seed."""

    seed: int
    chunk_count: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the mail."""
        yield (
            f"From: sailor@lab.test\r\nTo: harbour@lab.test\r\nSubject: Chart {self.seed}\r\n"
            f"Message-ID: <chart-{self.seed}-{self.chunk_count}@lab.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
            "The chart.\r\n--b\r\nContent-Type: application/octet-stream; name=chart.bin\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n"
        ).encode()
        entropy = random.Random(self.seed)
        for _ in range(self.chunk_count):
            lines = base64.encodebytes(entropy.randbytes(LINE_LENGTH * LINES_PER_CHUNK))
            yield lines.replace(b"\n", b"\r\n")
        yield b"--b--\r\n"

    def size_and_sha256(self) -> tuple[int, str]:
        """Return the octets of the whole mail, and their hash."""
        size, digest = 0, hashlib.sha256()
        for chunk in self.chunks():
            size += len(chunk)
            digest.update(chunk)
        return size, digest.hexdigest()

    def part(self, offset: int, length: int) -> bytes:
        """Return some octets from the middle."""
        found, position = bytearray(), 0
        for chunk in self.chunks():
            start, end = max(offset, position), min(offset + length, position + len(chunk))
            if start < end:
                found += chunk[start - position : end - position]
            position += len(chunk)
        return bytes(found)
