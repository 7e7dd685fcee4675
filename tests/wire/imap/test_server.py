from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap.commands.append import Append, AppendedMessage
from mailferry.wire.imap.commands.mailbox import Select
from mailferry.wire.imap.commands.message import Store
from mailferry.wire.imap.commands.session import (
    Authenticate,
    Capability,
    Idle,
    Login,
    Noop,
    StartTls,
)
from mailferry.wire.imap.framing import COMMAND_LIMITS
from mailferry.wire.imap.server import (
    GO_AHEAD,
    AuthenticateCancelled,
    AuthenticateResponse,
    CommandInvalid,
    CommandReceived,
    IdleDone,
    MessageData,
    MessageEnded,
    MessageRefused,
    MessageStarted,
    SendNow,
    ServerEvent,
    ServerFlow,
)
from tests.wire.imap.feeding import for_all_cuttings


class Driver:
    """Drives a flow as a face would: begins IDLE, challenges, accepts or refuses messages."""

    def __init__(self, *, accepting: bool = True) -> None:
        self.flow = ServerFlow()
        self.accepting = accepting
        self.events: list[ServerEvent] = []
        self.sent: list[bytes] = []

    def feed(self, pieces: list[bytes]) -> list[ServerEvent]:
        for piece in pieces:
            self.flow.feed(piece)
            while (event := self.flow.next_event()) is not None:
                self.take(event)
        return self.events

    def take(self, event: ServerEvent) -> None:
        last = self.events[-1] if self.events else None
        if isinstance(event, MessageData) and isinstance(last, MessageData):
            self.events[-1] = MessageData(last.data + event.data)
        else:
            self.events.append(event)
        match event:
            case SendNow(octets):
                self.sent.append(octets)
            case MessageStarted() if self.accepting:
                self.sent.append(self.flow.accept_message())
            case MessageStarted():
                self.flow.refuse_message()
            case CommandReceived(_, Idle()):
                self.sent.append(self.flow.begin_idle())
            case CommandReceived(_, Authenticate(_, None)):
                self.sent.append(self.flow.challenge(b"who?"))
            case _:
                pass


JULY = datetime(1994, 2, 7, 21, 52, 25, tzinfo=timezone(timedelta(hours=-8)))
MESSAGE = b"Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n\r\nHello Joe\r\n"
LENGTH = len(MESSAGE)
INFO = AppendedMessage(flags=("\\Seen",), length=LENGTH)
NOOP = CommandReceived("a2", Noop())


def invalid(tag: str | None, words: str) -> CommandInvalid:
    return CommandInvalid(tag, f"{tag or '*'} BAD {words}\r\n".encode())


DIALOGUES: list[tuple[str, bytes, list[ServerEvent], list[bytes]]] = [
    (
        "pipelined commands come out one by one",
        b"a1 CAPABILITY\r\na2 NOOP\r\na1 SELECT INBOX\r\n",
        [
            CommandReceived("a1", Capability()),
            NOOP,
            CommandReceived("a1", Select(mailbox="INBOX", read_only=False)),
        ],
        [],
    ),
    (
        "RFC 9051 §4.3: synchronising literals",
        b"A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\na2 NOOP\r\n",
        [
            SendNow(GO_AHEAD),
            SendNow(GO_AHEAD),
            CommandReceived("A001", Login(b"FRED FOOBAR", b"fat man")),
            NOOP,
        ],
        [GO_AHEAD, GO_AHEAD],
    ),
    (
        "RFC 7888 §4: non-synchronising literals",
        b"A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\na2 NOOP\r\n",
        [CommandReceived("A001", Login(b"FRED FOOBAR", b"fat man")), NOOP],
        [],
    ),
    (
        "RFC 9051 §6.3.12: APPEND",
        b"A003 APPEND saved-messages (\\Seen) {%d+}\r\n%b\r\na2 NOOP\r\n" % (LENGTH, MESSAGE),
        [
            MessageStarted("A003", "saved-messages", INFO, 0),
            MessageData(MESSAGE),
            MessageEnded(),
            CommandReceived("A003", Append("saved-messages", (INFO,))),
            NOOP,
        ],
        [b""],
    ),
    (
        "APPEND to a mailbox in a literal, with a date, two messages (RFC 3502), one of them empty",
        b'a1 append {3}\r\nfoo " 7-Feb-1994 21:52:25 -0800" {5}\r\n\r\n\r\n. (\\Seen) {0}\r\n\r\n',
        [
            SendNow(GO_AHEAD),
            MessageStarted("a1", "foo", AppendedMessage(internal_date=JULY, length=5), 0),
            MessageData(b"\r\n\r\n."),
            MessageEnded(),
            MessageStarted("a1", "foo", AppendedMessage(flags=("\\Seen",), length=0), 1),
            MessageEnded(),
            CommandReceived(
                "a1",
                Append(
                    "foo",
                    (
                        AppendedMessage(internal_date=JULY, length=5),
                        AppendedMessage(flags=("\\Seen",), length=0),
                    ),
                ),
            ),
        ],
        [GO_AHEAD, GO_AHEAD, GO_AHEAD],
    ),
    (
        "a mistake behind the message: the message was taken for nothing",
        b"a1 APPEND x {2+}\r\nhi junk\r\na2 NOOP\r\n",
        [
            MessageStarted("a1", "x", AppendedMessage(length=2), 0),
            MessageData(b"hi"),
            MessageEnded(),
            invalid("a1", "a literal was expected"),
            NOOP,
        ],
        [b""],
    ),
    (
        "a mistake before a literal is refused there: synchronising",
        b"a1 FROB {5}\r\na2 NOOP\r\n",
        [invalid("a1", "unknown command FROB"), NOOP],
        [],
    ),
    (
        "a mistake before a literal: its data is skipped, and what follows it",
        b"a1 LOGIN a b {9+}\r\na9 LOGOUT c {4+}\r\n\r\n\r\n\r\na2 NOOP\r\n",
        [invalid("a1", "there is something after the end of the command"), NOOP],
        [],
    ),
    (
        "a literal that is too long to keep",
        b"a1 SELECT {70000}\r\na2 NOOP\r\n",
        [invalid("a1", "the literal is too long"), NOOP],
        [],
    ),
    (
        "no tag",
        b"\r\n{3}\r\n* NOOP\r\n+ NOOP\r\na2 NOOP\r\n",
        [
            invalid(None, "the tag is missing"),
            invalid(None, "the tag was expected"),
            invalid(None, "the tag was expected"),
            invalid(None, "the tag was expected"),
            NOOP,
        ],
        [],
    ),
    (
        "IDLE, DONE and the next command in one packet (iOS, mutt)",
        b"a1 IDLE\r\nDONE\r\na2 NOOP\r\n",
        [CommandReceived("a1", Idle()), IdleDone(), NOOP],
        [b"+ idling\r\n"],
    ),
    (
        "IDLE ended by something else",
        b"a1 IDLE\r\na9 NOOP\r\na2 NOOP\r\n",
        [CommandReceived("a1", Idle()), invalid("a1", "DONE was expected"), NOOP],
        [b"+ idling\r\n"],
    ),
    (
        "AUTHENTICATE with a challenge",
        b"a1 AUTHENTICATE PLAIN\r\nAGpvZQBwdw==\r\na2 NOOP\r\n",
        [
            CommandReceived("a1", Authenticate("PLAIN", None)),
            AuthenticateResponse(b"\0joe\0pw"),
            NOOP,
        ],
        [b"+ d2hvPw==\r\n"],
    ),
    (
        "AUTHENTICATE with an initial response (RFC 4959)",
        b"a1 authenticate plain AGpvZQBwdw==\r\na2 NOOP\r\n",
        [CommandReceived("a1", Authenticate("PLAIN", b"\0joe\0pw")), NOOP],
        [],
    ),
    (
        "AUTHENTICATE cancelled",
        b"a1 AUTHENTICATE PLAIN\r\n*\r\na2 NOOP\r\n",
        [CommandReceived("a1", Authenticate("PLAIN", None)), AuthenticateCancelled(), NOOP],
        [b"+ d2hvPw==\r\n"],
    ),
    (
        "AUTHENTICATE with nonsense",
        b"a1 AUTHENTICATE PLAIN\r\nnot base64\r\na2 NOOP\r\n",
        [CommandReceived("a1", Authenticate("PLAIN", None)), invalid("a1", "not base64"), NOOP],
        [b"+ d2hvPw==\r\n"],
    ),
    (
        "AUTHENTICATE with a literal",
        b"a1 AUTHENTICATE PLAIN\r\n{3+}\r\na b\r\na2 NOOP\r\n",
        [
            CommandReceived("a1", Authenticate("PLAIN", None)),
            invalid("a1", "a literal is out of place"),
            NOOP,
        ],
        [b"+ d2hvPw==\r\n"],
    ),
]


@pytest.mark.parametrize(
    ("octets", "events", "sent"),
    [dialogue[1:] for dialogue in DIALOGUES],
    ids=[dialogue[0] for dialogue in DIALOGUES],
)
def test_dialogues(octets: bytes, events: list[ServerEvent], sent: list[bytes]) -> None:
    def run(pieces: list[bytes]) -> tuple[list[ServerEvent], list[bytes]]:
        driver = Driver()
        driver.feed(pieces)
        return driver.events, driver.sent

    assert for_all_cuttings(octets, run) == (events, sent)


@pytest.mark.parametrize(
    ("octets", "mailbox"),
    [
        (b"a1 APPEND x {9}\r\na2 NOOP\r\n", "x"),
        (b"a1 APPEND x {9+}\r\na3 LOGOUT\r\na2 NOOP\r\n", "x"),
        (b"a1 APPEND {1+}\r\ny {9+}\r\na3 LOGOUT {2+}\r\n\r\n\r\na2 NOOP\r\n", "y"),
    ],
)
def test_refused_message(octets: bytes, mailbox: str) -> None:
    events = for_all_cuttings(octets, lambda pieces: Driver(accepting=False).feed(pieces))
    started = MessageStarted("a1", mailbox, AppendedMessage(length=9), 0)
    assert events == [started, MessageRefused("a1"), NOOP]


def test_message_given_up_in_the_middle() -> None:
    driver = Driver()
    driver.feed([b"a1 APPEND x {9}\r\n", b"1234"])
    driver.flow.refuse_message()
    driver.feed([b"56789 {3}\r\n", b"a2 NOOP\r\n"])
    assert driver.events[2:] == [MessageRefused("a1"), NOOP]


def test_nothing_comes_before_the_decision() -> None:
    flow = ServerFlow()
    flow.feed(b"a1 APPEND x {2+}\r\nhi\r\na2 NOOP\r\n")
    assert isinstance(flow.next_event(), MessageStarted)
    assert flow.next_event() is None
    assert flow.accept_message() == b""
    assert flow.next_event() == MessageData(b"hi")


def test_refused_authenticate_and_idle_leave_no_trace() -> None:
    flow = ServerFlow()
    flow.feed(b"a1 AUTHENTICATE X\r\na3 IDLE\r\na2 NOOP\r\n")
    assert [flow.next_event() for _ in range(3)] == [
        CommandReceived("a1", Authenticate("X", None)),
        CommandReceived("a3", Idle()),
        NOOP,
    ]


def test_line_too_long() -> None:
    driver = Driver()
    line = b"a1 STORE 1 FLAGS (" + b"x" * COMMAND_LIMITS.line_length_max
    driver.feed([line, b")\r\na2 NOOP\r\n"])
    assert driver.events == [invalid("a1", "the line is too long"), NOOP]


def test_line_too_long_in_the_middle_of_an_exchange() -> None:
    driver = Driver()
    driver.feed([b"a1 AUTHENTICATE PLAIN\r\n", b"A" * 100_000, b"\r\na2 NOOP\r\n"])
    assert driver.events[1:] == [invalid("a1", "the line is too long"), NOOP]


def test_long_line_within_the_limit() -> None:
    uids = b",".join(b"%d" % uid for uid in range(1, 20_000, 2))
    (event,) = Driver().feed([b"a1 UID STORE " + uids + b" +FLAGS.SILENT (\\Deleted)\r\n"])
    assert isinstance(event, CommandReceived)
    assert isinstance(event.command, Store)
    assert len(event.command.messages.parts) == 10_000


def test_too_many_messages() -> None:
    count = COMMAND_LIMITS.literal_streamed_count_max + 1
    driver = Driver()
    driver.feed([b"a1 APPEND x" + b" {1+}\r\nm" * count + b"\r\na2 NOOP\r\n"])
    assert driver.events[-2:] == [invalid("a1", "too many large literals"), NOOP]


def test_change_layer() -> None:
    flow = ServerFlow()
    flow.feed(b"a1 STARTTLS\r\na2 LOGIN mallory x\r\n")
    assert flow.next_event() == CommandReceived("a1", StartTls())
    assert flow.change_layer() == b"a2 LOGIN mallory x\r\n"
    assert flow.next_event() is None


def test_decisions_out_of_place() -> None:
    flow = ServerFlow()
    with pytest.raises(LocalProtocolError):
        flow.accept_message()
    with pytest.raises(LocalProtocolError):
        flow.refuse_message()


def test_secrets_are_not_in_reprs() -> None:
    driver = Driver()
    driver.feed([b"a1 LOGIN joe geheim\r\n", b"a2 AUTHENTICATE PLAIN AGpvZQBnZWhlaW0=\r\n"])
    driver.feed([b"a3 AUTHENTICATE PLAIN\r\nAGpvZQBnZWhlaW0=\r\n"])
    assert len(driver.events) == 4
    assert "geheim" not in repr(driver.events)


PIECES = st.sampled_from(
    b'a1 |UID |FETCH |1:*|(|)| |\r\n|{3}\r\n|{2+}\r\n|"|\\|APPEND x |SEARCH |NOT |BODY[|]|LOGIN |'
    b"IDLE|DONE|LIST |NIL".split(b"|")
)


@given(st.lists(PIECES | st.binary(max_size=5)).map(b"".join), st.booleans())
def test_any_octets_are_understood_or_refused(octets: bytes, accepting: bool) -> None:
    whole = Driver(accepting=accepting)
    apart = Driver(accepting=accepting)
    with contextlib.suppress(RemoteProtocolError):
        whole.feed([octets])
    with contextlib.suppress(RemoteProtocolError):
        apart.feed([octets[i : i + 1] for i in range(len(octets))])
    assert apart.events == whole.events
    assert apart.sent == whole.sent
