"""imaplib and IMAPClient, unchanged, through the node."""

from __future__ import annotations

import hashlib
import imaplib
import re
from datetime import UTC, datetime

import pytest
from imapclient import IMAPClient

from tests.system.account import FilledAccount
from tests.system.endpoint import HOST, imaplib_session, ok
from tests.system.filling import wire_name
from tests.system.streaming_imap import quoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WHEN = '"17-Jul-1996 02:44:25 -0700"'
MAIL = (
    b"From: sailor@lab.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <written-here@lab.test>\r\n\r\nWritten on board.\r\n"
)


def test_imaplib(filled_account: FilledAccount) -> None:
    path, other = ("imaplib", "Brücke"), ("imaplib", "Übersicht")
    renamed = ("imaplib", "Neu", "Tief")
    work = quoted(filled_account.workplace(path, 30))
    with imaplib_session(filled_account.endpoint) as session:
        assert ok(session.select(work)) == [b"30"]
        before = _uids(session, "ALL")

        ok(session.uid("STORE", _set(before[:10]), "+FLAGS", r"(\Flagged $Work)"))
        ok(session.uid("STORE", _set(before[5:10]), "-FLAGS", r"(\Flagged)"))
        ok(session.uid("STORE", _set(before[10:12]), "FLAGS", r"(\Answered)"))
        assert _uids(session, "KEYWORD $Work FLAGGED") == before[:5]

        body = _body(session, before[20])
        assert ok(session.uid("FETCH", before[20].decode(), "(FLAGS)"))[0].count(rb"\Seen") == 1
        assert hashlib.sha256(body).hexdigest() in {
            key[1] for key in filled_account.filed if key[0] == ("INBOX",)
        }

        ok(session.create(quoted(wire_name(other))))
        ok(session.uid("COPY", _set(before[:7]), quoted(wire_name(other))))
        ok(session.append(quoted(wire_name(other)), r"(\Draft $Work)", WHEN, MAIL))
        ok(session.uid("STORE", _set(before[25:]), "+FLAGS.SILENT", r"(\Deleted)"))
        assert len(ok(session.expunge())) == 5
        assert _uids(session, "ALL") == before[:25]

        status = ok(session.status(quoted(wire_name(other)), "(MESSAGES UNSEEN UIDNEXT)"))
        assert b"MESSAGES 8" in status[0]
        ok(session.rename(quoted(wire_name(other)), quoted(wire_name(renamed))))
        ok(session.subscribe(quoted(wire_name(renamed))))
        ok(session.create("imaplib/short-lived"))
        ok(session.delete("imaplib/short-lived"))
        ok(session.close())
    filled_account.assert_both_sides_equal(path, renamed)


def test_imapclient(filled_account: FilledAccount) -> None:
    path, target = ("IMAPClient", "開発"), ("IMAPClient", "Ziel")
    filled_account.workplace(path, 20)
    endpoint = filled_account.endpoint
    with IMAPClient(HOST, endpoint.port, ssl=False, timeout=60) as client:
        client.login(endpoint.user, endpoint.password)
        client.id_({"name": "a test"})
        assert client.namespace().personal[0][0] == ""
        client.create_folder("/".join(target))
        assert "/".join(path) in [name for _, _, name in client.list_folders()]
        assert client.select_folder("/".join(path))[b"EXISTS"] == 20

        uids = client.search()
        client.move(uids[:5], "/".join(target))
        client.copy(uids[5:7], "/".join(target))
        client.add_flags(uids[7:9], [rb"\Seen", "$Gelesen"])
        client.set_flags(uids[9:10], [rb"\Flagged"])
        client.remove_flags(uids[8:9], [rb"\Seen"], silent=True)
        client.delete_messages(uids[15:])
        client.expunge(uids[15:18])
        assert client.search() == uids[5:18] if not _has_uidplus(client) else uids[5:15] + uids[18:]
        assert client.search(["SUBJECT", "nothing like this"]) == []
        assert client.search(["KEYWORD", "$Gelesen"]) == uids[7:9]

        answer = client.append(
            "/".join(target), MAIL, [rb"\Seen"], datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
        )
        uid = int(re.findall(rb"APPENDUID \d+ (\d+)", answer)[0])
        client.select_folder("/".join(target), readonly=True)
        fetched = client.fetch([uid], ["BODY[]", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE"])
        assert fetched[uid][b"BODY[]"] == MAIL
        assert fetched[uid][b"ENVELOPE"].message_id == b"<written-here@lab.test>"
        assert client.folder_status("/".join(target))[b"MESSAGES"] == 8
        client.unselect_folder()
    filled_account.assert_both_sides_equal(path, target)


def test_a_wrong_local_password_is_refused(filled_account: FilledAccount) -> None:
    session = imaplib.IMAP4(HOST, filled_account.endpoint.port, timeout=30)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        session.login(filled_account.endpoint.user, "wrong")
    session.shutdown()


def _uids(session: imaplib.IMAP4, query: str) -> list[bytes]:
    return ok(session.uid("SEARCH", query))[0].split()


def _set(uids: list[bytes]) -> str:
    return b",".join(uids).decode()


def _body(session: imaplib.IMAP4, uid: bytes) -> bytes:
    _, data = session.uid("FETCH", uid.decode(), "(BODY[])")
    body = data[0][1]
    assert isinstance(body, bytes)
    return body


def _has_uidplus(client: IMAPClient) -> bool:
    return bool(client.has_capability("UIDPLUS"))
