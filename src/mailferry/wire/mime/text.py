"""The text of a message for searching, folded, in one pass and in bounded memory.

Searched are the bodies of text parts and of message/* parts that are no messages (a delivery
report), with transfer encoding and charset undone.  HTML is searched in its source: tags are text,
and a word with a tag inside is not found.  Attachments are found by their names, which stand in
headers.  The headers are the message's own and those of all parts and messages in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from mailferry.wire.mime.charset import TextDecoder, transfer_decoder
from mailferry.wire.mime.fold import BREAK, Folder, fold
from mailferry.wire.mime.part import HEADER_LENGTH_MAX, Content, Part
from mailferry.wire.mime.words import header_text


class Kind(Enum):
    """Where a text stands."""

    HEADER = "header"
    BODY = "body"


class _Reader(Protocol):
    def feed(self, octets: bytes) -> str: ...

    def close(self) -> str: ...


class _HeaderReader:
    """Reads a header, which is looked at as a whole."""

    def __init__(self) -> None:
        self._header = bytearray()

    def feed(self, octets: bytes) -> str:
        self._header += octets[: HEADER_LENGTH_MAX - len(self._header)]
        return ""

    def close(self) -> str:
        return fold(header_text(bytes(self._header)))


class _BodyReader:
    """Reads the body of a text part as it comes."""

    def __init__(self, content: Content) -> None:
        charset = content.parameter(b"charset") or b""
        self._transfer = transfer_decoder(content.encoding)
        self._text = TextDecoder(charset.decode("ascii", "replace"))
        self._folder = Folder()

    def feed(self, octets: bytes) -> str:
        return self._folder.feed(self._text.feed(self._transfer.feed(octets)))

    def close(self) -> str:
        text = self._text.feed(self._transfer.close()) + self._text.close()
        return self._folder.feed(text) + self._folder.close()


@dataclass(slots=True)
class _Segment:
    """A range of the message that has text."""

    start: int
    end: int
    kind: Kind
    content: Content
    reader: _Reader | None = field(default=None)

    def opened(self) -> _Reader:
        if self.reader is None:
            header = self.kind is Kind.HEADER
            self.reader = _HeaderReader() if header else _BodyReader(self.content)
        return self.reader


class TextReader:
    """Takes a message in chunks and gives its folded text in pieces.

    A BREAK ends the text of each header and body.
    """

    def __init__(self, message: Part, kinds: Collection[Kind] = frozenset(Kind)) -> None:
        """Take the tree of the message that is going to be fed, and which text is wanted."""
        self._segments = [segment for segment in _segments(message) if segment.kind in kinds]
        self._next = 0
        self._position = 0

    @property
    def done(self) -> bool:
        """Whether nothing that follows has text."""
        return self._next == len(self._segments)

    def feed(self, chunk: bytes) -> list[tuple[Kind, str]]:
        """Return the text that the next octets of the message make certain."""
        out: list[tuple[Kind, str]] = []
        start = self._position
        self._position += len(chunk)
        while not self.done:
            segment = self._segments[self._next]
            octets = chunk[max(0, segment.start - start) : max(0, segment.end - start)]
            if octets and (text := segment.opened().feed(octets)):
                out.append((segment.kind, text))
            if segment.end > self._position:
                break
            out.append((segment.kind, segment.opened().close() + BREAK))
            self._next += 1
        return out


def read_text(message: Part, octets: bytes, kind: Kind) -> str:
    """Return all folded text of one kind of a message that is here as a whole."""
    return "".join(text for _, text in TextReader(message, {kind}).feed(octets))


def _segments(message: Part) -> Iterator[_Segment]:
    for part in message.walk():
        if part.header_start < part.body_start:
            yield _Segment(part.header_start, part.body_start, Kind.HEADER, part.content)
        if part.size and not part.parts and _has_text(part.content):
            yield _Segment(part.body_start, part.end, Kind.BODY, part.content)


def _has_text(content: Content) -> bool:
    return content.type.lower() in (b"text", b"message")
