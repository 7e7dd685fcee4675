"""The server's side of an IMAP connection without I/O (RFC 9051 §2.2, §4.3, §6; RFC 7888).

Theory of operation
===================

    flow.feed(octets)                   what was received
    event = flow.next_event()           until None; then feed again

Commands come out one at a time, in the order sent, however they were packed: a client may pipeline.
So whoever drives this answers one command before asking for the next event, and stops reading
while it works: what is not read waits in the client's buffers, not in ours.

    CommandReceived     carry it out, send the tagged answer, go on
    CommandInvalid      send its `response`, go on; an APPEND that was under way is over
    SendNow             send these octets at once: the client waits for them

Three commands need more words; each is begun by the caller, who may just as well answer NO or BAD:

    IDLE            send what `begin_idle()` returns; IdleDone (or CommandInvalid) ends it, and then
                    the tagged answer is due
    AUTHENTICATE    send what `challenge()` returns; AuthenticateResponse or AuthenticateCancelled
                    (or CommandInvalid) follows; challenge again or answer
    APPEND          MessageStarted comes before the data of each message; nothing follows before
                    `accept_message()` (send what it returns) or `refuse_message()`:

        MessageStarted ──accept──▶ MessageData* ▶ MessageEnded ▶ MessageStarted | CommandReceived
              │                         │
              └──────────refuse─────────┴──▶ MessageRefused: the tagged answer is due

    A synchronising literal that is refused is never sent.  Of a non-synchronising one the data has
    to be read; MessageRefused comes when it has gone by.

    STARTTLS, COMPRESS: after the answer, `change_layer()` gives what was read too far.

All other literals are kept aside here, within limits; a command whose mistake shows before a
literal is refused at that point.  Octets that break the limits for good raise RemoteProtocolError:
say BYE and close.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from mailferry.wire.errors import LocalProtocolError
from mailferry.wire.imap.commands.append import Append, AppendedMessage
from mailferry.wire.imap.commands.parse import Command, InvalidCommand, parse_command, parse_tag
from mailferry.wire.imap.framing import (
    COMMAND_LIMITS,
    CommandFramer,
    FramingEvent,
    FramingLimits,
    FramingQuirk,
    Line,
    LineRefused,
    LiteralData,
    LiteralEnd,
    LiteralStart,
    StreamedLiteral,
)
from mailferry.wire.imap.scanner import LiteralNeeded, SyntaxFault, decode_base64

GO_AHEAD: Final = b"+ Ready for literal data\r\n"


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command."""

    tag: str
    command: Command


@dataclass(frozen=True, slots=True)
class CommandInvalid:
    """A line that is no command; it was dropped and the stream is in step."""

    tag: str | None
    response: bytes
    """To be sent as it is, with its CRLF."""


@dataclass(frozen=True, slots=True)
class SendNow:
    """The client sends no more before it has got these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """APPEND brings a message: accept or refuse it."""

    tag: str
    mailbox: str
    message: AppendedMessage
    index: int
    """0 for the first message of the command; more with MULTIAPPEND."""


@dataclass(frozen=True, slots=True)
class MessageData:
    """Its next octets, at most framing.CHUNK_LENGTH_MAX."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """It is complete; the command may still turn out to be invalid."""


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """The APPEND with the message that was refused has gone by: answer it."""

    tag: str


@dataclass(frozen=True, slots=True)
class AuthenticateResponse:
    """What the client says to the last challenge, decoded."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthenticateCancelled:
    """The client gave the exchange up ("*"): answer the command with BAD."""


@dataclass(frozen=True, slots=True)
class IdleDone:
    """The client ended IDLE: answer the command."""


ServerEvent: TypeAlias = (
    CommandReceived
    | CommandInvalid
    | SendNow
    | MessageStarted
    | MessageData
    | MessageEnded
    | MessageRefused
    | AuthenticateResponse
    | AuthenticateCancelled
    | IdleDone
)


class _Expecting(Enum):
    """What the next line is."""

    COMMAND = "a command"
    RESPONSE = "the response to a challenge"
    DONE = "DONE"


class ServerFlow:
    """One connection, as a server reads it."""

    def __init__(
        self,
        limits: FramingLimits = COMMAND_LIMITS,
        quirks: frozenset[FramingQuirk] = frozenset(),
    ) -> None:
        self._framer = CommandFramer(limits, quirks)
        self._expecting = _Expecting.COMMAND
        self._tag = ""  # Of the command that was handed out last.
        self._announced: LiteralStart | None = None  # A message that waits for a decision.
        self._streaming = False  # Octets of a message go by.
        self._message_refused = False
        self._mistake: InvalidCommand | None = None  # Why the line that goes by was refused.

    # Reading.

    def feed(self, data: bytes) -> None:
        """Take in octets; call when `next_event` has returned None."""
        self._framer.feed(data)

    def next_event(self) -> ServerEvent | None:
        """Return the next event; None: more octets are needed, or a message waits for a decision.

        Raises:
            RemoteProtocolError: the stream cannot be followed any more.
        """
        while (framed := self._framer.next_event()) is not None:
            event = self._understand(framed)
            if event is not None:
                return event
        return None

    def change_layer(self) -> bytes:
        """Return and drop what was received and not yet read.

        It belongs to the new layer and goes there, never back in here: commands behind a STARTTLS
        in the clear were put in by somebody in between (CVE-2011-0411), and break the handshake.
        """
        return self._framer.take_rest()

    # What the caller decides.

    def begin_idle(self) -> bytes:
        """Begin the IDLE that was handed out last; return what to send."""
        self._expecting = _Expecting.DONE
        return b"+ idling\r\n"

    def challenge(self, data: bytes) -> bytes:
        """Go on with the AUTHENTICATE that was handed out last; return what to send."""
        self._expecting = _Expecting.RESPONSE
        return b"+ %b\r\n" % binascii.b2a_base64(data, newline=False)

    def accept_message(self) -> bytes:
        """Let the message that was started come; return what to send, which may be nothing.

        Raises:
            LocalProtocolError: no message waits for a decision.
        """
        announced = self._announced
        if announced is None:
            raise LocalProtocolError("no message waits for a decision")
        self._announced = None
        self._streaming = self._framer.stream()
        return GO_AHEAD if self._streaming and announced.synchronising else b""

    def refuse_message(self) -> None:
        """Do not take the message that was started, or the rest of the one that is coming.

        Raises:
            LocalProtocolError: there is no such message.
        """
        if self._announced is None and not self._streaming:
            raise LocalProtocolError("no message to refuse")
        self._announced = None
        self._streaming = False
        self._message_refused = True
        self._framer.refuse("the message was refused")

    # What the framer found.

    def _understand(self, framed: FramingEvent) -> ServerEvent | None:
        match framed:
            case Line():
                return self._line(framed)
            case LiteralStart():
                return self._literal(framed)
            case LiteralData(data):
                return MessageData(data)
            case LiteralEnd():
                self._streaming = False
                return MessageEnded()
            case LineRefused():
                return self._refused(framed)

    def _line(self, line: Line) -> ServerEvent:
        expecting = self._expecting
        self._expecting = _Expecting.COMMAND
        match expecting:
            case _Expecting.COMMAND:
                return self._command(line)
            case _Expecting.DONE:
                if line.text.upper() == b"DONE":
                    return IdleDone()
                return _invalid(InvalidCommand(self._tag, "DONE was expected"))
            case _Expecting.RESPONSE:
                if line.text == b"*":
                    return AuthenticateCancelled()
                try:
                    return AuthenticateResponse(decode_base64(line.text))
                except SyntaxFault as exc:
                    return _invalid(InvalidCommand(self._tag, str(exc)))

    def _command(self, line: Line) -> ServerEvent:
        try:
            tag, command = parse_command(line.text, line.literals)
        except InvalidCommand as exc:
            return _invalid(exc)
        except LiteralNeeded:
            return _invalid(InvalidCommand(parse_tag(line.text), "a literal is out of place"))
        self._tag = tag
        return CommandReceived(tag, command)

    def _literal(self, start: LiteralStart) -> ServerEvent | None:
        """Decide about a literal: kept if a string, offered if a message, refused if a mistake."""
        if self._expecting is not _Expecting.COMMAND:
            self._framer.refuse("a literal is out of place")
            return None
        # Up to here the line must be a command in the making, and its next word this literal.  It is
        # enough to look at a command's first string: the whole line is parsed in the end.
        if start.literals and not _is_append(start.text):
            return self._keep(start)
        try:
            tag, command = parse_command(
                start.text, (*start.literals, StreamedLiteral(start.length))
            )
        except LiteralNeeded:
            return self._keep(start)
        except InvalidCommand as exc:
            self._mistake = exc
            self._framer.refuse(exc.words)
            return None
        if not isinstance(command, Append):
            raise LocalProtocolError("a command ends in a literal that nothing has read")
        self._announced = start
        self._tag = tag
        return MessageStarted(tag, command.mailbox, command.messages[-1], len(command.messages) - 1)

    def _keep(self, start: LiteralStart) -> ServerEvent | None:
        return SendNow(GO_AHEAD) if self._framer.keep() and start.synchronising else None

    def _refused(self, refused: LineRefused) -> ServerEvent:
        mistake, self._mistake = self._mistake, None
        message_refused, self._message_refused = self._message_refused, False
        expecting, self._expecting = self._expecting, _Expecting.COMMAND
        self._streaming = False
        if message_refused:
            return MessageRefused(self._tag)
        if mistake is not None:
            return _invalid(mistake)
        tag = parse_tag(refused.text) if expecting is _Expecting.COMMAND else self._tag
        return _invalid(InvalidCommand(tag, refused.reason))


def _is_append(text: bytes) -> bool:
    words = text.split(b" ", 2)
    return len(words) > 1 and words[1].upper() == b"APPEND"


def _invalid(mistake: InvalidCommand) -> CommandInvalid:
    return CommandInvalid(mistake.tag, mistake.response)
