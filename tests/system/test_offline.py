"""The server is away: all work goes on, and everything is at the server, once, when it is back."""

from __future__ import annotations

import imaplib
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import pytest

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint, imaplib_session, ok
from tests.system.equality import Path, assert_equal, look
from tests.system.filling import INBOX, fill, wanted, wire_name
from tests.system.node_process import NodeAccount, NodeProcess
from tests.system.streaming_imap import quoted
from tests.system.uids import uids

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WEATHER: Path = ("Logbuch", "天気")
HARBOURS: Path = ("Logbuch", "Häfen")
RECEIPTS: Path = ("Belege",)
MADE: Path = ("Neu", "Angelegt")
RENAMED: Path = ("Umbenannt",)
WRITTEN = b"From: sailor@lab.test\r\nSubject: Log %d\r\nMessage-ID: <log-%d@lab.test>\r\n\r\nAll well.\r\n"


@pytest.fixture
def server(own_dovecot: Callable[..., Dovecot]) -> Dovecot:
    return own_dovecot()


@pytest.fixture
def account(server: Dovecot, tmp_path: FilePath) -> NodeAccount:
    """Return an account with some mail; the node is not yet started."""
    user = server.new_user()
    endpoint = Endpoint(port=server.port, user=user.name, password=user.password)
    for path, count in ((INBOX, 40), (WEATHER, 30), (HARBOURS, 10), (RECEIPTS, 10)):
        fill(endpoint, wanted(path, count, subject=f"Mail-{path[-1].encode().hex()}"))
    return NodeProcess(tmp_path).add_account(endpoint)


@pytest.mark.parametrize(
    ("server_goes", "node_ends"), [("kill", ""), ("stop", "stop"), ("stop", "kill")]
)
def test_work_goes_on_without_the_server(
    server: Dovecot, account: NodeAccount, server_goes: str, node_ends: str
) -> None:
    with account.node as node:
        node.start()
        account.wait_until_copied()
        before = look(account.server)
        getattr(server, server_goes)()

        assert_equal(look(account.endpoint), before)
        _search(account.endpoint)
        _work(account.endpoint)
        given = uids(account.endpoint)
        if node_ends:
            getattr(node, node_ends)()
            node.start()
        assert uids(account.endpoint) == given
        _work_more(account.endpoint)
        given, shown = uids(account.endpoint), look(account.endpoint)

        server.start()
        account.wait_for_state("ready")
        account.settle()
        shown.name = "what was shown while the server was away"
        # A name above one that was created: the server may make it a mailbox, or only a name.
        shown.mailboxes[MADE[:1]] = look(account.server, only=[MADE[:1]]).mailboxes[MADE[:1]]
        assert_equal(look(account.server), shown)
        assert_equal(look(account.endpoint), shown)
        assert uids(account.endpoint) == given
        assert account.status()["refused"] == 0


def test_only_the_list_is_here(server: Dovecot, account: NodeAccount, tmp_path: FilePath) -> None:
    """What was never copied cannot be read, and the program is told so; the rest goes on."""
    directory = tmp_path / "second"
    directory.mkdir()
    with NodeProcess(directory) as node:
        listed = node.add_account(account.server, bodies="list")
        node.start()
        listed.wait_until_listed()
        server.stop()
        with imaplib_session(listed.endpoint) as session:
            ok(session.select("INBOX"))
            assert ok(session.fetch("1", "(ENVELOPE)"))
            assert session.fetch("1", "(BODY.PEEK[])")[0] == "NO"
            assert len(ok(session.search(None, "SUBJECT", "Mail"))[0].split()) == 40
            ok(session.store("1", "+FLAGS", r"(\Flagged)"))
            ok(session.copy("1:5", quoted(wire_name(RECEIPTS))))
        shown = look(listed.endpoint, bodies=False)
        server.start()
        listed.wait_for_state("ready")
        listed.settle()
        assert_equal(look(listed.server, bodies=False), shown)
        assert_equal(look(listed.server), look(listed.endpoint))


def _search(endpoint: Endpoint) -> None:
    with imaplib_session(endpoint) as session:
        session.select(quoted(wire_name(WEATHER)), readonly=True)
        assert ok(session.search(None, "SUBJECT", "Mail", "UNSEEN"))[0].split()
        session.literal = "天気予報 17".encode()  # type: ignore[assignment]  # typeshed: str
        assert ok(session.search("UTF-8", "BODY"))[0].split() == [b"17"]


def _work(endpoint: Endpoint) -> None:
    """Everything that changes something; every answer has its UIDs at once."""
    with imaplib_session(endpoint) as session:
        ok(session.select("INBOX"))
        ok(session.store("1:10", "+FLAGS", r"(\Flagged $Offline)"))
        ok(session.store("3:5", "-FLAGS.SILENT", r"(\Flagged)"))
        ok(session.store("6", "FLAGS", r"(\Answered)"))
        ok(session.fetch("20", "(BODY[])"))  # Marks as read.

        ok(session.create(quoted(wire_name(MADE))))
        ok(session.subscribe(quoted(wire_name(MADE))))
        assert _code(session, "COPYUID", session.uid("COPY", "1:4", quoted(wire_name(MADE))))
        assert _code(session, "COPYUID", session.uid("MOVE", "11:14", quoted(wire_name(RECEIPTS))))
        _append(session, MADE, 1, r"(\Seen $Offline)")
        _append(session, INBOX, 2, "")

        ok(session.store("30:34", "+FLAGS.SILENT", r"(\Deleted)"))
        ok(session.expunge())
        assert len(ok(session.search(None, "ALL"))[0].split()) == 40 - 4 + 1 - 5
        ok(session.noop())


def _work_more(endpoint: Endpoint) -> None:
    """Operations upon what earlier ones made, and upon mailboxes."""
    with imaplib_session(endpoint) as session:
        ok(session.select(quoted(wire_name(MADE))))
        assert len(ok(session.search(None, "ALL"))[0].split()) == 5
        ok(session.store("5", "+FLAGS", r"(\Flagged)"))
        assert _code(session, "COPYUID", session.uid("MOVE", "5", quoted(wire_name(HARBOURS))))
        assert _code(session, "COPYUID", session.uid("COPY", "1:2", quoted(wire_name(MADE))))
        ok(session.close())
        ok(session.unsubscribe(quoted(wire_name(RECEIPTS))))
        ok(session.rename(quoted(wire_name(RECEIPTS)), quoted(wire_name(RENAMED))))
        ok(session.subscribe(quoted(wire_name(RENAMED))))
        _append(session, RENAMED, 3, r"(\Draft)")
        ok(session.create("Kurz"))
        _append(session, ("Kurz",), 4, "")
        ok(session.delete("Kurz"))
        ok(session.unsubscribe(quoted(wire_name(WEATHER))))
        ok(session.delete(quoted(wire_name(WEATHER))))
        ok(session.noop())


def _append(session: imaplib.IMAP4, path: Path, number: int, flags: str) -> None:
    answer = session.append(
        quoted(wire_name(path)), flags, '"03-Mar-2024 10:00:00 +0900"', WRITTEN % (number, number)
    )
    assert _code(session, "APPENDUID", answer)


def _code(session: imaplib.IMAP4, code: str, answer: tuple[str, list[Any]]) -> bool:
    """Whether the answer had this response code of UIDPLUS."""
    ok(answer)
    return any(session.response(code)[1])
