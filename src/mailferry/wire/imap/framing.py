"""Cut a stream of IMAP octets into logical lines, both directions (RFC 9051 §2.2, §4.3; RFC 7888).

Theory of operation
===================

A logical line is one command or one response: lines of text joined by literals.  The framer only
looks at line ends and at the literal marker before them; what the text means is for others.

    feed(octets); then next_event() until it returns None; then feed again

    Line            a whole logical line: its text with the markers in place, and its literals
    LiteralStart    the text so far; then LiteralData..., LiteralEnd, and in the end the Line itself
                    with a StreamedLiteral where the data was
    LineRefused     a line broke a limit or was refused; its octets are dropped and the stream is in
                    step again

`ResponseFramer` (for a client) keeps literals aside that are small enough and streams all others.

`CommandFramer` (for a server) announces every literal with LiteralStart and then yields nothing
until it is told what to do: `keep()`, `stream()` or `refuse()`.  When the literal is a synchronising
one, the caller sends "+" after keep() or stream(), and the client sends nothing after refuse().
When it is not, the data comes in any case, and a refused one is read and dropped: answering is
kinder than closing, as a client would only send it all again.  So does a line that is too long and
ends in a non-synchronising literal lose that literal too, and not fall out of step.

    LINE ──marker──▶ DECIDE ──keep──▶ KEEP ───all here──▶ LINE
      │                 ├────stream─▶ STREAM ─all here──▶ LINE
      │                 └────refuse─▶ REFUSED (synchronising) or SKIP_LITERAL
      └──limit─▶ SKIP_LINE ◀──▶ SKIP_LITERAL, until the line is over ──▶ LineRefused, LINE

What would be dropped has a limit as well; past it RemoteProtocolError is raised, now and at every
later call: the connection has to be closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from mailferry.wire.buffer import ReceiveBuffer
from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError

CHUNK_LENGTH_MAX: Final = 64 * 1024  # Octets in one LiteralData: what a stream holds of our memory.
REFUSED_TEXT_LENGTH_MAX: Final = 1024  # Octets of a refused line that are kept: its tag and name.
MARKER_LENGTH_MAX: Final = 26  # "~{" + 20 digits + "+}" + CRLF: a 64-bit number has 20 digits.

#   literal  = "{" number64 ["+"] "}" CRLF *CHAR8                      (RFC 9051 §9)
#   literal8 = "~{" number64 "}" CRLF *OCTET
_MARKER: Final = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\Z")

# Free text may end in something that looks like a marker; only a response code can hold a literal.
_FREE_TEXT: Final = re.compile(
    rb"(?:\+(?: |\Z)|[^ ]+ (?:OK|NO|BAD|BYE|PREAUTH)(?:\Z| (?:[^\[]|\[[^\]]*\])))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FramingLimits:
    """How much one logical line may hold of our memory.  All in octets, but for the count."""

    line_length_max: int
    """Text of a logical line, markers included."""
    literal_kept_max: int
    """A literal that is kept aside; larger ones are streamed or refused."""
    literal_count_max: int
    """Literals in one logical line."""
    literals_kept_total_max: int
    """All literals of a line that are kept aside."""
    literal_streamed_count_max: int
    """Literals of a line that are streamed."""
    dropped_max: int
    """What is read and dropped to get back in step before the connection is given up."""


COMMAND_LIMITS: Final = FramingLimits(
    line_length_max=64 * 1024,  # RFC 7162 §4 asks for 8,192; mutt names hundreds of UIDs in a line.
    literal_kept_max=64 * 1024,  # Mailbox names, passwords, search words; messages are streamed.
    literal_count_max=256,  # A SEARCH with a literal in every key.
    literals_kept_total_max=256 * 1024,
    literal_streamed_count_max=128,  # Messages in one MULTIAPPEND.
    dropped_max=256 * 1024 * 1024,  # A large APPEND that was refused, LITERAL+.
)
RESPONSE_LIMITS: Final = FramingLimits(
    line_length_max=8 * 1024 * 1024,  # "* SEARCH" naming a million messages.
    literal_kept_max=64 * 1024,  # An envelope's strings; bodies are streamed.
    literal_count_max=16 * 1024,  # An envelope with thousands of names that cannot be quoted.
    literals_kept_total_max=8 * 1024 * 1024,
    literal_streamed_count_max=64,  # Large sections of one message that were asked for at once.
    dropped_max=256 * 1024 * 1024,
)


class FramingQuirk(Enum):
    """A leniency that has to be asked for."""

    BARE_LF = "lines may end in a bare LF"
    """Seen with scripts that talk IMAP through netcat; Dovecot takes it."""


class StreamedLiteral(NamedTuple):
    """Stands in a Line for a literal that went by as events."""

    length: int


Literal: TypeAlias = bytes | StreamedLiteral


class Line(NamedTuple):
    """One whole logical line.

    `text` lacks the last CRLF and holds each literal's marker with its CRLF.  The octets
    "a1 LOGIN {3}" CRLF "joe pw" CRLF become the text "a1 LOGIN {3}" CRLF " pw" and the literal "joe".
    """

    text: bytes
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """A literal of `length` octets begins; `text` ends in its marker with its CRLF."""

    text: bytes
    literals: tuple[Literal, ...]
    """Those before it."""
    length: int
    synchronising: bool
    """The other end waits for a go-ahead ("+"); without meaning in a response."""
    binary: bool
    """A literal8: may hold NUL."""


@dataclass(frozen=True, slots=True)
class LiteralData:
    """The next octets of the literal, at most CHUNK_LENGTH_MAX, at least one."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LiteralEnd:
    """The literal is complete."""


@dataclass(frozen=True, slots=True)
class LineRefused:
    """A line was dropped whole; the stream is in step after it."""

    text: bytes
    """Its first REFUSED_TEXT_LENGTH_MAX octets."""
    reason: str


FramingEvent: TypeAlias = Line | LiteralStart | LiteralData | LiteralEnd | LineRefused


class _State(Enum):
    LINE = "line"
    DECIDE = "decide"
    KEEP = "keep"
    STREAM = "stream"
    SKIP_LINE = "skip line"
    SKIP_LITERAL = "skip literal"
    REFUSED = "refused"
    FAILED = "failed"


class _Framer:
    """What both directions share."""

    def __init__(self, limits: FramingLimits, quirks: frozenset[FramingQuirk]) -> None:
        self._limits = limits
        self._terminator = b"\n" if FramingQuirk.BARE_LF in quirks else b"\r\n"
        self._buffer = ReceiveBuffer()
        self._state = _State.LINE
        self._text = bytearray()  # The logical line so far.
        self._literals: list[Literal] = []
        self._literal_length = 0  # Of the literal that is announced or under way.
        self._missing = 0  # Octets of it that are still to come.
        self._kept = bytearray()  # Its data, when it is kept.
        self._kept_total = 0
        self._streamed_count = 0
        self._refused = LineRefused(b"", "")
        self._dropped = 0
        self._steps: Final = {
            _State.LINE: self._read_line,
            _State.DECIDE: self._wait,
            _State.KEEP: self._read_kept,
            _State.STREAM: self._read_streamed,
            _State.SKIP_LINE: self._skip_line,
            _State.SKIP_LITERAL: self._skip_literal,
            _State.REFUSED: self._report_refused,
            _State.FAILED: self._fail,
        }

    def feed(self, data: bytes) -> None:
        """Take in octets; call when `next_event` has returned None."""
        self._buffer.feed(data)

    def next_event(self) -> FramingEvent | None:
        """Return the next event; None: more octets (or a decision) are needed.

        Raises:
            RemoteProtocolError: too much had to be dropped; nothing can follow.
        """
        while True:
            state = self._state
            event = self._steps[state]()
            if event is not None or self._state is state:
                return event

    def take_rest(self) -> bytes:
        """Return and drop what was fed and not yet looked at.

        It belongs to a layer that begins now (COMPRESS), or is an attack (STARTTLS).
        """
        return self._buffer.take(len(self._buffer))

    # What differs between the directions.

    def _is_marker(self, line: bytes) -> bool:
        """Whether a line that ends in what looks like a marker does announce a literal."""
        raise NotImplementedError

    def _data_follows(self, *, synchronising: bool) -> bool:
        """Whether the other end sends a literal's data though nobody asked for it."""
        raise NotImplementedError

    def _begin_literal(self, marker: re.Match[bytes]) -> FramingEvent | None:
        """Set the state that follows a marker."""
        raise NotImplementedError

    # The steps.  One returns an event, or None; None in an unchanged state asks for more octets.

    def _wait(self) -> None:
        return None

    def _read_line(self) -> FramingEvent | None:
        line = self._take_line()
        room = self._limits.line_length_max - len(self._text)
        if line is None:
            if len(self._buffer) > room + MARKER_LENGTH_MAX:
                self._drop_long(self._buffer.peek(REFUSED_TEXT_LENGTH_MAX))
            return None
        if len(line) > room:
            self._drop_long(line[:REFUSED_TEXT_LENGTH_MAX])
            return self._line_dropped(line)
        marker = _find_marker(line)
        if marker is not None and self._is_marker(line):
            self._text += line
            self._text += b"\r\n"
            self._literal_length = self._missing = int(marker[2])
            if len(self._literals) < self._limits.literal_count_max:
                return self._begin_literal(marker)
            self._refuse("too many literals", synchronising=not marker[3])
            return None
        if not self._text:
            return Line(line, ())
        self._text += line
        whole = Line(bytes(self._text), tuple(self._literals))
        self._begin_line()
        return whole

    def _read_kept(self) -> None:
        data = self._buffer.take(self._missing)
        self._kept += data
        self._missing -= len(data)
        if not self._missing:
            self._literals.append(bytes(self._kept))
            self._kept.clear()
            self._state = _State.LINE

    def _read_streamed(self) -> FramingEvent | None:
        if not self._missing:
            self._literals.append(StreamedLiteral(self._literal_length))
            self._state = _State.LINE
            return LiteralEnd()
        data = self._buffer.take(min(self._missing, CHUNK_LENGTH_MAX))
        self._missing -= len(data)
        return LiteralData(data) if data else None

    def _skip_line(self) -> FramingEvent | None:
        line = self._take_line()
        if line is not None:
            return self._line_dropped(line)
        # The last octets may be the beginning of a marker and its line end.
        self._count_dropped(self._buffer.drop(max(0, len(self._buffer) - MARKER_LENGTH_MAX)))
        return None

    def _skip_literal(self) -> None:
        dropped = self._buffer.drop(self._missing)
        self._missing -= dropped
        self._count_dropped(dropped)
        if not self._missing:
            self._state = _State.SKIP_LINE

    def _report_refused(self) -> LineRefused:
        self._begin_line()
        return self._refused

    def _fail(self) -> None:
        self._state = _State.FAILED
        raise RemoteProtocolError(self._refused.reason)

    # What the steps are made of.

    def _take_line(self) -> bytes | None:
        line = self._buffer.take_line(self._terminator)
        if line is not None and self._terminator == b"\n":
            line = line.removesuffix(b"\r")
        return line

    def _begin_line(self) -> None:
        self._text.clear()
        self._literals.clear()
        self._kept_total = 0
        self._streamed_count = 0
        self._state = _State.LINE

    def _announce(self, marker: re.Match[bytes]) -> LiteralStart:
        return LiteralStart(
            text=bytes(self._text),
            literals=tuple(self._literals),
            length=self._literal_length,
            synchronising=not marker[3],
            binary=bool(marker[1]),
        )

    def _keep(self) -> bool:
        room = self._limits.literals_kept_total_max - self._kept_total
        if self._literal_length > min(self._limits.literal_kept_max, room):
            return False
        self._kept_total += self._literal_length
        self._state = _State.KEEP
        return True

    def _stream(self) -> bool:
        if self._streamed_count >= self._limits.literal_streamed_count_max:
            return False
        self._streamed_count += 1
        self._state = _State.STREAM
        return True

    def _refuse(self, reason: str, *, synchronising: bool) -> None:
        """Give up the line because of the literal that its marker announces."""
        if self._data_follows(synchronising=synchronising):
            self._drop(reason, _State.SKIP_LITERAL)
        else:
            self._drop(reason, _State.REFUSED)

    def _drop_long(self, begin: bytes) -> None:
        """Give up a line that is too long; report what is here however its octets came in pieces."""
        self._text += begin
        del self._text[self._limits.line_length_max :]
        self._drop("the line is too long", _State.SKIP_LINE)

    def _drop(self, reason: str, state: _State) -> None:
        """Give up the current line; `state` says what comes first."""
        self._refused = LineRefused(bytes(self._text[:REFUSED_TEXT_LENGTH_MAX]), reason)
        self._text.clear()
        self._literals.clear()
        self._kept.clear()
        self._dropped = 0
        self._state = state

    def _line_dropped(self, line: bytes) -> FramingEvent | None:
        """Go on after a line of the one that was given up: its literal, or the end."""
        self._count_dropped(len(line))
        marker = _find_marker(line)
        if marker is not None and self._data_follows(synchronising=not marker[3]):
            self._missing = int(marker[2])
            self._state = _State.SKIP_LITERAL
            return None
        return self._report_refused()

    def _count_dropped(self, length: int) -> None:
        self._dropped += length
        if self._dropped + self._missing > self._limits.dropped_max:
            self._fail()


def _find_marker(line: bytes) -> re.Match[bytes] | None:
    if not line.endswith(b"}"):
        return None
    return _MARKER.search(line, max(0, len(line) - MARKER_LENGTH_MAX))


class ResponseFramer(_Framer):
    """For a client: literals that fit are kept aside, all others are streamed."""

    def __init__(
        self,
        limits: FramingLimits = RESPONSE_LIMITS,
        quirks: frozenset[FramingQuirk] = frozenset(),
    ) -> None:
        super().__init__(limits, quirks)

    def _is_marker(self, line: bytes) -> bool:
        return bool(self._text) or _FREE_TEXT.match(line) is None

    def _data_follows(self, *, synchronising: bool) -> bool:
        return True

    def _begin_literal(self, marker: re.Match[bytes]) -> FramingEvent | None:
        if self._keep():
            return None
        if self._stream():
            return self._announce(marker)
        self._refuse("too many large literals", synchronising=False)
        return None


class CommandFramer(_Framer):
    """For a server: the caller decides about each literal before its data is taken."""

    def __init__(
        self,
        limits: FramingLimits = COMMAND_LIMITS,
        quirks: frozenset[FramingQuirk] = frozenset(),
    ) -> None:
        super().__init__(limits, quirks)
        self._synchronising = False  # The announced literal is.

    def keep(self) -> bool:
        """Keep the announced literal aside; False: it does not fit and was refused instead.

        Raises:
            LocalProtocolError: no literal is announced.
        """
        self._check_announced()
        return self._keep() or self._refuse_announced("the literal is too long")

    def stream(self) -> bool:
        """Let the announced literal come by as events; False: one too many, refused instead.

        Raises:
            LocalProtocolError: no literal is announced.
        """
        self._check_announced()
        return self._stream() or self._refuse_announced("too many large literals")

    def refuse(self, reason: str) -> None:
        """Drop the whole line that has the announced literal, or the one that is being streamed.

        LineRefused with this reason follows when all of it has come.

        Raises:
            LocalProtocolError: there is no such literal.
        """
        if self._state is _State.STREAM:
            self._drop(reason, _State.SKIP_LITERAL)
            return
        self._check_announced()
        self._refuse_announced(reason)

    def _check_announced(self) -> None:
        if self._state is not _State.DECIDE:
            raise LocalProtocolError("no literal waits for a decision")

    def _refuse_announced(self, reason: str) -> bool:
        self._refuse(reason, synchronising=self._synchronising)
        return False

    def _is_marker(self, line: bytes) -> bool:
        return True

    def _data_follows(self, *, synchronising: bool) -> bool:
        return not synchronising

    def _begin_literal(self, marker: re.Match[bytes]) -> FramingEvent | None:
        self._state = _State.DECIDE
        self._synchronising = not marker[3]
        return self._announce(marker)
