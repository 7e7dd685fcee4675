"""Large mailboxes and large bodies: asked for in batches, sent as streams, held nowhere."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Sequence

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import (
    WHOLE,
    Blob,
    Body,
    MessageId,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.mail.operation import Append, Delivery
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.contract.world import inbox_of, operation_id
from tests.faces.imap.house import Client, House, clock


class Counting(MemorySource):
    """Remembers what it was asked, and gives a body that is nowhere in memory."""

    BODY_LENGTH = 52_000_000
    CHUNK = bytes(64 * 1024)

    def __init__(self) -> None:
        super().__init__(clock=clock)
        self.asked: list[tuple[int, frozenset[SummaryItem]]] = []
        self.bodies = 0
        self.uploaded = 0

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        self.asked.append((len(messages), what))
        async for batch in super().summaries(mailbox, messages, what):
            yield batch

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        self.bodies += 1
        return Body(self.BODY_LENGTH, self._endless(self.BODY_LENGTH - offset))

    async def _endless(self, length: int) -> AsyncIterator[bytes]:
        while length > 0:
            chunk = self.CHUNK[:length]
            length -= len(chunk)
            yield chunk

    async def upload(self, chunks: AsyncIterator[bytes]) -> Blob:
        first = b""
        async for chunk in chunks:
            first = first or chunk
            self.uploaded += len(chunk)
        return await super().upload(_once(first))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def filled(source: MemorySource, count: int) -> None:
    """Put many small letters into the INBOX."""
    inbox = await inbox_of(source)
    blob = await source.upload(_once(note(1)))
    for first in range(0, count, 1000):
        appends = [
            Append(id=operation_id(), mailbox=inbox, blob=blob.id, size=blob.size)
            for _ in range(first, min(first + 1000, count))
        ]
        await source.stage(appends, login="setup")
        await source.settle([append.id for append in appends], Delivery.DELIVERED)


async def test_headers_are_asked_for_in_batches() -> None:
    house = House(make=Counting)
    source = house.source
    assert isinstance(source, Counting)
    await filled(source, 250)
    async with house.logged_in() as client:
        await client.ok("SELECT INBOX")
        lines = await client.ok("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (X-Not-Listed)])")
    assert len(lines) == 250
    wanted = frozenset({SummaryItem.FLAGS, SummaryItem.HEADER})
    assert source.asked == [(100, wanted), (100, wanted), (50, wanted)]
    assert source.bodies == 0


async def test_listed_fields_need_no_headers() -> None:
    house = House(make=Counting)
    source = house.source
    assert isinstance(source, Counting)
    await filled(source, 600)
    async with house.logged_in() as client:
        await client.ok("SELECT INBOX")
        await client.ok("UID FETCH 1:* (UID)")
        assert source.asked == []
        await client.ok("UID FETCH 1:* (RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From X-TUID)])")
    wanted = frozenset({SummaryItem.SIZE, SummaryItem.HEADER_FIELDS})
    assert source.asked == [(500, wanted), (100, wanted)]
    assert source.bodies == 0


async def read_away(client: Client, octets: int) -> None:
    """Read so much and keep nothing."""
    while octets > 0:
        octets -= len(await client.stream.read())


async def test_a_large_body_is_held_nowhere() -> None:
    house = House(make=Counting)
    source = house.source
    assert isinstance(source, Counting)
    await filled(source, 1)
    async with house.logged_in() as client:
        await client.ok("SELECT INBOX")
        tracemalloc.start()
        await client.send(b"x UID FETCH 1 (BODY.PEEK[])\r\n")
        await read_away(client, Counting.BODY_LENGTH)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert await client.line() == b")"
        assert (await client.answer(b"x"))[1].startswith(b"OK")
    assert peak < 2_000_000


async def test_a_large_append_is_held_nowhere() -> None:
    house = House(make=Counting)
    source = house.source
    assert isinstance(source, Counting)
    async with house.logged_in() as client:
        tracemalloc.start()
        await client.send(b"x APPEND INBOX {%d+}\r\n" % Counting.BODY_LENGTH)
        for _ in range(Counting.BODY_LENGTH // 65_000):
            await client.send(bytes(65_000))
        await client.send(b"\r\n")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (await client.answer(b"x"))[1].startswith(b"OK")
    assert source.uploaded == Counting.BODY_LENGTH
    assert peak < 2_000_000


async def test_the_flags_of_a_large_mailbox_are_streamed() -> None:
    """A client that stops reading stops the server, too: little is made in advance."""
    house = House(make=Counting)
    source = house.source
    assert isinstance(source, Counting)
    await filled(source, 20_000)
    async with house.logged_in() as client, house.logged_in() as other:
        await client.ok("SELECT INBOX")
        await client.send(b"x UID FETCH 1:* (FLAGS)\r\n")
        await other.ok("SELECT INBOX")
        await other.ok("FETCH 1:10 FLAGS")
        first_asked = len(source.asked)
        assert first_asked < 20_000 // 500
        lines, tagged = await client.answer(b"x")
        assert len(lines) == 20_000
        assert tagged.startswith(b"OK")
