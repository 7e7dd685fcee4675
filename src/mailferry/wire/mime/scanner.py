"""Finding the parts of a message in one pass, in bounded memory (RFC 2046 §5.1).

Theory of operation
-------------------
The scanner is always in one of four states, each a method that looks at the window (the octets
that were fed and are still needed), moves the cursor, and says whether it got anywhere:

    _in_header      looks for the end of a header: its empty line, the boundary of a multipart
                    around it, or the end of the message; then enters what the header announces
    _in_body        looks for the boundaries of the multiparts around it; finding one ends all
                    parts inside that multipart
    _in_delimiter   goes past the rest of a boundary line; then a part begins, or the epilogue
    _in_rest        no part can begin or end any more: only counts lines

Open parts form a stack: a multipart, the part inside it that is being read, and so on; a
message/rfc822 part and the message in it too.  A multipart listens for its boundary from the end of
its header to its closing line ("--boundary--"); what follows is epilogue.  As RFC 2046 §5.1.1 has
it, a boundary line need only begin with the boundary; when several fit, the longest wins, of equal
ones the innermost.

The cursor enters a state at the beginning of a line.  The line end before the cursor always stays
in the window, so that every line that can be looked at has a line feed before it; a window begins
its life with one that is not of the message.

The window never holds more than a header (HEADER_LENGTH_MAX) or the head of a line, besides the
chunk just fed.  Past a limit nothing is refused: the rest is opaque.  Where mail is broken, the
choices are Dovecot's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from mailferry.wire.mime.content import CONTENT_FIELDS, parse_content
from mailferry.wire.mime.header import FieldFinder
from mailferry.wire.mime.part import (
    BOUNDARY_LENGTH_MAX,
    FIELDS_LENGTH_MAX,
    HEADER_LENGTH_MAX,
    OPAQUE,
    PART_COUNT_MAX,
    PART_DEPTH_MAX,
    PLAIN_TEXT,
    Content,
    Part,
)
from mailferry.wire.mime.structure import ENVELOPE_FIELDS, make_envelope

# Octets of a line that decide whether it is a boundary: "--" boundary "--" CRLF.
_LINE_HEAD_MAX: Final = 2 + BOUNDARY_LENGTH_MAX + 2 + 2
_DASHES: Final = b"\n--"
# What may end a header: an empty line, or a line that may be a boundary.
_HEADER_STOP: Final = re.compile(rb"\n(?:\r?\n|--)")
_CONTEXT: Final = 2  # Octets before the cursor that stay in the window: a line end.
# Octets at the end of the window in which a stop may have begun: LF CR, or LF "-".
_STOP_BEGUN_MAX: Final = 2
_CHUNK_LENGTH: Final = 64 * 1024  # Octets that `scan` looks at in one go.

_MIME_VERSION: Final = b"mime-version"
_PART_FIELDS: Final = FieldFinder(CONTENT_FIELDS | {_MIME_VERSION})
_MESSAGE_FIELDS: Final = FieldFinder(CONTENT_FIELDS | {_MIME_VERSION} | ENVELOPE_FIELDS)


@dataclass(slots=True)
class _Open:
    """A part that is being read."""

    header_start: int
    parent: _Open | None
    depth: int = 0
    body_start: int = 0
    newlines_before: int = 0
    """Line feeds of the message before the body."""
    content: Content = PLAIN_TEXT
    envelope: bytes | None = None
    boundary: bytes = b""
    """Of a multipart, once its header was read."""
    parts: list[Part] = field(default_factory=list)

    @property
    def is_whole_message(self) -> bool:
        """Whether this is the message itself or one inside a message/rfc822 part."""
        return self.parent is None or self.parent.content.is_message


class Scanner:
    """Takes a message in chunks of any size and gives the tree of its parts.

    Feed all chunks in order, then `close()` once.  No input is refused and nothing raises.
    """

    def __init__(self) -> None:
        self._window = bytearray(b"\n")
        self._origin = -1  # Offset of the window in the message.
        self._cursor = 1  # Offset in the window: what is before has been dealt with.
        self._searched = 0  # Offset in the window: no stop begins before it.
        self._newlines = 0  # Line feeds of the message before the cursor.
        self._epilogue_start = -1  # Offset in the message.
        self._closing = False
        self._overlong = b""  # The beginning of a header that is longer than HEADER_LENGTH_MAX.
        self._fields_length = 0  # Octets of all kept fields so far.
        self._part_count = 1
        self._part = _Open(0, None)
        self._listening: list[_Open] = []  # Multiparts, outermost first.
        self._state: Callable[[], bool] = self._in_header

    def feed(self, chunk: bytes | memoryview) -> None:
        """Look at the next octets of the message."""
        self._window += chunk
        self._run()

    def close(self) -> Part:
        """End the message and return its tree."""
        self._closing = True
        self._run()
        end = self._origin + self._cursor
        while self._part.parent is not None:
            self._finish(end)
        return self._finished(self._part, end)

    def _run(self) -> None:
        while self._state():
            pass
        done = max(0, self._cursor - _CONTEXT)
        del self._window[:done]
        self._origin += done
        self._cursor -= done
        self._searched = max(0, self._searched - done)

    def _advance(self, to: int) -> None:
        """Move the cursor forward to an offset in the window, counting the lines it passes."""
        if to > self._cursor:
            self._newlines += self._window.count(b"\n", self._cursor, to)
            self._cursor = to
        self._searched = max(self._searched, self._cursor - 1)

    # --- header -----------------------------------------------------------------------------

    def _in_header(self) -> bool:
        stop = self._header_stop()
        if stop is None:
            self._spare_the_window()
            return False
        line_start, body_start = stop
        header = self._overlong or bytes(self._window[self._cursor : line_start])
        self._overlong = b""
        self._advance(body_start)
        part = self._part
        part.body_start = self._origin + self._cursor
        part.newlines_before = self._newlines
        self._describe(part, header)
        self._enter(part, complete=line_start < body_start)
        return True

    def _header_stop(self) -> tuple[int, int] | None:
        """Return where the fields of the header end and where the body begins; None: not here yet."""
        window = self._window
        while match := _HEADER_STOP.search(window, self._searched):
            line_start = match.start() + 1
            if not match[0].endswith(b"--"):
                return line_start, match.end()
            if self._listening:
                line = self._line_head(line_start)
                if line is None:
                    self._searched = match.start()
                    return None
                if self._listener(line):
                    return line_start, line_start
            self._searched = line_start
        if self._closing:
            return len(window), len(window)
        self._searched = max(self._searched, len(window) - _STOP_BEGUN_MAX)
        return None

    def _spare_the_window(self) -> None:
        """Let go of what a header has past its limit."""
        window = self._window
        if self._overlong or len(window) - self._cursor > HEADER_LENGTH_MAX + _LINE_HEAD_MAX:
            limit = self._cursor + HEADER_LENGTH_MAX
            self._overlong = self._overlong or bytes(window[self._cursor : limit])
            self._advance(self._searched)

    def _describe(self, part: _Open, header: bytes) -> None:
        """Take what the part says of itself from its header."""
        fields: dict[bytes, bytes] = {}
        envelope_fields: dict[bytes, list[bytes]] = {}
        is_message = part.is_whole_message
        for name, value in (_MESSAGE_FIELDS if is_message else _PART_FIELDS).find(header):
            self._fields_length += len(value)
            if self._fields_length > FIELDS_LENGTH_MAX:
                break
            if name in ENVELOPE_FIELDS:
                envelope_fields.setdefault(name, []).append(value)
            else:
                fields.setdefault(name, value)
        if is_message:
            part.envelope = make_envelope(envelope_fields)
        has_type = b"content-type" in fields
        # Without one of these a message is not MIME, whatever else it says (RFC 2045 §4).
        if fields.pop(_MIME_VERSION, None) is not None or has_type or not is_message:
            part.content = parse_content(fields)
            if part.parent is None and _is_plain(part.content):
                part.content = PLAIN_TEXT
        if not has_type and _in_digest(part):
            part.content = replace(part.content, type=b"message", subtype=b"rfc822")

    def _enter(self, part: _Open, *, complete: bool) -> None:
        """Go on with what a header announces; `complete` when it ended with its empty line."""
        content = part.content
        if content.is_multipart or content.is_message:
            if part.depth + 1 >= PART_DEPTH_MAX or self._part_count >= PART_COUNT_MAX:
                part.content = replace(content, type=OPAQUE.type, subtype=OPAQUE.subtype)
            elif content.is_message:
                part.content = replace(content, type=b"message", subtype=b"rfc822")
                self._begin(part)
                return
            elif complete and (boundary := content.parameter(b"boundary")) is not None:
                part.boundary = boundary[:BOUNDARY_LENGTH_MAX]
                self._listening.append(part)
        self._state = self._in_body

    def _begin(self, parent: _Open) -> None:
        """Begin a part inside `parent` at the cursor."""
        self._part = _Open(self._origin + self._cursor, parent, parent.depth + 1)
        self._part_count += 1
        self._state = self._in_header

    # --- body -------------------------------------------------------------------------------

    def _in_body(self) -> bool:
        if not self._listening or self._part_count >= PART_COUNT_MAX:
            self._state = self._in_rest
            return True
        window = self._window
        while (newline := window.find(_DASHES, self._searched)) >= 0:
            line = self._line_head(newline + 1)
            if line is None:
                self._searched = newline
                self._advance(newline)
                return False
            if listener := self._listener(line):
                self._end_inside(listener, newline + 1)
                self._close_listeners(listener, line)
                return True
            self._searched = newline + 1
        self._advance(len(window) if self._closing else len(window) - _STOP_BEGUN_MAX)
        return False

    def _line_head(self, start: int) -> bytes | None:
        """Return what decides whether the line at `start` is a boundary; None: not here yet."""
        limit = start + _LINE_HEAD_MAX
        newline = self._window.find(b"\n", start, limit)
        if newline >= 0:
            return bytes(self._window[start : newline + 1])
        if len(self._window) < limit and not self._closing:
            return None
        return bytes(self._window[start:limit])

    def _listener(self, line: bytes) -> _Open | None:
        """Return the multipart whose boundary the line is."""
        name = line[2:].removesuffix(b"\n").removesuffix(b"\r")
        best: _Open | None = None
        for part in reversed(self._listening):
            boundary = part.boundary
            if name in (boundary, boundary + b"--"):
                return part  # "a--" inside may be a boundary, or the end of an "a" inside.
            if name.startswith(boundary) and (best is None or len(boundary) > len(best.boundary)):
                best = part
        return best

    def _end_inside(self, listener: _Open, line_start: int) -> None:
        """End the parts inside `listener` before the boundary line that begins at `line_start`.

        The line end before that line belongs to it (RFC 2046 §5.1.1), even when it is the empty line
        of a header: such a part has no body.  Two things keep it, as at Dovecot: a message whose
        own header runs into the line, and a closing line right before it.
        """
        line_offset = self._origin + line_start
        newline = line_start - 1
        before = newline - (self._window[newline - 1 : newline] == b"\r")
        end = self._origin + before
        if self._epilogue_start == line_offset:
            end = line_offset
        self._advance(newline)
        while self._part is not listener:
            part = self._part
            ran_into_line = part.header_start < line_offset == part.body_start
            part.header_start = min(part.header_start, end)
            part.body_start = min(part.body_start, end)
            self._finish(end)
            if ran_into_line:
                self._advance(line_start)
                end = line_offset
        self._advance(line_start)

    def _close_listeners(self, listener: _Open, line: bytes) -> None:
        """Forget the multiparts that a boundary line of `listener` ends."""
        closed = line.startswith(b"--", 2 + len(listener.boundary))
        index = self._listening.index(listener)
        del self._listening[index if closed else index + 1 :]
        self._state = self._in_delimiter

    def _in_delimiter(self) -> bool:
        newline = self._window.find(b"\n", self._cursor)
        if newline < 0:
            self._advance(len(self._window))
            return False
        self._advance(newline + 1)
        if self._listening and self._listening[-1] is self._part:
            self._begin(self._part)
        else:
            self._epilogue_start = self._origin + self._cursor
            self._state = self._in_body  # The epilogue.
        return True

    def _in_rest(self) -> bool:
        self._advance(len(self._window))
        return False

    # --- the tree ---------------------------------------------------------------------------

    def _finish(self, end: int) -> None:
        """End the part being read and go on with the one around it."""
        parent = self._part.parent
        assert parent is not None, "the whole message ends last"  # noqa: S101
        parent.parts.append(self._finished(self._part, end))
        self._part = parent

    def _finished(self, part: _Open, end: int) -> Part:
        return Part(
            header_start=part.header_start,
            body_start=part.body_start,
            end=end,
            lines=max(0, self._newlines - part.newlines_before),
            content=part.content,
            envelope=part.envelope,
            parts=tuple(part.parts),
        )


def scan(message: bytes | memoryview) -> Part:
    """Return the tree of a message that is here as a whole."""
    scanner = Scanner()
    with memoryview(message) as view:
        for start in range(0, len(view), _CHUNK_LENGTH):
            scanner.feed(view[start : start + _CHUNK_LENGTH])
    return scanner.close()


def _in_digest(part: _Open) -> bool:
    """Whether the part is a message when it does not say what it is (RFC 2046 §5.1.5)."""
    parent = part.parent
    return (
        parent is not None
        and parent.content.is_multipart
        and parent.content.subtype.lower() == b"digest"
    )


def _is_plain(content: Content) -> bool:
    """Whether the fields say no more than their absence would, but for the case of letters."""
    parameters = tuple((name.lower(), value.lower()) for name, value in content.parameters)
    words = (content.type.lower(), content.subtype.lower(), content.encoding.lower())
    spoken = replace(content, type=words[0], subtype=words[1], encoding=words[2], parameters=())
    return spoken == PLAIN_TEXT and parameters in ((), ((b"charset", b"us-ascii"),))
