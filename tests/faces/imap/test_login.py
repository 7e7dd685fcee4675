"""Proving who one is: all mechanisms, right and wrong."""

from __future__ import annotations

import base64

import pytest

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.source import StagingSource
from mailferry.wire.sasl import Password, ScramSha256
from tests.faces.imap.house import PASSWORD, Client, House


async def exchange(client: Client, mechanism: ScramSha256, tag: bytes = b"s") -> bytes:
    """Go through SCRAM without an initial response; return the tagged text."""
    await client.send(tag + b" AUTHENTICATE SCRAM-SHA-256\r\n")
    assert await client.line() == b"+ "
    response = mechanism.initial() or b""
    while True:
        await client.send(base64.b64encode(response) + b"\r\n")
        line = await client.line()
        if line.startswith(tag):
            return line.removeprefix(tag + b" ")
        response = mechanism.step(base64.b64decode(line.removeprefix(b"+ ")))


async def test_scram() -> None:
    async with House().connected() as client:
        mechanism = ScramSha256(Password("ann", PASSWORD))
        assert (await exchange(client, mechanism)).startswith(b"OK [CAPABILITY IMAP4rev1")
        mechanism.finish()
        await client.ok("SELECT INBOX")


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("nobody", PASSWORD)])
async def test_scram_refuses(user: str, password: str) -> None:
    async with House().connected() as client:
        said = await exchange(client, ScramSha256(Password(user, password)))
        assert said.startswith(b"NO [AUTHENTICATIONFAILED]")
        await client.bad("SELECT INBOX")


async def test_scram_with_an_initial_response() -> None:
    async with House().connected() as client:
        mechanism = ScramSha256(Password("ann", PASSWORD))
        first = base64.b64encode(mechanism.initial() or b"")
        await client.send(b"s AUTHENTICATE SCRAM-SHA-256 " + first + b"\r\n")
        assert (await client.line()).startswith(b"+ ")
        await client.send(b"*\r\n")
        assert await client.line() == b"s BAD AUTHENTICATE cancelled"
        await client.ok(f"LOGIN ann {PASSWORD}")


@pytest.mark.parametrize("response", [b"", b"nonsense", b"\0\0\0\0", b"other\0ann\0sesame"])
async def test_what_is_no_plain_message(response: bytes) -> None:
    async with House().connected() as client:
        octets = base64.b64encode(response).decode() or "="
        _, tagged = await client.command(f"AUTHENTICATE PLAIN {octets}")
        assert tagged.startswith((b"BAD", b"NO [AUTHENTICATIONFAILED]"))


@pytest.mark.parametrize("login", [b'ann ""', b'"" sesame', b"ann {1+}\r\n\xff", b'"a\\"b" "c"'])
async def test_wrong_logins(login: bytes) -> None:
    async with House().connected() as client:
        assert (await client.no(b"LOGIN " + login)).startswith(b"[AUTHENTICATIONFAILED]")


async def test_mail_that_cannot_be_opened_now() -> None:
    class Closed(House):
        async def open(self, login: str) -> StagingSource:
            raise SourceUnavailable(login)

    async with Closed().connected() as client:
        assert (await client.no(f"LOGIN ann {PASSWORD}")).startswith(b"[UNAVAILABLE]")
        await client.bad("SELECT INBOX")


async def test_passwords_stay_out_of_the_transcript(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with House().connected() as client:
        await client.no("LOGIN ann hunter2")
        await client.no("AUTHENTICATE PLAIN " + base64.b64encode(b"\0ann\0hunter2").decode())
        await client.bad("LOGIN hunter2")
    assert caplog.records
    assert "hunter2" not in caplog.text
