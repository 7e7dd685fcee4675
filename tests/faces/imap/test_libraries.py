"""imaplib and IMAPClient, which were not written by us, over real sockets, with and without TLS."""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
import trustme
from imapclient import IMAPClient

from tests.contract.letters import JAPANESE, PARTS, large, note
from tests.faces.imap.house import PASSWORD, House

T = TypeVar("T")


class Ports:
    """Where a house listens, and what a client needs to trust it."""

    def __init__(self, plain: int, tls: int, context: ssl.SSLContext) -> None:
        self.plain, self.tls, self.context = plain, tls, context


@pytest.fixture
async def ports() -> AsyncIterator[Ports]:
    authority = trustme.CA()
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(shown)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    house = House("ann", "bob", tls=shown)
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(house.server.listening("127.0.0.1", 0))
        tls = await stack.enter_async_context(house.server.listening_in_tls("127.0.0.1", 0))
        yield Ports(plain.port, tls.port, trusting)


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def ok(answer: tuple[str, Any]) -> Any:
    assert answer[0] == "OK", answer
    return answer[1]


async def test_imaplib(ports: Ports) -> None:
    def work() -> None:
        with imaplib.IMAP4("127.0.0.1", ports.plain) as client:
            ok(client.starttls(ports.context))
            ok(client.login("ann", PASSWORD))
            ok(client.create("Archive"))
            ok(client.append("INBOX", "(\\Flagged)", '"01-Mar-2026 10:00:00 +0900"', PARTS))
            ok(client.append("INBOX", "", "", note(2)))
            assert ok(client.select("INBOX")) == [b"2"]
            [(_, body), *_] = ok(client.fetch("1", "(BODY.PEEK[])"))
            assert body == PARTS
            ok(client.store("1:2", "+FLAGS", "(\\Seen)"))
            ok(client.copy("1:2", "Archive"))
            assert ok(client.status("Archive", "(MESSAGES UNSEEN)")) == [
                b"Archive (MESSAGES 2 UNSEEN 0)"
            ]
            ok(client.uid("MOVE", "2", "Archive"))
            ok(client.noop())
            assert len(ok(client.list())) == 2
            ok(client.rename("Archive", "Old"))
            ok(client.subscribe("Old"))
            assert ok(client.lsub()) == [b'(\\HasNoChildren) "/" Old']
            ok(client.unselect())
            ok(client.delete("Old"))

    await in_thread(work)


async def test_imaplib_in_tls(ports: Ports) -> None:
    def work() -> None:
        with imaplib.IMAP4_SSL("127.0.0.1", ports.tls, ssl_context=ports.context) as client:
            ok(client.authenticate("PLAIN", lambda _: b"\0bob\0" + PASSWORD.encode()))
            letter = large(2_000_000)
            ok(client.append("INBOX", "", "", letter))
            ok(client.select("INBOX"))
            [(_, body), *_] = ok(client.fetch("1", "(RFC822)"))
            assert body == letter

    await in_thread(work)


async def test_imapclient(ports: Ports) -> None:
    def work() -> None:
        with IMAPClient("127.0.0.1", ports.plain, ssl=False) as client:
            client.starttls(ports.context)
            client.login("ann", PASSWORD)
            assert client.namespace().personal == (("", "/"),)
            client.create_folder("日本語/受信")
            for letter in (note(1), PARTS, JAPANESE):
                client.append("日本語/受信", letter)
            assert client.select_folder("日本語/受信")[b"EXISTS"] == 3
            envelope = client.fetch([2], ["ENVELOPE", "BODYSTRUCTURE"])[2][b"ENVELOPE"]
            assert envelope.subject == b"Parts"
            assert client.fetch([3], ["BODY.PEEK[]"])[3][b"BODY[]"] == JAPANESE
            assert client.get_flags([3]) == {3: (b"\\Recent",)}
            client.set_flags([1, 2], [b"\\Seen", b"work"])
            client.move([1], "INBOX")
            client.idle()
            client.idle_done()
            found = {name for _, _, name in client.list_folders()}
            assert found == {"INBOX", "日本語", "日本語/受信"}
            assert client.folder_status("INBOX", ["MESSAGES"]) == {b"MESSAGES": 1}
            client.unselect_folder()

    await in_thread(work)


async def test_idle_is_told_of_others(ports: Ports) -> None:
    def work() -> None:
        with (
            IMAPClient("127.0.0.1", ports.plain, ssl=False) as one,
            IMAPClient("127.0.0.1", ports.plain, ssl=False) as two,
        ):
            one.login("ann", PASSWORD)
            two.login("ann", PASSWORD)
            one.select_folder("INBOX")
            one.idle()
            two.append("INBOX", note(1))
            told = one.idle_check(timeout=10)
            assert (1, b"EXISTS") in told
            one.idle_done()

    await in_thread(work)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server drops the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_clear_text_before_tls_is_not_taken_for_the_clients(ports: Ports) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports.plain)
    await reader.readline()
    writer.write(b"a STARTTLS\r\nb LOGIN ann sesame\r\n")
    assert (await reader.readline()).startswith(b"a OK")
    assert b"b OK" not in await rest_of(reader)
    writer.close()


async def test_a_stranger_to_tls_is_dropped(ports: Ports) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ports.tls)
    writer.write(b"a LOGIN ann sesame\r\n" * 100)
    assert b"a OK" not in await rest_of(reader)
    writer.close()
