"""Write IMAP's basic values (RFC 9051 §4, §9), for both directions.

The functions return octets to be joined; strings that cannot be quoted go out as literals in place,
which is all that a server needs.  A client has to wait for "+" after a literal's marker unless the
server takes non-synchronising ones: `CommandWriter` cuts a command at those places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from mailferry.wire.errors import LocalProtocolError

QUOTED_LENGTH_MAX: Final = (
    1024  # Octets: servers with small line buffers; longer ones go as literals.
)
LITERAL_MINUS_LENGTH_MAX: Final = 4096  # Octets (RFC 7888 §5).

#   ATOM-CHAR    = any CHAR except "(" ")" "{" SP CTL "%" "*" DQUOTE "\" "]"
#   ASTRING-CHAR = ATOM-CHAR / "]"
_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+\Z")
_ASTRING: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+\Z")
#   QUOTED-CHAR = any TEXT-CHAR except DQUOTE and "\" / "\" (DQUOTE / "\")      (7 bit; no NUL, CR, LF)
_PLAIN: Final = re.compile(rb"[^\x00\r\n\x80-\xff\"\\]*\Z")
_QUOTABLE: Final = re.compile(rb"[^\x00\r\n\x80-\xff]*\Z")
_TO_ESCAPE: Final = re.compile(rb'(["\\])')


def is_atom(value: bytes) -> bool:
    """Whether the octets may stand as an atom."""
    return _ATOM.match(value) is not None


def atom(value: bytes) -> bytes:
    """Return the octets as an atom.

    Raises:
        LocalProtocolError: they are not one.
    """
    if not is_atom(value):
        raise LocalProtocolError("not an atom")
    return value


def is_quotable(value: bytes) -> bool:
    """Whether the octets may stand in a quoted string that is not too long."""
    return len(value) <= QUOTED_LENGTH_MAX and _QUOTABLE.match(value) is not None


def quoted(value: bytes) -> bytes:
    """Return the octets as a quoted string.

    Raises:
        LocalProtocolError: they are not quotable.
    """
    if not is_quotable(value):
        raise LocalProtocolError("cannot be quoted")
    if _PLAIN.match(value) is None:
        value = _TO_ESCAPE.sub(rb"\\\1", value)
    return b'"%b"' % value


def literal(value: bytes) -> bytes:
    """Return the octets as a literal in place, with its marker.

    NUL, which no string may hold (RFC 9051 §4.3), goes out as 0x80, as Dovecot does it.
    """
    return b"{%d}\r\n%b" % (len(value), value.replace(b"\0", b"\x80"))


def literal_marker(length: int) -> bytes:
    """Return what goes before a literal whose data follows as a stream (from a server)."""
    return b"{%d}\r\n" % length


def string(value: bytes) -> bytes:
    """Return a quoted string where that can be, else a literal."""
    return quoted(value) if is_quotable(value) else literal(value)


def nstring(value: bytes | None) -> bytes:
    """Return a string, or NIL for None."""
    return b"NIL" if value is None else string(value)


def is_bare_astring(value: bytes) -> bool:
    """Whether the octets may stand as an astring without quotes.

    NIL, in any case, is quoted: many read it as no value.
    """
    return _ASTRING.match(value) is not None and value.upper() != b"NIL"


def astring(value: bytes) -> bytes:
    """Return an atom where that can be, else a string."""
    return value if is_bare_astring(value) else string(value)


def parenthesised(items: Iterable[bytes]) -> bytes:
    """Return the items, already written, as a list."""
    return b"(%b)" % b" ".join(items)


def flag_list(flags: Iterable[str]) -> bytes:
    r"""Return flags and keywords as a list, in the order given; `\*` is one (PERMANENTFLAGS).

    Raises:
        LocalProtocolError: one is not a flag.
    """
    return parenthesised(map(flag, flags))


def flag(name: str) -> bytes:
    r"""Return one flag (`\Seen`), keyword, or `\*`.

    Raises:
        LocalProtocolError: it is not a flag.
    """
    if name == "\\*":
        return b"\\*"
    # Octets above 127 end in an atom that is refused, not in an error of encoding.
    octets = name.encode("utf-8", "surrogateescape")
    return b"\\" + atom(octets[1:]) if octets.startswith(b"\\") else atom(octets)


class LiteralMode(Enum):
    """How a client may send literals to this server (RFC 7888)."""

    SYNCHRONISING = "wait for the server before each"
    MINUS = "LITERAL-: short ones without waiting"
    PLUS = "LITERAL+: all without waiting"


@dataclass(frozen=True, slots=True)
class Segment:
    """Octets to send; when `waits`, what follows has to wait for the server's "+"."""

    octets: bytes
    waits: bool = False


class CommandWriter:
    """Puts a client's command together, cut where the client must wait.

        writer = CommandWriter(LiteralMode.SYNCHRONISING)
        writer.raw(b"a1 LOGIN ").astring(b"joe").raw(b" ").astring(password)
        writer.segments()    # each but the last ends in a marker and waits

    A message is streamed: `raw(b" ").literal_marker(size)`, then the segments, then the data, then
    what `segments()` gives next.
    """

    def __init__(self, mode: LiteralMode) -> None:
        self._mode = mode
        self._pending = bytearray()
        self._segments: list[Segment] = []

    def raw(self, octets: bytes) -> Self:
        """Add octets that are written already and hold no literal."""
        self._pending += octets
        return self

    def astring(self, value: bytes) -> Self:
        """Add an atom, quoted string or literal."""
        return self.raw(value) if is_bare_astring(value) else self.string(value)

    def string(self, value: bytes) -> Self:
        """Add a quoted string or literal.

        Raises:
            LocalProtocolError: it holds NUL.
        """
        if is_quotable(value):
            return self.raw(quoted(value))
        if b"\0" in value:
            raise LocalProtocolError("NUL in a string")
        return self.literal_marker(len(value)).raw(value)

    def literal_marker(self, length: int) -> Self:
        """Add a literal's marker; the next octets added, or streamed, are its data."""
        if self._goes_on(length):
            return self.raw(b"{%d+}\r\n" % length)
        self.raw(b"{%d}\r\n" % length)
        self._segments.append(Segment(bytes(self._pending), waits=True))
        self._pending.clear()
        return self

    def segments(self) -> list[Segment]:
        """Return and forget what was added so far; no empty segments."""
        if self._pending:
            self._segments.append(Segment(bytes(self._pending)))
            self._pending.clear()
        segments = self._segments
        self._segments = []
        return segments

    def _goes_on(self, length: int) -> bool:
        match self._mode:
            case LiteralMode.SYNCHRONISING:
                return False
            case LiteralMode.MINUS:
                return length <= LITERAL_MINUS_LENGTH_MAX
            case LiteralMode.PLUS:
                return True
