"""An IMAP client for looking and filling: it pipelines, and never holds a long literal.

Written apart from mailferry's own wire layer on purpose: what judges the node must not share its
mistakes.  A literal longer than `LITERAL_KEPT_MAX` is hashed as it passes; only its length and
SHA-256 stay.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.system.endpoint import Endpoint

LITERAL_KEPT_MAX = 4096  # Octets: mailbox names and header lines are kept, bodies are not.
CHUNK_LENGTH = 64 * 1024  # Octets read or written at a time.

_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\r\n\Z")


class ServerSaidNo(Exception):
    """A command was refused, or the connection ended; the text is the server's."""


@dataclass(frozen=True, slots=True)
class Literal:
    """What is left of a literal: its length, its hash, and its octets when they are few."""

    length: int
    sha256: str
    kept: bytes | None


@dataclass(slots=True)
class Response:
    """One response: its text with each literal replaced by `{length}`, and those literals in order."""

    text: bytes
    literals: list[Literal] = field(default_factory=list)


class StreamingImap:
    """One connection; a context manager that logs out."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_s: float = 60,
        literal_kept_max: int = LITERAL_KEPT_MAX,
    ) -> None:
        self._socket = socket.create_connection((endpoint.host, endpoint.port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=CHUNK_LENGTH)
        self._tags = 0
        self._literal_kept_max = literal_kept_max
        try:
            self.greeting = self.read_response().text
            self.run(f"LOGIN {quoted(endpoint.user)} {quoted(endpoint.password)}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.run("LOGOUT")
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection without a word."""
        self._file.close()
        self._socket.close()

    def send(self, command: str | bytes) -> bytes:
        """Send one command without waiting for its answer; return its tag."""
        self._tags += 1
        tag = b"t%d" % self._tags
        line = command if isinstance(command, bytes) else command.encode()
        self._socket.sendall(tag + b" " + line + b"\r\n")
        return tag

    def send_append(self, mailbox: str, options: str, size: int, chunks: Iterable[bytes]) -> bytes:
        """Send an APPEND with a non-synchronizing literal, chunk by chunk; return its tag."""
        self._tags += 1
        tag = b"t%d" % self._tags
        head = f" APPEND {quoted(mailbox)} {options} {{{size}+}}\r\n"
        self._socket.sendall(tag + head.encode())
        for chunk in chunks:
            self._socket.sendall(chunk)
        self._socket.sendall(b"\r\n")
        return tag

    def run(self, command: str | bytes) -> list[Response]:
        """Send a command and return its untagged responses."""
        return list(self.responses(self.send(command)))

    def responses(self, tag: bytes) -> Iterator[Response]:
        """Yield the untagged responses up to the tagged one, and that one last.

        Commands in flight are to be awaited in the order in which they were sent.

        Raises:
            ServerSaidNo: the command failed or the connection ended.
        """
        while True:
            response = self.read_response()
            if response.text.startswith(tag + b" "):
                if not response.text.startswith(tag + b" OK"):
                    raise ServerSaidNo(response.text.decode("utf-8", "replace").strip())
                yield response
                return
            yield response

    def read_response(self) -> Response:
        """Read one whole response, with its literals."""
        response = Response(b"")
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ServerSaidNo(f"the connection ended after {line[-80:]!r}")
            response.text += line
            literal = _LITERAL.search(line)
            if literal is None:
                response.text = response.text.removesuffix(b"\r\n")
                return response
            response.literals.append(self._read_literal(int(literal[1])))

    def _read_literal(self, length: int) -> Literal:
        digest = hashlib.sha256()
        kept = bytearray()
        left = length
        while left:
            chunk = self._file.read(min(left, CHUNK_LENGTH))
            if not chunk:
                raise ServerSaidNo(f"the connection ended {left} octets before a literal's end")
            digest.update(chunk)
            if length <= self._literal_kept_max:
                kept += chunk
            left -= len(chunk)
        return Literal(
            length, digest.hexdigest(), bytes(kept) if length <= self._literal_kept_max else None
        )


def quoted(text: str) -> str:
    """Return an IMAP quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
