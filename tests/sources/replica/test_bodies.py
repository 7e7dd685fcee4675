"""Bodies: fetched once, resumed, served while they arrive, kept within limits."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from mailferry.mail.errors import SectionNotFound, SourceUnavailable
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import (
    CHUNK_LENGTH_MAX,
    WHOLE,
    Body,
    MessageId,
    Section,
    Summary,
    SummaryItem,
)
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from mailferry.sources.replica.settings import BodyPolicy
from mailferry.store import bodies
from tests.contract.letters import PARTS, SECTIONS, large, note
from tests.contract.world import Party, everything, inbox_of, octets_of, operation_id
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, copy, expunge, noise

LARGE = large(1_000_000)


async def one(party: Party, replica: Replica, letter: bytes) -> tuple[MailboxId, MessageId]:
    await party.deliver(await inbox_of(party.source), letter)
    await replica.refresh(None)
    inbox = await inbox_of(replica)
    return inbox, max(await everything(replica, inbox))


async def all_bodies_here(replica: Replica) -> None:
    """Wait until nothing is wanted ahead of time any more."""
    store = replica._core.store
    while store.reader.execute("SELECT 1 FROM message WHERE wanted = 1").fetchone():
        await asyncio.sleep(0.001)


async def test_fetched_once_for_all(party: Party, replica: Replica, line: BadLine) -> None:
    inbox, message = await one(party, replica, LARGE)
    found = await asyncio.gather(*[octets_of(replica, inbox, message) for _ in range(5)])
    assert set(found) == {LARGE}
    assert await octets_of(replica, inbox, message, offset=500_000) == LARGE[500_000:]
    assert line.calls["body"] == 1
    assert line.octets == len(LARGE)


async def test_resumed_where_it_broke(party: Party, replica: Replica, line: BadLine) -> None:
    inbox, message = await one(party, replica, LARGE)
    line.cut_body_after = 300_000
    got = bytearray()

    async def read(offset: int) -> None:
        body = await replica.body(inbox, message, offset=offset)
        async for chunk in body.chunks:
            got.extend(chunk)

    with pytest.raises(SourceUnavailable):
        await read(0)
    assert got == LARGE[:300_000]
    line.octets = 0
    await read(len(got))
    assert got == LARGE
    assert line.octets == len(LARGE) - 300_000


async def test_resumed_after_a_crash(party: Party, aboard: Aboard, line: BadLine) -> None:
    async with aboard.open_and_crash() as replica:
        inbox, message = await one(party, replica, LARGE)
        line.cut_body_after = 700_000
        with pytest.raises(SourceUnavailable):
            await octets_of(replica, inbox, message)
    line.octets = 0
    async with aboard.open() as replica:
        assert await octets_of(replica, inbox, message) == LARGE
        assert line.octets == len(LARGE) - 700_000


class Trickling(BadLine):
    """Gives a body one step at a time."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.steps = asyncio.Semaphore(0)

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        body = await super().body(mailbox, message, section, offset)
        return Body(body.size, self._step_by_step(body))

    async def _step_by_step(self, body: Body) -> AsyncIterator[bytes]:
        async for chunk in body.chunks:
            await self.steps.acquire()
            yield chunk


class TestTrickling:
    @pytest.fixture
    def line(self, origin: MemorySource) -> Trickling:
        return Trickling(origin)

    async def test_served_while_it_arrives(
        self, party: Party, replica: Replica, line: Trickling
    ) -> None:
        inbox, message = await one(party, replica, LARGE)
        body = await replica.body(inbox, message)
        assert body.size == len(LARGE)
        got = bytearray()
        while len(got) < len(LARGE):
            line.steps.release()
            chunk = await anext(body.chunks)
            assert len(chunk) <= CHUNK_LENGTH_MAX
            got += chunk
        assert got == LARGE

    async def test_one_that_comes_later_shares_it(
        self, party: Party, replica: Replica, line: Trickling
    ) -> None:
        inbox, message = await one(party, replica, LARGE)
        first = await replica.body(inbox, message)
        line.steps.release()
        assert await anext(first.chunks)
        second = await replica.body(inbox, message)
        for _ in range(100):
            line.steps.release()
        assert b"".join([chunk async for chunk in second.chunks]) == LARGE
        assert line.calls["body"] == 1

    async def test_closed_while_it_arrives(
        self, party: Party, aboard: Aboard, line: Trickling
    ) -> None:
        """What had come stays; who was reading is told."""
        async with aboard.open() as replica:
            inbox, message = await one(party, replica, LARGE)
            body = await replica.body(inbox, message)
            line.steps.release()
            assert await anext(body.chunks)
        with pytest.raises(SourceUnavailable):
            await anext(body.chunks)
        for _ in range(100):
            line.steps.release()
        line.octets = 0
        async with aboard.open() as replica:
            assert await octets_of(replica, inbox, message) == LARGE
            assert line.octets < len(LARGE)


async def test_memory_is_bounded(party: Party, replica: Replica) -> None:
    letter = large(20_000_000)
    inbox, message = await one(party, replica, letter)
    tracemalloc.start()
    body = await replica.body(inbox, message)
    octets = 0
    async for chunk in body.chunks:
        octets += len(chunk)
    _, down = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(letter), CHUNK_LENGTH_MAX):
            yield letter[at : at + CHUNK_LENGTH_MAX]

    await replica.upload(chunks())
    _, up = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert octets == len(letter)
    assert down < 4_000_000
    assert up < 4_000_000


# Sections


@pytest.mark.parametrize("section", sorted(SECTIONS))
async def test_sections_without_the_rest(
    party: Party, replica: Replica, line: BadLine, section: str
) -> None:
    inbox, message = await one(party, replica, PARTS)
    assert await octets_of(replica, inbox, message, Section(section)) == SECTIONS[section]
    assert line.octets <= len(SECTIONS[section])
    line.down()
    assert await octets_of(replica, inbox, message, Section(section)) == SECTIONS[section]


@pytest.mark.parametrize("section", sorted(SECTIONS))
async def test_sections_of_what_is_here(
    party: Party, replica: Replica, line: BadLine, section: str
) -> None:
    inbox, message = await one(party, replica, PARTS)
    await octets_of(replica, inbox, message)
    line.down()
    assert await octets_of(replica, inbox, message, Section(section)) == SECTIONS[section]
    with pytest.raises(SectionNotFound):
        await octets_of(replica, inbox, message, Section("9"))


async def test_sections_of_what_was_made_here(replica: Replica, line: BadLine) -> None:
    line.down()
    made = await Crew(replica).put(PARTS)
    inbox = await inbox_of(replica)
    for section, octets in SECTIONS.items():
        assert await octets_of(replica, inbox, made.id, Section(section)) == octets


class Different(BadLine):
    """A server that takes the message apart in another way than we do."""

    async def summaries(
        self, mailbox: MailboxId, messages: Sequence[MessageId], what: frozenset[SummaryItem]
    ) -> AsyncIterator[Sequence[Summary]]:
        structure = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 999 9)'
        async for batch in super().summaries(mailbox, messages, what):
            yield [
                replace(each, body_structure=structure) if each.body_structure else each
                for each in batch
            ]

    async def body(
        self, mailbox: MailboxId, message: MessageId, section: Section = WHOLE, offset: int = 0
    ) -> Body:
        if section == "1":
            self._call("body")
            return Body(7, self._theirs())
        return await super().body(mailbox, message, section, offset)

    async def _theirs(self) -> AsyncIterator[bytes]:
        yield b"theirs\n"


class TestDifferent:
    @pytest.fixture
    def line(self, origin: MemorySource) -> Different:
        return Different(origin)

    async def test_where_our_parse_differs_sections_are_the_servers(
        self, party: Party, replica: Replica, line: Different
    ) -> None:
        inbox, message = await one(party, replica, PARTS)
        assert await octets_of(replica, inbox, message) == PARTS
        assert await octets_of(replica, inbox, message, Section("1")) == b"theirs\n"
        assert await octets_of(replica, inbox, message, Section("HEADER")) == SECTIONS["HEADER"]
        assert await octets_of(replica, inbox, message, Section("TEXT")) == SECTIONS["TEXT"]
        line.down()
        assert await octets_of(replica, inbox, message, Section("1")) == b"theirs\n"
        with pytest.raises(SourceUnavailable):
            await octets_of(replica, inbox, message, Section("2"))


# Ahead of time


@pytest.mark.parametrize("policy", BodyPolicy)
async def test_policies(aboard: Aboard, party: Party, line: BadLine, policy: BodyPolicy) -> None:
    far = await inbox_of(party.source)
    await party.deliver(far, note(1), note(2))
    aboard.settings = replace(aboard.settings, bodies=policy, body_length_max=5_000)
    async with aboard.open() as replica:
        await replica.refresh(None)
        await party.deliver(far, note(3), large(10_000))
        await replica.refresh(None)
        await all_bodies_here(replica)
        inbox = await inbox_of(replica)
        ids = await everything(replica, inbox)
        here = []
        for message in ids:
            found = bodies.find(replica._core.store.reader, message, WHOLE)
            here.append(found is not None and found.whole)
        assert (
            here
            == {
                BodyPolicy.LIST: [False, False, False, False],
                BodyPolicy.NEW: [False, False, True, False],
                BodyPolicy.ALL: [True, True, True, False],
            }[policy]
        )


async def test_fetched_ahead_of_time_after_the_line_was_down(
    aboard: Aboard, party: Party, line: BadLine
) -> None:
    await party.deliver(await inbox_of(party.source), LARGE)
    aboard.settings = replace(aboard.settings, bodies=BodyPolicy.ALL)
    line.cut_body_after = 100_000
    async with aboard.open() as replica:
        await replica.refresh(None)
        await all_bodies_here(replica)
        line.down()
        inbox = await inbox_of(replica)
        [message] = await everything(replica, inbox)
        assert await octets_of(replica, inbox, message) == LARGE
        assert line.octets == len(LARGE)


# Room


async def test_room_is_limited(aboard: Aboard, party: Party, line: BadLine) -> None:
    aboard.settings = replace(aboard.settings, stored_octets_max=60_000)
    letters = [noise(20_000, seed) for seed in range(4)]
    for letter in letters:
        await party.deliver(await inbox_of(party.source), letter)
    async with aboard.open() as replica:
        await replica.refresh(None)
        inbox = await inbox_of(replica)
        ids = await everything(replica, inbox)
        for message, letter in zip(ids, letters, strict=True):
            assert await octets_of(replica, inbox, message) == letter
        await replica._keeping.clean_up()
        assert bodies.stored_octets(replica._core.store.reader) <= 60_000
        line.octets = 0
        assert await octets_of(replica, inbox, ids[-1]) == letters[-1]
        assert line.octets == 0
        assert await octets_of(replica, inbox, ids[0]) == letters[0]
        assert line.octets == len(letters[0])


async def test_copies_share_their_content(party: Party, replica: Replica, line: BadLine) -> None:
    inbox, message = await one(party, replica, LARGE)
    crew = Crew(replica)
    box = await crew.create("Copies")
    await octets_of(replica, inbox, message)
    [copied] = await crew.do(copy(inbox, box, message))
    await crew.do(expunge(inbox, message))
    await replica.carried_out()
    await replica._keeping.clean_up()
    line.down()
    assert await octets_of(replica, box, copied.created[0].id) == LARGE
    [[count]] = replica._core.store.reader.execute("SELECT count(*) FROM body").fetchall()
    assert count == 1
    await crew.do(expunge(box, copied.created[0].id))
    line.back()
    await replica.carried_out()
    await replica._keeping.clean_up()
    [[count]] = replica._core.store.reader.execute("SELECT count(*) FROM body").fetchall()
    assert count == 0


async def test_uploads_that_nobody_refers_to_are_forgotten(
    replica: Replica, aboard: Aboard
) -> None:
    crew = Crew(replica)
    append = await crew.append(note(1))
    await replica._keeping.clean_up()
    await crew.do(replace(append, id=operation_id()))  # It is still there.
    await replica.carried_out()
    unused = await crew.append(note(2))
    core = replica._core
    replica._uploads._uploaded.clear()
    await replica._keeping.clean_up()
    [[count]] = core.journal.reader.execute("SELECT count(*) FROM blob").fetchall()
    assert count == 0
    with pytest.raises(Exception, match="no blob"):
        await crew.do(unused)
