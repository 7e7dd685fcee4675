"""The words of structured header fields (RFC 5322 §3.2, RFC 2045 §5.1), read leniently.

Foreign mail breaks the grammar in every way.  Who reads here never raises at what it finds but
takes what can be taken: `Unterminated` is raised for the only thing that leaves nothing to go on
with, a comment, quoted string or domain literal that has no end.
"""

from __future__ import annotations

import re
from typing import Final

#   atext = ALPHA / DIGIT / "!" / "#" / "$" / ... ; any character but controls, space and specials
# and any 8-bit octet, because raw UTF-8 and legacy charsets are common.
_ATEXT: Final = rb"!#$%&'*+\-/0-9=?A-Z^_`a-z{|}~\x80-\xff"
ATOM: Final = re.compile(rb"[" + _ATEXT + rb"]+")
DOTTED: Final = re.compile(rb"[" + _ATEXT + rb".]+")
#   token = 1*<any CHAR except SPACE, CTLs, or tspecials>                     (RFC 2045 §5.1)
TOKEN: Final = re.compile(rb"[!#$%&'*+\-0-9A-Z^_`a-z{|}~\x80-\xff.]+")
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_COMMENT_STOP: Final = re.compile(rb"[()\\]")
_QUOTED: Final = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_LITERAL: Final = re.compile(rb"\[[^\]\\]*(?:\\.[^\]\\]*)*\]", re.DOTALL)
_ESCAPE_OR_FOLD: Final = re.compile(rb"\\(.)|\r?\n", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)


class Unterminated(ValueError):
    """A comment, quoted string or domain literal goes on past the end of the field."""


class Lexer:
    """A cursor over the value of one header field."""

    __slots__ = ("comment", "data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.comment = b""
        """The last comment that was skipped, without its parentheses and escapes."""

    @property
    def next(self) -> bytes:
        """The octet at the cursor; empty at the end."""
        return self.data[self.position : self.position + 1]

    def skip(self) -> None:
        """Go past white space and comments (CFWS).

        Raises:
            Unterminated: a comment has no end; the cursor is at the end of the field.
        """
        data = self.data
        while True:
            space = _SPACE.match(data, self.position)
            if space is not None:
                self.position = space.end()
            if not data.startswith(b"(", self.position):
                return
            self._skip_comment()

    def accept(self, octet: bytes) -> bool:
        """Go past `octet` when it is next; say whether it was."""
        if self.next != octet:
            return False
        self.position += 1
        return True

    def take(self, words: re.Pattern[bytes]) -> bytes:
        """Read what matches here, possibly nothing."""
        match = words.match(self.data, self.position)
        if match is None:
            return b""
        self.position = match.end()
        return match[0]

    def quoted_string(self) -> bytes:
        """Read a quoted string and return its content, unescaped and unfolded."""
        raw = self._enclosed(_QUOTED)[1:-1]
        if b"\\" in raw or b"\n" in raw:
            return _ESCAPE_OR_FOLD.sub(lambda match: match[1] or b"", raw)
        return raw

    def domain_literal(self) -> bytes:
        """Read a domain literal and return it as it stands, with its brackets."""
        return self._enclosed(_LITERAL)

    def _enclosed(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.data, self.position)
        if match is None:
            self.position = len(self.data)
            raise Unterminated
        self.position = match.end()
        return match[0]

    def _skip_comment(self) -> None:
        """Go past one comment, which may hold others; remember what it says."""
        start = position = self.position + 1
        depth = 1
        while depth:
            stop = _COMMENT_STOP.search(self.data, position)
            if stop is None:
                self.position = len(self.data)
                raise Unterminated
            position = stop.end()
            if stop[0] == b"\\":
                position += 1
            else:
                depth += 1 if stop[0] == b"(" else -1
        self.comment = _ESCAPE.sub(rb"\1", self.data[start : position - 1])
        self.position = position
