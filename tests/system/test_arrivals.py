"""Mail that comes to the server, and changes that others make there, come to the mail program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest
from imapclient import IMAPClient

from tests.lab.dovecot import Dovecot
from tests.system.endpoint import HOST, Endpoint, imaplib_session, ok
from tests.system.equality import Path, assert_equal, look
from tests.system.filling import FAST, INBOX, fill, wanted, wire_name
from tests.system.front import Front, front_of
from tests.system.streaming_imap import StreamingImap, quoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

LOG: Path = ("Logbuch", "天気")


@pytest.fixture
def front(dovecots: Callable[..., Dovecot], tmp_path: FilePath) -> Iterator[Front]:
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(server, wanted(INBOX, 5))
    fill(server, wanted(LOG, 5))
    with front_of(server, tmp_path) as front:
        yield front


def test_idle_tells_of_new_mail_in_the_inbox(front: Front) -> None:
    with IMAPClient(HOST, front.endpoint.port, ssl=False, timeout=30) as client:
        client.login(front.endpoint.user, front.endpoint.password)
        client.select_folder("INBOX")
        client.idle()
        fill(front.server, wanted(INBOX, 1, subject="Arrival"))
        told: list[tuple[object, ...]] = []
        while (6, b"EXISTS") not in told:
            told += client.idle_check(timeout=30)
            assert told, "nothing was told within 30 s"
        client.idle_done()
        (uid,) = client.search(["SUBJECT", "Arrival"])
        assert b"Wind 1 knots" in client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
    assert_equal(look(front.endpoint), look(front.server))


def test_a_question_finds_what_others_did(front: Front) -> None:
    """Where nothing is pushed, the program's next question looks at the server (docs/rule.md, 11)."""
    log = quoted(wire_name(LOG))
    with imaplib_session(front.endpoint) as program:
        ok(program.select(log))
        with StreamingImap(front.server) as other:
            other.run(f"SELECT {log}")
            other.run(r"STORE 1 +FLAGS.SILENT (\Flagged $Others)")
            other.run(r"STORE 2 +FLAGS.SILENT (\Deleted)")
            other.run("EXPUNGE")
            other.run("CREATE Neu")
        fill(front.server, wanted(LOG, 1, subject="Arrival"))
        ok(program.noop())
        assert ok(program.search(None, "KEYWORD", "$Others"))[0].split() == [b"1"]
        assert len(ok(program.search(None, "ALL"))[0].split()) == 5
        assert ok(program.search(None, "SUBJECT", "Arrival"))[0].split() == [b"5"]
    with StreamingImap(front.endpoint) as session:
        listed = session.run('LIST "" "*" RETURN (STATUS (MESSAGES))')
        assert any(b"Neu" in response.text for response in listed)
    assert_equal(look(front.endpoint), look(front.server))
