"""The client's side of an IMAP connection without I/O (RFC 9051 §2.2, §5.5, §6, §7.6).

Theory of operation
===================

    handle = flow.enqueue(command)      any number, at any time
    octets = flow.take_output()         what to send now; "" while something must be waited for
    flow.feed(octets)                   what was received
    event = flow.next_event()           until None

Commands go out in the order of enqueueing, one behind the other without waiting, except where IMAP
makes the client wait.  The one at the head of the queue is then *held*:

    GO_AHEAD    a synchronising literal, AUTHENTICATE or IDLE waits for the server's "+"
    DATA        a streamed message waits for its octets: SendData was given out, call `send_data()`
    IDLING      IDLE is on; `finish_idle()` ends it with DONE, what follows goes out with it
    COMPLETION  nothing may follow before the command is completed (LOGIN, LOGOUT ...)
    LAYER       STARTTLS or COMPRESS was answered with OK: call `change_layer()`, which gives the
                octets that already belong to the layer to come

A tagged response ends its command whatever it was held for; when it comes while a message is being
streamed, the rest of the message is sent all the same, to stay in step (RFC 7888 §4).

Only UID commands and commands whose answers cannot be mistaken are to be pipelined: with sequence
numbers an EXPUNGE in between would make them ambiguous (RFC 9051 §5.5).

Untagged responses are handed out as they come (Received); who asked for them is for the caller to
know.  Literals too long to keep are handed out piecewise when they are a message's section.

Round trips: every command carries the number of the trip it was sent in, one more than the last trip
that was completed when it left; what comes back completes its trip.  So `round_trips` is the length
of the longest chain of waiting, whatever the timing of packets.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias, assert_never

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap.client_commands import (
    AnyCommand,
    AString,
    Authenticate,
    Command,
    Idle,
    StreamedMessage,
    Waits,
)
from mailferry.wire.imap.fetch_parser import parse_fetch_before_literal
from mailferry.wire.imap.framing import (
    Line,
    LineRefused,
    LiteralData,
    LiteralEnd,
    LiteralStart,
    ResponseFramer,
)
from mailferry.wire.imap.quirks import Quirk, QuirkLog
from mailferry.wire.imap.response_parser import ResponseParser
from mailferry.wire.imap.responses import (
    Continuation,
    Fetch,
    Status,
    StatusKind,
    Tagged,
    Untagged,
)
from mailferry.wire.imap.serialize import CommandWriter, LiteralMode, Segment
from mailferry.wire.sasl_errors import SaslError

STREAMED_WITHOUT_WAITING_MAX: Final = 16 * 1024
"""Octets of a streamed message up to which a non-synchronising literal is used: for larger ones a round
trip is cheaper than a message that the server refuses."""
INITIAL_RESPONSE_LENGTH_MAX: Final = 6 * 1024
"""Octets of an initial SASL response in the command line; servers take lines of 8,192 (RFC 7162 §4)."""


@dataclass(eq=False, slots=True)
class Handle:
    """One command on its way."""

    tag: bytes
    command: AnyCommand
    sent: bool = False
    """The server may have all of it, and so may have acted on it."""
    status: Status | None = None
    """How it ended; None: not yet."""
    error: SaslError | None = None
    """Why we ended an AUTHENTICATE, or do not accept its success."""
    trip: int = 0


@dataclass(frozen=True, slots=True)
class Greeting:
    """The first thing a server says."""

    status: Status


@dataclass(frozen=True, slots=True)
class Received:
    """An untagged response."""

    response: Untagged


@dataclass(frozen=True, slots=True)
class Completed:
    """A command has ended; see its `status` and `error`."""

    handle: Handle


@dataclass(frozen=True, slots=True)
class SendData:
    """The octets of the streamed message are wanted now."""

    handle: Handle
    length: int


@dataclass(frozen=True, slots=True)
class SectionStarted:
    """A long section begins, the last one in `fetch`; its data follows, then the whole FETCH."""

    fetch: Fetch
    length: int


@dataclass(frozen=True, slots=True)
class SectionData:
    """The next octets of the section, at most CHUNK_LENGTH_MAX of framing."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SectionEnded:
    """The section is complete."""


Event: TypeAlias = (
    Greeting | Received | Completed | SendData | SectionStarted | SectionData | SectionEnded
)


class _Held(Enum):
    GO_AHEAD = "go ahead"
    DATA = "data"
    IDLING = "idling"
    COMPLETION = "completion"
    LAYER = "layer"


_Step: TypeAlias = Segment | StreamedMessage


class ClientFlow:
    """One connection to a server."""

    def __init__(self) -> None:
        self.literal_mode = LiteralMode.SYNCHRONISING
        self.sasl_ir = False
        """Whether the server takes an initial response (RFC 4959)."""
        self.round_trips = 0
        self._framer = ResponseFramer()
        self._parser = ResponseParser()
        self._greeted = False
        self._tags = 0
        self._queue: deque[Handle] = deque()
        self._outstanding: dict[bytes, Handle] = {}
        self._current: Handle | None = None  # The one whose steps are being sent.
        self._steps: deque[_Step] = deque()
        self._held: _Held | None = None
        self._data_missing = 0  # Octets of the streamed message.
        self._idle_finishing = False
        self._initial_sent = False
        self._output = bytearray()
        self._leaving: list[Handle] = []  # Those with octets in the output.
        self._ending: list[Handle] = []  # Those whose last octets are in the output.
        self._events: deque[Event] = deque()
        self._in_section = False

    @property
    def quirks(self) -> QuirkLog:
        """The server's faults that were met."""
        return self._parser.quirks

    @property
    def outstanding(self) -> Sequence[Handle]:
        """Commands that were begun and are not completed, oldest first."""
        return tuple(self._outstanding.values())

    @property
    def waiting(self) -> Sequence[Handle]:
        """Commands of which nothing was sent, in their order."""
        return tuple(self._queue)

    @property
    def busy(self) -> bool:
        """Whether a command waits to be sent or completed, IDLE aside."""
        return bool(self._queue) or any(
            not isinstance(handle.command, Idle) for handle in self._outstanding.values()
        )

    @property
    def data_missing(self) -> int:
        """Octets that `send_data` still has to give for the streamed message under way."""
        return self._data_missing if self._held is _Held.DATA else 0

    @property
    def idling(self) -> bool:
        """Whether IDLE is on and the server owes us nothing."""
        return self._held is _Held.IDLING

    # Sending

    def enqueue(self, command: AnyCommand) -> Handle:
        """Add a command behind all others."""
        self._tags += 1
        handle = Handle(b"m%d" % self._tags, command)
        self._queue.append(handle)
        return handle

    def withdraw(self, handle: Handle) -> bool:
        """Take a command back; False: it is on its way already."""
        if handle not in self._queue:
            return False
        self._queue.remove(handle)
        return True

    def take_output(self) -> bytes:
        """Return what is to be sent now."""
        self._pump()
        for handle in self._leaving:
            handle.trip = self.round_trips + 1
        for handle in self._ending:
            handle.sent = True
        self._leaving.clear()
        self._ending.clear()
        octets = bytes(self._output)
        self._output.clear()
        return octets

    def send_data(self, data: bytes) -> None:
        """Give octets of the streamed message that SendData asked for.

        Raises:
            LocalProtocolError: nobody asked, or that is more than the length that was announced.
        """
        if self._held is not _Held.DATA or len(data) > self._data_missing:
            raise LocalProtocolError("more data than was announced")
        self._output += data
        self._data_missing -= len(data)
        self._note_leaving()
        if not self._data_missing:
            self._held = None

    def finish_idle(self) -> None:
        """End IDLE, as soon as the server lets us."""
        if self._current is None or not isinstance(self._current.command, Idle):
            return
        self._idle_finishing = True
        if self._held is _Held.IDLING:
            self._output += b"DONE\r\n"
            self._note_leaving()
            self._end_of_command()

    def change_layer(self) -> bytes:
        """Go on after STARTTLS or COMPRESS; return octets received that belong to the new layer."""
        if self._held is not _Held.LAYER:
            raise LocalProtocolError("no layer to change")
        self._held = None
        return self._framer.take_rest()

    def _pump(self) -> None:
        while self._held is None:
            if self._steps:
                self._take_step(self._steps.popleft())
            elif self._current is not None:
                self._end_of_command()
            elif self._queue:
                self._begin(self._queue.popleft())
            else:
                return

    def _begin(self, handle: Handle) -> None:
        self._outstanding[handle.tag] = handle
        self._current = handle
        command = handle.command
        match command:
            case Command():
                self._steps.extend(self._written(handle.tag, command))
            case Authenticate():
                self._begin_authenticate(handle, command)
            case Idle():
                self._idle_finishing = False
                self._steps.append(Segment(handle.tag + b" IDLE\r\n", waits=True))
            case _:
                assert_never(command)

    def _written(self, tag: bytes, command: Command) -> list[_Step]:
        steps: list[_Step] = []
        writer = CommandWriter(self.literal_mode).raw(tag + b" ")
        for part in command.parts:
            match part:
                case bytes():
                    writer.raw(part)
                case AString():
                    writer.astring(part.value)
                case StreamedMessage():
                    if part.length > STREAMED_WITHOUT_WAITING_MAX:
                        steps += writer.raw(b"{%d}\r\n" % part.length).segments()
                        last = steps.pop()
                        assert isinstance(last, Segment)  # noqa: S101  `raw` was just called.
                        steps.append(Segment(last.octets, waits=True))
                    else:
                        steps += writer.literal_marker(part.length).segments()
                    steps.append(part)
                case _:
                    assert_never(part)
        steps += writer.raw(b"\r\n").segments()
        return steps

    def _begin_authenticate(self, handle: Handle, command: Authenticate) -> None:
        line = handle.tag + b" AUTHENTICATE " + command.mechanism.name.encode("ascii")
        initial = command.mechanism.initial() if self.sasl_ir else None
        self._initial_sent = False
        if initial is not None and len(initial) <= INITIAL_RESPONSE_LENGTH_MAX:
            line += b" " + (base64.b64encode(initial) or b"=")
            self._initial_sent = True
        self._steps.append(Segment(line + b"\r\n", waits=True))

    def _take_step(self, step: _Step) -> None:
        if isinstance(step, Segment):
            self._output += step.octets
            self._note_leaving()
            if step.waits:
                self._held = _Held.GO_AHEAD
            return
        if not step.length:
            return
        assert self._current is not None  # noqa: S101  steps belong to it.
        self._held = _Held.DATA
        self._data_missing = step.length
        self._events.append(SendData(self._current, step.length))

    def _note_leaving(self) -> None:
        if self._current is not None and self._current not in self._leaving:
            self._leaving.append(self._current)

    def _end_of_command(self) -> None:
        """All of the current command is sent: hold the next ones where it wants to be alone."""
        current, self._current = self._current, None
        self._held = None
        if current is None or current.status is not None:
            return
        self._ending.append(current)
        if isinstance(current.command, Command) and current.command.waits is not Waits.NOT:
            self._held = _Held.COMPLETION

    # Receiving

    def feed(self, data: bytes) -> None:
        """Take in what was received; then take the events."""
        self._framer.feed(data)

    def next_event(self) -> Event | None:
        """Return the next event; None: more octets are needed, or the layer must change first.

        Raises:
            RemoteProtocolError: the server does not keep to IMAP; the connection is of no more use.
        """
        while not self._events:
            if self._held is _Held.LAYER:
                return None
            framed = self._framer.next_event()
            match framed:
                case None:
                    return None
                case Line():
                    self._take_line(framed)
                case LiteralStart():
                    self._take_literal_start(framed)
                case LiteralData():
                    if self._in_section:
                        self._events.append(SectionData(framed.data))
                case LiteralEnd():
                    if self._in_section:
                        self._events.append(SectionEnded())
                    self._in_section = False
                case LineRefused():
                    raise RemoteProtocolError(f"a response was too long: {framed.reason}")
                case _:
                    assert_never(framed)
        return self._events.popleft()

    def _take_literal_start(self, start: LiteralStart) -> None:
        fetch = parse_fetch_before_literal(start)
        if fetch is not None:
            self._in_section = True
            self._events.append(SectionStarted(fetch, start.length))

    def _take_line(self, line: Line) -> None:
        response = self._parser.parse(line)
        if not self._greeted:
            self._greet(response)
        elif isinstance(response, Tagged):
            self._complete(response)
        elif isinstance(response, Continuation):
            self._continue(response)
        else:
            self._events.append(Received(response))

    def _greet(self, response: object) -> None:
        if not isinstance(response, Status) or response.kind not in {
            StatusKind.OK,
            StatusKind.PREAUTH,
            StatusKind.BYE,
        }:
            raise RemoteProtocolError("no greeting of an IMAP server")
        self._greeted = True
        self.round_trips = 1
        self._events.append(Greeting(response))

    def _complete(self, response: Tagged) -> None:
        handle = self._outstanding.pop(response.tag, None)
        if handle is None:
            self.quirks.note(Quirk.UNKNOWN_TAG)
            return
        handle.status = response.status
        self.round_trips = max(self.round_trips, handle.trip)
        if isinstance(handle.command, Authenticate) and response.status.ok:
            self._check_authenticated(handle, handle.command)
        self._release(handle)
        self._events.append(Completed(handle))

    def _release(self, handle: Handle) -> None:
        """Let the next commands go, unless this one changes the layer or is half sent."""
        waits = handle.command.waits if isinstance(handle.command, Command) else Waits.NOT
        if handle is self._current:
            if self._held is _Held.DATA:
                return
            self._steps.clear()
            self._end_of_command()
        elif self._held is _Held.COMPLETION and waits is not Waits.NOT:
            layer = waits is Waits.LAYER and handle.status is not None and handle.status.ok
            self._held = _Held.LAYER if layer else None

    def _check_authenticated(self, handle: Handle, command: Authenticate) -> None:
        try:
            command.mechanism.finish()
        except SaslError as error:
            handle.error = error

    def _continue(self, response: Continuation) -> None:
        current = self._current
        if current is None or self._held is not _Held.GO_AHEAD:
            self.quirks.note(Quirk.STRAY_CONTINUATION)
            return
        self.round_trips = max(self.round_trips, current.trip)
        match current.command:
            case Command():
                self._held = None
            case Authenticate():
                self._answer_challenge(current, current.command, response.text)
            case Idle():
                self._held = _Held.IDLING
                if self._idle_finishing:
                    self.finish_idle()

    def _answer_challenge(self, handle: Handle, command: Authenticate, challenge: bytes) -> None:
        try:
            initial = None if self._initial_sent else command.mechanism.initial()
            self._initial_sent = True
            if initial is None:
                initial = command.mechanism.step(base64.b64decode(challenge, validate=True))
            answer = base64.b64encode(initial)
        except (SaslError, binascii.Error) as error:
            handle.error = error if isinstance(error, SaslError) else None
            answer = b"*"  # Cancels the exchange (RFC 9051 §6.2.2).
        self._output += answer + b"\r\n"
        self._note_leaving()
