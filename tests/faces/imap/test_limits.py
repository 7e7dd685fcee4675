"""Limits, each named in faces/imap/limits.py, and what a client is told when it meets one."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mailferry.net.stream import READ_LENGTH_MAX, ByteStream, Octets
from tests.faces.imap.house import PASSWORD, QUICK, House


async def test_refused_logins_end_the_connection() -> None:
    house = House(limits=replace(QUICK, failures_max=2))
    async with house.connected() as client:
        assert (
            await client.no("LOGIN ann wrong") == b"[AUTHENTICATIONFAILED] Wrong login or password"
        )
        await client.send(b"x LOGIN nobody sesame\r\n")
        assert await client.line() == b"* BYE Too many refused logins"
        assert await client.line() == b""


async def test_a_refused_login_can_be_tried_again() -> None:
    async with House().connected() as client:
        await client.no("LOGIN ann wrong")
        await client.ok(f"LOGIN ann {PASSWORD}")


async def test_too_many_strangers_are_turned_away() -> None:
    house = House(limits=replace(QUICK, strangers_max=1))
    async with house.connected() as client:
        async with house.line() as other:
            assert (await other.line()).startswith(b"* BYE [UNAVAILABLE] Too many connections")
            assert await other.line() == b""
        await client.ok(f"LOGIN ann {PASSWORD}")
        async with house.connected() as third:
            await third.ok("NOOP")


async def test_too_many_sessions_of_one_login() -> None:
    house = House("ann", "bob", limits=replace(QUICK, sessions_per_login_max=1))
    async with house.logged_in("ann"):
        async with house.connected() as second:
            assert (await second.no(f"LOGIN ann {PASSWORD}")).startswith(b"[LIMIT]")
        async with house.logged_in("bob"):
            pass
    async with house.logged_in("ann"):
        pass


async def test_silence_ends_the_session() -> None:
    async with House(limits=replace(QUICK, login_silence_s=0.01)).connected() as client:
        assert await client.line() == b"* BYE Too long in silence"
        assert await client.line() == b""


async def test_silence_is_longer_once_logged_in() -> None:
    limits = replace(QUICK, login_silence_s=60.0, silence_s=0.01)
    async with House(limits=limits).logged_in() as client:
        assert await client.line() == b"* BYE Too long in silence"


async def test_idle_is_given_signs_of_life() -> None:
    async with House(limits=replace(QUICK, idle_keepalive_s=0.01)).logged_in() as client:
        await client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        assert await client.line() == b"* OK Still here"
        assert await client.line() == b"* OK Still here"
        await client.send(b"DONE\r\n")
        _, tagged = await client.answer(b"i")
        assert tagged == b"OK IDLE completed"


async def test_who_does_not_speak_imap_is_sent_away() -> None:
    async with House(limits=replace(QUICK, invalid_commands_max=3)).connected() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        said = [await client.line() for _ in range(5)]
        assert all(b" BAD " in line for line in said[:3])
        assert said[3:] == [b"* BYE Too many lines that are no commands", b""]


async def test_mistakes_now_and_then_are_forgiven() -> None:
    async with House(limits=replace(QUICK, invalid_commands_max=2)).logged_in() as client:
        for _ in range(4):
            await client.bad("NONSENSE")
            await client.ok("NOOP")


async def test_an_endless_line_is_refused() -> None:
    async with House().logged_in() as client:
        assert b"too long" in await client.bad(b"SEARCH " + b"x" * 200_000)
        await client.ok("NOOP")


async def test_shutting_down_says_goodbye() -> None:
    house = House()
    async with house.logged_in() as idle, house.logged_in() as quiet, house.connected() as stranger:
        await idle.send(b"i IDLE\r\n")
        await idle.line()
        house.server.shut_down()
        for client in (idle, quiet, stranger):
            assert (await client.line()).startswith(
                b"* BYE [UNAVAILABLE] mailferry is shutting down"
            )
            assert await client.line() == b""
        async with house.line() as late:
            await late.line()
            assert (await late.line()).startswith(b"* BYE [UNAVAILABLE]")


class Elsewhere:
    """A stream whose other side is not on this machine."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.is_loopback = False
        self.peer = "192.0.2.1:99"

    async def read(self, max_bytes: int = READ_LENGTH_MAX) -> bytes:
        return await self._stream.read(max_bytes)

    async def write(self, data: Octets) -> None:
        await self._stream.write(data)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        self._stream.abort()

    @property
    def unsent(self) -> int:
        return self._stream.unsent

    @property
    def undelivered(self) -> int:
        return self._stream.undelivered

    @property
    def unread(self) -> int:
        return self._stream.unread

    @property
    def moved(self) -> int:
        return self._stream.moved


@pytest.mark.parametrize(
    "command", [f"LOGIN ann {PASSWORD}", "AUTHENTICATE PLAIN", "AUTHENTICATE SCRAM-SHA-256"]
)
async def test_no_passwords_in_the_clear_over_the_network(command: str) -> None:
    async with House().line(Elsewhere) as client:
        greeting = await client.line()
        assert b" LOGINDISABLED]" in greeting
        assert b"AUTH=" not in greeting
        assert (await client.no(command)).startswith(b"[PRIVACYREQUIRED]")


async def test_a_cut_leaves_nothing_behind() -> None:
    house = House(limits=replace(QUICK, strangers_max=2, sessions_per_login_max=2))
    for _ in range(5):
        async with house.connected() as client:
            await client.send(b"x LOGIN ann ses")
        async with house.logged_in() as client:
            await client.send(b"x IDLE\r\n")
            await client.line()


async def test_many_sessions_at_once() -> None:
    house = House()

    async def work(number: int) -> None:
        async with house.logged_in() as client:
            await client.append("INBOX", b"Subject: %d\r\n\r\n" % number)
            await client.ok("SELECT INBOX")
            await client.ok("UID STORE 1:* +FLAGS (\\Seen)")

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number))
    async with house.logged_in() as client:
        assert await client.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES 20)"]
