"""Whatever a client sends, its session answers or says goodbye: it never fails and never hangs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.letters import PARTS, note
from tests.faces.imap.house import Client, House

WORDS = [
    b"a", b"b1", b"+", b"*", b"UID", b"FETCH", b"STORE", b"SEARCH", b"COPY", b"MOVE", b"EXPUNGE",
    b"APPEND", b"LIST", b"LSUB", b"STATUS", b"CREATE", b"DELETE", b"RENAME", b"SELECT", b"IDLE",
    b"DONE", b"LOGIN", b"AUTHENTICATE", b"PLAIN", b"CLOSE", b"NOOP", b"INBOX", b'"Other"', b'""',
    b"1", b"2", b"1:*", b"*", b"4294967295", b"99:*", b"0", b"(", b")", b"()", b"FLAGS", b"+FLAGS",
    b"(\\Seen)", b"BODY[]", b"BODY[1.2.HEADER]<5.10>", b"BODY.PEEK[HEADER.FIELDS (From)]", b"ALL",
    b"OR", b"NOT", b"TEXT", b"x", b"SINCE", b"1-Jan-2026", b"RETURN", b"{3}", b"{3+}", b"{0+}",
    b"{99999999999999}", b"{5+}\r\nhello", b"&ZeU-", b"\xff\xfe", b"\0", b"%", b"RECENT",
]  # fmt: skip
LINES = st.lists(st.sampled_from(WORDS), max_size=8).map(lambda words: b" ".join(words) + b"\r\n")
ANYTHING = st.lists(st.one_of(LINES, LINES, LINES, st.binary(max_size=60)), max_size=25)


async def send_all(client: Client, pieces: list[bytes]) -> None:
    """Say everything and the end; read until the server has closed the connection."""
    try:
        for piece in pieces:
            await client.send(piece)
        await client.stream.send_eof()
    except ConnectionError:  # The server has had enough.
        return
    assert await client.closed()


@settings(max_examples=150, deadline=None)
@given(ANYTHING)
async def test_any_bytes_from_who_is_logged_in(pieces: list[bytes]) -> None:
    house = House()
    async with house.logged_in() as client:
        await client.append("INBOX", note(1))
        await client.append("INBOX", PARTS)
        await client.ok("SELECT INBOX")
        await send_all(client, pieces)
    async with house.logged_in() as client:
        await client.ok("NOOP")


@settings(max_examples=50, deadline=None)
@given(ANYTHING)
async def test_any_bytes_from_strangers(pieces: list[bytes]) -> None:
    house = House()
    async with house.connected() as client:
        await send_all(client, pieces)
    async with house.logged_in() as client:
        await client.ok("NOOP")
