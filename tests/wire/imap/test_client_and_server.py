"""Our client and our server talk to each other: what one writes, the other has to understand."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from mailferry.wire.imap import client_commands, sequence_set
from mailferry.wire.imap.client import ClientFlow, Completed
from mailferry.wire.imap.client_commands import AString
from mailferry.wire.imap.commands.append import Append, AppendedMessage
from mailferry.wire.imap.commands.listing import List, ListReturn
from mailferry.wire.imap.commands.mailbox import (
    Create,
    Delete,
    Qresync,
    Rename,
    Select,
    Status,
    StatusItem,
    Subscribe,
    Unsubscribe,
)
from mailferry.wire.imap.commands.message import Copy, Expunge, Move, Store, StoreAction
from mailferry.wire.imap.commands.parse import Command
from mailferry.wire.imap.commands.search import AllOf, HeaderKey, Search, SearchReturn, TextKey
from mailferry.wire.imap.commands.session import Capability, Enable, Id, Idle, Login, Logout
from mailferry.wire.imap.framing import CHUNK_LENGTH_MAX
from mailferry.wire.imap.mailbox_name import encode
from mailferry.wire.imap.serialize import LiteralMode
from mailferry.wire.imap.server import (
    CommandReceived,
    IdleDone,
    MessageData,
    MessageEnded,
    MessageStarted,
    SendNow,
    ServerEvent,
    ServerFlow,
)

ODD = encode('a"b\\c *%{3}\r\n台北')
UIDS = b"1:3,7"
UID_SET = sequence_set.parse(UIDS)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Dialogue:
    """A client and a server in one place; `chunk` octets go over at a time."""

    mode: LiteralMode
    chunk: int
    client: ClientFlow = field(default_factory=ClientFlow)
    server: ServerFlow = field(default_factory=ServerFlow)
    received: list[Command] = field(default_factory=list)
    completed: int = 0
    message_octets: int = 0

    def run(self) -> None:
        """Go on until nobody has anything to say."""
        self.client.literal_mode = self.mode
        answer = b"* OK hello\r\n"
        while True:
            self.client.feed(answer)
            self.take_client_events()
            octets = self.client.take_output()
            self.take_client_events()
            if not octets and not self.client.data_missing:
                return
            if not octets:
                self.client.send_data(b"m" * min(self.client.data_missing, CHUNK_LENGTH_MAX))
                octets = self.client.take_output()
            answer = b"".join(
                self.answer(octets[at : at + self.chunk])
                for at in range(0, len(octets), self.chunk)
            )

    def answer(self, octets: bytes) -> bytes:
        self.server.feed(octets)
        answers = []
        while (event := self.server.next_event()) is not None:
            answers.append(self.answer_event(event))
        return b"".join(answers)

    def answer_event(self, event: ServerEvent) -> bytes:
        match event:
            case SendNow(answer):
                return answer
            case MessageStarted():
                return self.server.accept_message()
            case MessageData(data):
                self.message_octets += len(data)
                return b""
            case MessageEnded():
                return b""
            case CommandReceived(_, Idle()):
                return self.server.begin_idle()
            case CommandReceived(tag, command):
                self.received.append(command)
                return f"{tag} OK done\r\n".encode()
            case IdleDone():
                self.received.append(Idle())
                return b"m%d OK done\r\n" % len(self.received)
            case _:
                raise AssertionError(event)

    def take_client_events(self) -> None:
        while (event := self.client.next_event()) is not None:
            self.completed += isinstance(event, Completed)
        if self.client.idling:
            self.client.finish_idle()


SAMPLES: list[tuple[client_commands.AnyCommand, Command]] = [
    (client_commands.CAPABILITY, Capability()),
    (client_commands.login(b"jo e", 'pä"ss\r\n'.encode()), Login(b"jo e", 'pä"ss\r\n'.encode())),
    (client_commands.enable(["QRESYNC", "CONDSTORE"]), Enable(("CONDSTORE", "QRESYNC"))),
    (client_commands.identify({"name": "mailferry"}), Id((("name", "mailferry"),))),
    (
        client_commands.list_mailboxes(["SPECIAL-USE"], ["UIDNEXT"]),
        List(
            reference="",
            patterns=("*",),
            returns=frozenset({ListReturn.SPECIAL_USE, ListReturn.STATUS}),
            status_items=(StatusItem.UIDNEXT,),
            extended=True,
        ),
    ),
    (
        client_commands.status(ODD, ["MESSAGES", "UIDNEXT"]),
        Status('a"b\\c *%{3}\r\n台北', (StatusItem.MESSAGES, StatusItem.UIDNEXT)),
    ),
    (
        client_commands.select_qresync(b"INBOX", 5, 7),
        Select(mailbox="INBOX", read_only=False, qresync=Qresync(uid_validity=5, modseq=7)),
    ),
    (client_commands.create(b"Sent", "\\Sent"), Create("Sent", ("\\Sent",))),
    (client_commands.delete(b""), Delete("")),
    (client_commands.rename(b"NIL", b"007"), Rename("NIL", "007")),
    (client_commands.subscribe(b"R&-D"), Subscribe("R&D")),
    (client_commands.unsubscribe(b"x" * 2000), Unsubscribe("x" * 2000)),
    (
        client_commands.uid_store(UIDS, add=["\\Seen", "$Work"]),
        Store(
            messages=UID_SET,
            by_uid=True,
            action=StoreAction.ADD,
            flags=("$Work", "\\Seen"),
            silent=True,
        ),
    ),
    (client_commands.uid_copy(UIDS, b"x"), Copy(messages=UID_SET, by_uid=True, mailbox="x")),
    (client_commands.uid_move(UIDS, b"x"), Move(messages=UID_SET, by_uid=True, mailbox="x")),
    (client_commands.uid_expunge(UIDS), Expunge(UID_SET)),
    (
        client_commands.uid_search(
            [b"SUBJECT ", AString("日本".encode()), b" TEXT ", AString(b"")],
            charset="UTF-8",
            extended=True,
        ),
        Search(
            by_uid=True,
            key=AllOf((HeaderKey("Subject", "日本"), TextKey(""))),
            returns=frozenset({SearchReturn.ALL}),
        ),
    ),
    (
        client_commands.append("ü".encode(), 70_000, flags=["\\Seen"], internal_date=MIDNIGHT),
        Append(
            "ü",
            (AppendedMessage(flags=("\\Seen",), internal_date=MIDNIGHT, length=70_000),),
        ),
    ),
    (client_commands.append(b"x", 0), Append("x", (AppendedMessage(length=0),))),
    (client_commands.Idle(), Idle()),
    (client_commands.LOGOUT, Logout()),
]


@pytest.mark.parametrize("mode", LiteralMode)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_every_command_arrives(mode: LiteralMode, chunk: int) -> None:
    dialogue = Dialogue(mode, chunk)
    for command, _ in SAMPLES:
        dialogue.client.enqueue(command)
    dialogue.run()
    assert dialogue.received == [command for _, command in SAMPLES]
    assert dialogue.completed == len(SAMPLES)
    assert dialogue.message_octets == 70_000


def test_a_large_message_is_never_held_whole() -> None:
    length = 52 * 1024 * 1024
    dialogue = Dialogue(LiteralMode.PLUS, 1 << 20)
    dialogue.client.enqueue(client_commands.append(b"x", length))
    tracemalloc.start()
    try:
        dialogue.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dialogue.message_octets == length
    assert dialogue.completed == 1
    assert peak < 1024 * 1024
