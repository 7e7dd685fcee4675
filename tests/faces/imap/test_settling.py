"""What becomes of an operation when its answer is delivered, and when it is not (docs/rule.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from mailferry.mail.errors import SourceUnavailable
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import WHOLE, Body, MessageId, Section
from mailferry.mail.operation import Delivery, Operation, OperationId, OperationState, Staged
from mailferry.sources.memory import MemorySource
from tests.contract.letters import large, note
from tests.faces.imap.house import QUICK, Client, House, clock


class Recorded(MemorySource):
    """Remembers the order of what a face asks for."""

    def __init__(self) -> None:
        super().__init__(clock=clock)
        self.calls: list[str] = []
        self.changed = asyncio.Event()

    async def stage(self, operations: Sequence[Operation], *, login: str) -> Sequence[Staged]:
        staged = await super().stage(operations, login=login)
        self.calls += [f"stage {type(operation).__name__}" for operation in operations]
        return staged

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        await super().settle(ids, delivery)
        self.calls += [delivery.name for _ in ids]
        self.changed.set()


async def states(source: MemorySource) -> list[tuple[str, OperationState]]:
    return [(type(e.operation).__name__, e.state) for e in await source.history()]


async def test_each_answer_is_settled_once() -> None:
    house = House(make=Recorded)
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        await client.ok("STORE 1 +FLAGS (\\Flagged)")
        await client.ok("FETCH 1 BODY[]")
        await client.ok("CREATE New")
        await client.ok("MOVE 1 New")
        await client.no("CREATE New")
        await client.ok("NOOP")
    wanted = [
        "stage Append",
        "stage SetFlags",
        "stage SetFlags",
        "stage CreateMailbox",
        "stage Move",
    ]
    assert source.calls == [call for stage in wanted for call in (stage, "DELIVERED")]


async def test_pipelined_commands_are_settled_one_by_one() -> None:
    house = House(make=Recorded)
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        source.calls.clear()
        await client.send(b"".join(b"p%d STORE 1 +FLAGS (k%d)\r\n" % (n, n) for n in range(5)))
        for number in range(5):
            _, tagged = await client.answer(b"p%d" % number)
            assert tagged.startswith(b"OK")
    assert source.calls == ["stage SetFlags", "DELIVERED"] * 5


async def test_a_fetch_marks_in_one_operation_after_its_bodies() -> None:
    house = House(make=Recorded)
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        for number in range(30):
            await client.append("INBOX", note(number))
        await client.ok("SELECT INBOX")
        await client.ok("STORE 3 +FLAGS.SILENT (\\Seen)")
        source.calls.clear()
        lines = await client.ok("FETCH 1:* BODY[TEXT]")
    assert source.calls == ["stage SetFlags", "DELIVERED"]
    bodies = [line for line in lines if b"BODY[TEXT]" in line]
    marked = [line for line in lines if b"\\Seen" in line]
    assert len(bodies) == 30
    assert len(marked) == 29
    assert lines[:30] == bodies
    [operation] = [entry.operation for entry in (await source.history())[-1:]]
    assert len(getattr(operation, "messages", ())) == 29


class Stalling(Recorded):
    """Answers from a certain point on only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.staged = asyncio.Event()
        self.go_on = asyncio.Event()
        self.stalls = False

    async def stage(self, operations: Sequence[Operation], *, login: str) -> Sequence[Staged]:
        staged = await super().stage(operations, login=login)
        if self.stalls:
            self.staged.set()
            await self.go_on.wait()
        return staged


@pytest.mark.parametrize(
    ("command", "state"),
    [
        (b"STORE 1 +FLAGS (\\Seen)", OperationState.WITHDRAWN),
        (b"MOVE 1 Other", OperationState.WITHDRAWN),
        (b"UNSUBSCRIBE Other", OperationState.WITHDRAWN),
        (b"DELETE Other", OperationState.WITHDRAWN),
        (b"COPY 1 Other", OperationState.APPLIED),
        (b"CREATE New", OperationState.APPLIED),
        (b"RENAME Other New", OperationState.APPLIED),
        (b"SUBSCRIBE Other", OperationState.APPLIED),
    ],
)
async def test_an_answer_that_is_cut(command: bytes, state: OperationState) -> None:
    house = House(make=Stalling)
    source = house.source
    assert isinstance(source, Stalling)
    async with house.logged_in() as client:
        await client.ok("CREATE Other")
        await client.append("INBOX", note(1))
        await client.ok("SELECT INBOX")
        source.stalls = True
        source.calls.clear()
        await client.send(b"x " + command + b"\r\n")
        await source.staged.wait()
        client.stream.abort()
        source.go_on.set()
    assert source.calls[-1] == "LOST"
    assert (await states(source))[-1][1] is state
    if state is OperationState.WITHDRAWN:
        source.stalls = False
        async with house.logged_in() as again:
            lines = await again.ok("STATUS INBOX (MESSAGES UNSEEN)")
            assert lines == [b"STATUS INBOX (MESSAGES 1 UNSEEN 1)"]


async def test_an_upload_that_is_cut_leaves_nothing() -> None:
    house = House(make=Recorded)
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        await client.send(b"x APPEND INBOX {5000+}\r\nSubject: never whole\r\n")
    assert source.calls == []
    async with house.logged_in() as client:
        assert await client.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES 0)"]


async def test_a_body_that_is_cut_is_not_marked_as_read() -> None:
    house = House(make=Recorded, limits=replace(QUICK, unread_s=60.0))
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        await client.append("INBOX", large(1_000_000))
        await client.ok("SELECT INBOX")
        source.calls.clear()
        await client.send(b"x FETCH 1 BODY[]\r\n")
        assert len(await client.stream.read()) > 0
        client.stream.abort()
    assert source.calls == []


async def test_a_client_that_reads_nothing_loses_its_session() -> None:
    house = House(make=Recorded, limits=replace(QUICK, unread_s=0.05))
    source = house.source
    assert isinstance(source, Recorded)
    async with house.logged_in() as client:
        await client.append("INBOX", large(1_000_000))
        await client.ok("SELECT INBOX")
        source.calls.clear()
        await client.send(b"x FETCH 1 BODY[]\r\n")
        async with house.logged_in() as other:
            await other.ok("SELECT INBOX")
            await other.ok("FETCH 1 (FLAGS BODY.PEEK[]<0.100>)")
        with pytest.raises(ConnectionError):  # The line is dropped though nothing was read.
            await broken(client)
    assert source.calls == []


async def broken(client: Client) -> None:
    """Wait, without reading, until the line breaks."""
    async with asyncio.timeout(10):
        while client.stream.undelivered == 0:
            await asyncio.sleep(0.01)


class Failing(MemorySource):
    """Its bodies break off."""

    def __init__(self) -> None:
        super().__init__(clock=clock)
        self.breaks_at: list[int] = []
        self.opened: list[int] = []

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        self.opened.append(offset)
        body = await super().body(mailbox, message, section, offset)
        if not self.breaks_at:
            return body
        return Body(body.size, self._broken(body.chunks, self.breaks_at.pop(0)))

    async def _broken(self, chunks: AsyncIterator[bytes], after: int) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if after <= 0:
                raise SourceUnavailable
            yield chunk[:after]
            after -= len(chunk)
        raise SourceUnavailable


async def test_a_body_that_breaks_off_is_taken_up_where_it_was() -> None:
    house = House(make=Failing)
    source = house.source
    assert isinstance(source, Failing)
    letter = large(500_000)
    async with house.logged_in() as client:
        await client.append("INBOX", letter)
        await client.ok("SELECT INBOX")
        source.breaks_at = [100_000, 0, 200_000]
        lines = await client.ok("FETCH 1 BODY.PEEK[]")
        assert lines[0] == b"1 FETCH (BODY[] {%d}\r\n%b)" % (len(letter), letter)
    assert source.opened == [0, 100_000, 100_000, 300_000]


async def test_a_body_that_cannot_be_finished_ends_the_connection() -> None:
    house = House(make=Failing)
    source = house.source
    assert isinstance(source, Failing)
    async with house.logged_in() as client:
        await client.append("INBOX", large(500_000))
        await client.ok("SELECT INBOX")
        source.breaks_at = [100_000] + [0] * 20
        await client.send(b"x FETCH 1 BODY[]\r\n")
        assert await client.closed()
    assert [entry.state for entry in await source.history()] == [OperationState.APPLIED]
