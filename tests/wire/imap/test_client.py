"""Conversations of a client with a server, word by word."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.client import (
    ClientFlow,
    Completed,
    Event,
    Greeting,
    Handle,
    Received,
    SectionData,
    SectionEnded,
    SectionStarted,
    SendData,
)
from mailferry.wire.imap.client_commands import Authenticate, Idle
from mailferry.wire.imap.quirks import Quirk
from mailferry.wire.imap.responses import Exists, Fetch, FetchedSection, Status, StatusKind
from mailferry.wire.imap.serialize import LiteralMode
from mailferry.wire.sasl import AccessToken, Login, Password, Plain, ScramSha256, XOAuth2

GREETING = b"* OK ready\r\n"


@dataclass
class Conversation:
    """A flow whose every word is checked."""

    flow: ClientFlow = field(default_factory=ClientFlow)
    events: list[Event] = field(default_factory=list)
    bytewise: bool = False

    def server(self, octets: bytes) -> None:
        for piece in [octets[i : i + 1] for i in range(len(octets))] if self.bytewise else [octets]:
            self.flow.feed(piece)
            self._take_events()

    def client(self, expected: bytes) -> None:
        assert self.flow.take_output() == expected
        self._take_events()

    def _take_events(self) -> None:
        while (event := self.flow.next_event()) is not None:
            self.events.append(event)

    def completed(self) -> list[Handle]:
        return [event.handle for event in self.events if isinstance(event, Completed)]


@pytest.fixture(params=[False, True], ids=["whole", "bytewise"])
def talk(request: pytest.FixtureRequest) -> Conversation:
    conversation = Conversation(bytewise=request.param)
    conversation.server(GREETING)
    assert conversation.events.pop() == Greeting(Status(StatusKind.OK, "ready"))
    return conversation


def test_commands_go_out_without_waiting(talk: Conversation) -> None:
    first, second = talk.flow.enqueue(commands.NOOP), talk.flow.enqueue(commands.NAMESPACE)
    talk.client(b"m1 NOOP\r\nm2 NAMESPACE\r\n")
    assert talk.flow.outstanding == (first, second)
    talk.server(b"* 3 EXISTS\r\nm1 OK done\r\nm2 NO [CANNOT] no\r\n")
    assert talk.events[0] == Received(Exists(3))
    assert talk.completed() == [first, second]
    assert first.status == Status(StatusKind.OK, "done")
    assert second.status is not None
    assert second.status.code_name == "CANNOT"
    assert not talk.flow.outstanding


def test_round_trips_are_the_longest_chain_of_waiting(talk: Conversation) -> None:
    assert talk.flow.round_trips == 1  # The greeting.
    for _ in range(5):
        talk.flow.enqueue(commands.NOOP)
    talk.flow.take_output()
    talk.server(b"m1 OK\r\nm2 OK\r\n")
    assert talk.flow.round_trips == 2
    talk.flow.enqueue(commands.NOOP)
    talk.flow.take_output()
    talk.server(b"m3 OK\r\nm4 OK\r\nm5 OK\r\n")
    assert talk.flow.round_trips == 2
    talk.server(b"m6 OK\r\n")
    assert talk.flow.round_trips == 3


def test_a_command_is_taken_back_only_before_it_is_sent(talk: Conversation) -> None:
    sent = talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 NOOP\r\n")
    waiting = talk.flow.enqueue(commands.UNSELECT)
    assert not talk.flow.withdraw(sent)
    assert talk.flow.withdraw(waiting)
    talk.client(b"")


def test_a_synchronising_literal_waits(talk: Conversation) -> None:
    talk.flow.enqueue(commands.login("jürgen".encode(), b'a"b'))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 LOGIN {7}\r\n")
    talk.server(b"+ go\r\n")
    talk.client(b'j\xc3\xbcrgen "a\\"b"\r\n')  # LOGIN wants to be alone.
    talk.server(b"m1 OK in\r\n")
    talk.client(b"m2 NOOP\r\n")
    assert talk.flow.round_trips == 3


def test_a_refused_literal_is_not_sent(talk: Conversation) -> None:
    talk.flow.enqueue(commands.create(b"\xff"))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 CREATE {1}\r\n")
    talk.server(b"m1 NO not that\r\n")
    talk.client(b"m2 NOOP\r\n")


def test_literal_plus_does_not_wait(talk: Conversation) -> None:
    talk.flow.literal_mode = LiteralMode.PLUS
    talk.flow.enqueue(commands.create(b"\xff"))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 CREATE {1+}\r\n\xff\r\nm2 NOOP\r\n")


def test_a_message_is_streamed(talk: Conversation) -> None:
    handle = talk.flow.enqueue(commands.append(b"INBOX", 5, flags=["\\Seen"]))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 APPEND INBOX (\\Seen) {5}\r\n")
    assert not talk.events
    talk.server(b"+ \r\n")
    talk.client(b"")
    assert talk.events.pop() == SendData(handle, 5)
    talk.flow.send_data(b"abc")
    talk.client(b"abc")
    assert not handle.sent
    with pytest.raises(LocalProtocolError):
        talk.flow.send_data(b"too much")
    talk.flow.send_data(b"de")
    talk.client(b"de\r\nm2 NOOP\r\n")
    assert handle.sent
    talk.server(b"m1 OK [APPENDUID 1 2] done\r\n")
    assert talk.completed() == [handle]


def test_a_message_refused_half_way_is_sent_to_its_end(talk: Conversation) -> None:
    talk.flow.literal_mode = LiteralMode.PLUS
    handle = talk.flow.enqueue(commands.append(b"INBOX", 5))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 APPEND INBOX () {5+}\r\n")
    talk.flow.send_data(b"abc")
    talk.client(b"abc")
    talk.server(b"m1 NO [OVERQUOTA] full\r\n")
    assert talk.completed() == [handle]
    talk.client(b"")
    talk.flow.send_data(b"de")
    talk.client(b"de\r\nm2 NOOP\r\n")


def test_a_large_message_waits_even_where_it_need_not(talk: Conversation) -> None:
    talk.flow.literal_mode = LiteralMode.PLUS
    talk.flow.enqueue(commands.append(b"INBOX", 1_000_000))
    talk.client(b"m1 APPEND INBOX () {1000000}\r\n")


def test_an_empty_message_wants_no_data(talk: Conversation) -> None:
    talk.flow.literal_mode = LiteralMode.PLUS
    talk.flow.enqueue(commands.append(b"INBOX", 0))
    talk.client(b"m1 APPEND INBOX () {0+}\r\n\r\n")


def test_authenticate_with_initial_response(talk: Conversation) -> None:
    talk.flow.sasl_ir = True
    handle = talk.flow.enqueue(Authenticate(Plain(Password("u", "p"))))
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 AUTHENTICATE PLAIN AHUAcA==\r\n")
    talk.server(b"m1 OK in\r\n")
    talk.client(b"m2 NOOP\r\n")
    assert talk.completed() == [handle]
    assert handle.error is None
    assert talk.flow.round_trips == 2


def test_authenticate_without_initial_response(talk: Conversation) -> None:
    talk.flow.enqueue(Authenticate(Plain(Password("u", "p"))))
    talk.client(b"m1 AUTHENTICATE PLAIN\r\n")
    talk.server(b"+ \r\n")
    talk.client(b"AHUAcA==\r\n")
    talk.server(b"m1 OK in\r\n")
    assert talk.flow.round_trips == 3


def test_authenticate_login_asks_twice(talk: Conversation) -> None:
    talk.flow.sasl_ir = True
    talk.flow.enqueue(Authenticate(Login(Password("u", "p"))))
    talk.client(b"m1 AUTHENTICATE LOGIN\r\n")
    talk.server(b"+ VXNlcm5hbWU6\r\n")
    talk.client(b"dQ==\r\n")
    talk.server(b"+ UGFzc3dvcmQ6\r\n")
    talk.client(b"cA==\r\n")


def test_a_server_that_does_not_prove_itself_is_not_believed(talk: Conversation) -> None:
    talk.flow.sasl_ir = True
    handle = talk.flow.enqueue(Authenticate(ScramSha256(Password("u", "p"), nonce="x")))
    talk.client(b"m1 AUTHENTICATE SCRAM-SHA-256 biwsbj11LHI9eA==\r\n")
    talk.server(b"m1 OK in\r\n")
    assert talk.completed() == [handle]
    assert handle.error is not None


@pytest.mark.parametrize("challenge", [b"?", b"bm9uc2Vuc2U="])
def test_a_wrong_challenge_cancels(talk: Conversation, challenge: bytes) -> None:
    talk.flow.sasl_ir = True
    talk.flow.enqueue(Authenticate(ScramSha256(Password("u", "p"), nonce="x")))
    talk.flow.take_output()
    talk.server(b"+ " + challenge + b"\r\n")
    talk.client(b"*\r\n")
    talk.server(b"m1 BAD cancelled\r\n")
    assert len(talk.completed()) == 1


def test_a_refused_token_is_explained(talk: Conversation) -> None:
    talk.flow.sasl_ir = True
    mechanism = XOAuth2(AccessToken("u", "t"))
    talk.flow.enqueue(Authenticate(mechanism))
    talk.flow.take_output()
    talk.server(b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n")
    talk.client(b"\r\n")
    talk.server(b"m1 NO failed\r\n")
    assert mechanism.server_error == "400"


def test_idle_ends_with_what_follows_in_one_go(talk: Conversation) -> None:
    idle = talk.flow.enqueue(Idle())
    talk.client(b"m1 IDLE\r\n")
    talk.server(b"+ idling\r\n* 4 EXISTS\r\n")
    assert not talk.flow.busy
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"")
    talk.flow.finish_idle()
    talk.client(b"DONE\r\nm2 NOOP\r\n")
    talk.server(b"m1 OK done\r\nm2 OK done\r\n")
    assert talk.events[0] == Received(Exists(4))
    assert talk.completed()[0] is idle


def test_idle_is_not_ended_before_the_server_is_idling(talk: Conversation) -> None:
    talk.flow.enqueue(Idle())
    talk.client(b"m1 IDLE\r\n")
    talk.flow.finish_idle()
    talk.client(b"")
    talk.server(b"* 4 EXISTS\r\n")  # Seen with Microsoft's servers: data before the "+".
    talk.client(b"")
    talk.server(b"+ idling\r\n")
    talk.client(b"DONE\r\n")


def test_idle_refused(talk: Conversation) -> None:
    talk.flow.enqueue(Idle())
    talk.flow.enqueue(commands.NOOP)
    talk.client(b"m1 IDLE\r\n")
    talk.server(b"m1 BAD unknown\r\n")
    talk.client(b"m2 NOOP\r\n")


def test_finish_idle_without_idle_does_nothing(talk: Conversation) -> None:
    talk.flow.finish_idle()
    talk.client(b"")


@pytest.mark.parametrize(
    ("command", "line"),
    [(commands.STARTTLS, b"m1 STARTTLS\r\n"), (commands.COMPRESS, b"m1 COMPRESS DEFLATE\r\n")],
)
def test_what_follows_belongs_to_another_layer(command: commands.Command, line: bytes) -> None:
    talk = Conversation()
    talk.server(GREETING)
    talk.flow.enqueue(command)
    talk.flow.enqueue(commands.NOOP)
    talk.client(line)
    talk.server(b"m1 OK begin\r\n* 1 EXISTS\r\n")
    talk.client(b"")
    assert len(talk.completed()) == 1
    assert talk.flow.change_layer() == b"* 1 EXISTS\r\n"
    talk.client(b"m2 NOOP\r\n")


def test_a_refused_layer_changes_nothing(talk: Conversation) -> None:
    talk.flow.enqueue(commands.STARTTLS)
    talk.flow.enqueue(commands.NOOP)
    talk.flow.take_output()
    talk.server(b"m1 NO not now\r\n")
    talk.client(b"m2 NOOP\r\n")
    with pytest.raises(LocalProtocolError):
        talk.flow.change_layer()


def test_a_long_section_comes_piecewise() -> None:
    talk = Conversation()
    talk.server(GREETING)
    talk.flow.enqueue(commands.uid_fetch(b"7", "BODY.PEEK[]<0.262144>"))
    talk.client(b"m1 UID FETCH 7 BODY.PEEK[]<0.262144>\r\n")
    octets = bytes(range(256)) * 400
    talk.events.clear()
    talk.server(b"* 3 FETCH (UID 7 BODY[]<0> {%d}\r\n" % len(octets) + octets + b")\r\nm1 OK x\r\n")
    started, *pieces, ended, received, completed = talk.events
    assert isinstance(started, SectionStarted)
    assert started.fetch.uid == 7
    assert started.length == len(octets)
    data = [piece.data for piece in pieces if isinstance(piece, SectionData)]
    assert b"".join(data) == octets
    assert max(map(len, data)) <= 65536
    assert ended == SectionEnded()
    assert isinstance(received, Received)
    assert isinstance(received.response, Fetch)
    assert isinstance(completed, Completed)


def test_a_short_section_comes_whole(talk: Conversation) -> None:
    talk.server(b"* 3 FETCH (UID 7 BODY[TEXT] {5}\r\nhello)\r\n")
    assert talk.events == [
        Received(Fetch(sequence=3, uid=7, sections=(FetchedSection("TEXT", None, b"hello"),)))
    ]


def test_a_long_literal_that_is_no_section_is_skipped() -> None:
    talk = Conversation()
    talk.server(GREETING)
    talk.events.clear()
    text = b"x" * 100_000
    talk.server(b"* 1 FETCH (ENVELOPE (NIL {%d}\r\n" % len(text) + text)
    talk.server(b" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n")
    [event] = talk.events
    assert isinstance(event, Received)
    assert isinstance(event.response, Fetch)
    assert event.response.envelope == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def test_faults_that_do_not_matter_are_noted(talk: Conversation) -> None:
    talk.server(b"m99 OK who?\r\n+ go on\r\n")
    assert talk.flow.quirks.met == {Quirk.UNKNOWN_TAG, Quirk.STRAY_CONTINUATION}


@pytest.mark.parametrize(
    "octets",
    [b"HTTP/1.1 400 Bad Request\r\n", b"* NO way\r\n", b"220 mail ESMTP\r\n", b"* 1 EXISTS\r\n"],
)
def test_what_is_no_greeting(octets: bytes) -> None:
    talk = Conversation()
    with pytest.raises(RemoteProtocolError):
        talk.server(octets)


def test_secrets_do_not_show() -> None:
    flow = ClientFlow()
    for command in (
        commands.login(b"user", b"pencil"),
        Authenticate(Plain(Password("user", "pencil"))),
    ):
        assert "pencil" not in repr(flow.enqueue(command))


COMMANDS = [
    (commands.enable(["QRESYNC", "CONDSTORE"]), b"ENABLE CONDSTORE QRESYNC"),
    (commands.identify({"name": "x"}), b'ID ("name" "x")'),
    (commands.list_mailboxes(), b'LIST "" "*"'),
    (
        commands.list_mailboxes(["SUBSCRIBED"], ["MESSAGES", "UIDNEXT"]),
        b'LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT))',
    ),
    (commands.LSUB, b'LSUB "" "*"'),
    (commands.status(b"x", ["MESSAGES"]), b"STATUS x (MESSAGES)"),
    (commands.select(b"a b"), b'SELECT "a b"'),
    (commands.select_condstore(b"x"), b"SELECT x (CONDSTORE)"),
    (commands.select_qresync(b"x", 5, 9), b"SELECT x (QRESYNC (5 9))"),
    (commands.create(b"x", "\\Sent"), b"CREATE x (USE (\\Sent))"),
    (commands.delete(b"x"), b"DELETE x"),
    (commands.rename(b"x", b"y"), b"RENAME x y"),
    (commands.subscribe(b"x"), b"SUBSCRIBE x"),
    (commands.unsubscribe(b"x"), b"UNSUBSCRIBE x"),
    (commands.fetch(b"1:*", "(UID)"), b"FETCH 1:* (UID)"),
    (commands.uid_fetch(b"1", "(FLAGS)", changed_since=7), b"UID FETCH 1 (FLAGS) (CHANGEDSINCE 7)"),
    (commands.uid_store(b"1:2", add=["\\Seen", "k"]), b"UID STORE 1:2 +FLAGS.SILENT (\\Seen k)"),
    (commands.uid_store(b"1", remove=["k"]), b"UID STORE 1 -FLAGS.SILENT (k)"),
    (commands.uid_copy(b"1", b"x"), b"UID COPY 1 x"),
    (commands.uid_move(b"1", b"x"), b"UID MOVE 1 x"),
    (commands.uid_expunge(b"1"), b"UID EXPUNGE 1"),
    (
        commands.uid_search([b"TEXT ", commands.AString(b"a b")], charset="UTF-8", extended=True),
        b'UID SEARCH RETURN (ALL) CHARSET UTF-8 TEXT "a b"',
    ),
]


@pytest.mark.parametrize(("command", "expected"), COMMANDS, ids=lambda v: str(v)[:30])
def test_how_commands_are_written(command: commands.Command, expected: bytes) -> None:
    flow = ClientFlow()
    flow.enqueue(command)
    assert flow.take_output() == b"m1 " + expected + b"\r\n"
    words = expected.split()
    assert command.name.encode() == b" ".join(words[: 2 if words[0] == b"UID" else 1])
