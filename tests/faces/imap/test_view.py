"""What a client pieces together from untagged responses is what the mailbox holds.

A model client applies EXISTS, EXPUNGE and FETCH to a list, as RFC 9051 §7 tells it to, while others
change the mailbox in any way at any time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import DELETED, SEEN, Flag, MessageId, flag
from mailferry.mail.operation import Append, Delivery, Expunge, Operation, SetFlags
from mailferry.sources.memory import MemorySource
from tests.contract.letters import note
from tests.contract.world import Follower, inbox_of, operation_id
from tests.faces.imap.house import Client, House, clock

_FETCH = re.compile(rb"(\d+) FETCH \(UID (\d+) FLAGS \(([^)]*)\)\)")


class Picture:
    """The mailbox as a client sees it: UID and flags in order of sequence numbers."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, set[bytes]] | None] = []

    def take(self, lines: Sequence[bytes], *, expunges: bool) -> None:
        for line in lines:
            number, _, word = line.partition(b" ")
            if word == b"EXISTS":
                assert int(number) > len(self.messages)
                self.messages += [None] * (int(number) - len(self.messages))
            elif word == b"EXPUNGE":
                assert expunges, "sequence numbers changed while they were in use"
                del self.messages[int(number) - 1]
            elif (found := _FETCH.fullmatch(line)) is not None:
                at = int(found[1]) - 1
                flags = {each for each in found[3].split() if each != b"\\Recent"}
                known = self.messages[at]
                assert known is None or known[0] == int(found[2])
                self.messages[at] = (int(found[2]), flags)


class Others:
    """Somebody else who changes the mailbox directly."""

    def __init__(self, source: MemorySource, mailbox: MailboxId) -> None:
        self._source = source
        self._mailbox = mailbox
        self._count = 0
        self._withdrawable: list[Operation] = []

    async def _do(self, operation: Operation) -> None:
        await self._source.stage([operation], login="other")
        await self._source.settle([operation.id], Delivery.DELIVERED)

    async def here(self) -> Follower:
        follower = Follower(self._source, self._mailbox)
        await follower.follow()
        return follower

    async def _some(self, number: int) -> tuple[MessageId, ...]:
        ids = sorted((await self.here()).flags)
        return tuple(each for at, each in enumerate(ids) if number >> at & 1)

    async def add(self, number: int) -> None:
        for _ in range(number % 3):
            self._count += 1
            blob = await self._source.upload(_once(note(self._count)))
            await self._do(
                Append(id=operation_id(), mailbox=self._mailbox, blob=blob.id, size=blob.size)
            )

    async def remove(self, number: int) -> None:
        if messages := await self._some(number):
            await self._do(Expunge(id=operation_id(), mailbox=self._mailbox, messages=messages))

    async def mark(self, number: int) -> None:
        if messages := await self._some(number):
            new: list[Flag] = [SEEN, DELETED, flag("k1"), flag("k2")]
            operation = SetFlags(
                id=operation_id(),
                mailbox=self._mailbox,
                messages=messages,
                add=frozenset({new[number % 4]}),
                remove=frozenset({new[(number + 1) % 4]}),
            )
            await self._do(operation)

    async def remove_and_withdraw(self, number: int) -> None:
        if messages := await self._some(number):
            operation = Expunge(id=operation_id(), mailbox=self._mailbox, messages=messages)
            await self._source.stage([operation], login="other")
            self._withdrawable.append(operation)

    async def withdraw(self, number: int) -> None:
        del number
        if self._withdrawable:
            await self._source.settle([self._withdrawable.pop().id], Delivery.LOST)


async def _once(data: bytes):  # type: ignore[no-untyped-def]
    yield data


async def look(client: Client, picture: Picture, command: str, *, expunges: bool) -> None:
    picture.take(await client.ok(command), expunges=expunges)


DONE_BY_OTHERS = ["add", "remove", "mark", "remove_and_withdraw", "withdraw"]
DONE_BY_THE_CLIENT = ["noop", "fetch", "uid fetch", "store", "uid store", "idle"]
STEPS = st.tuples(
    st.sampled_from([*DONE_BY_OTHERS, *DONE_BY_THE_CLIENT]), st.integers(min_value=0, max_value=63)
)


async def client_step(client: Client, picture: Picture, kind: str, number: int) -> None:
    count = len(picture.messages)
    chosen = number % count + 1 if count else 0
    match kind:
        case "noop":
            await look(client, picture, "NOOP", expunges=True)
        case "fetch" if count:
            await look(client, picture, f"FETCH 1:{chosen} (UID FLAGS)", expunges=False)
        case "uid fetch":
            await look(client, picture, "UID FETCH 1:* (FLAGS)", expunges=True)
        case "store" if count:
            await look(client, picture, f"STORE {chosen}:* +FLAGS (mine)", expunges=False)
        case "uid store":
            await look(client, picture, "UID STORE 1:* -FLAGS (mine)", expunges=True)
        case "idle":
            await client.send(b"i IDLE\r\n")
            lines: list[bytes] = []
            while not (line := await client.line()).startswith(b"+"):
                lines.append(line)
            await client.send(b"DONE\r\n")
            more, _ = await client.answer(b"i")
            told = [line.removeprefix(b"* ") for line in (*lines, *more)]
            picture.take(told, expunges=True)
        case _:
            assert kind in DONE_BY_THE_CLIENT


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=30), st.sampled_from([3, 10_000]))
async def test_the_picture_is_right(steps: list[tuple[str, int]], tombstones_max: int) -> None:
    house = House(make=lambda: MemorySource(clock=clock, tombstones_max=tombstones_max))
    inbox = await inbox_of(house.source)
    others = Others(house.source, inbox)
    await others.add(2)
    picture = Picture()
    async with house.logged_in() as client:
        await look(client, picture, "SELECT INBOX", expunges=False)
        await look(client, picture, "UID FETCH 1:* (FLAGS)", expunges=True)
        for kind, number in steps:
            if kind in DONE_BY_OTHERS:
                await getattr(others, kind)(number)
            else:
                await client_step(client, picture, kind, number)
        await look(client, picture, "NOOP", expunges=True)
        if None in picture.messages:
            await look(client, picture, "UID FETCH 1:* (FLAGS)", expunges=True)
    here = await others.here()
    wanted = sorted((here.uids[each], _shown(flags)) for each, flags in here.flags.items())
    assert picture.messages == wanted


def _shown(flags: frozenset[Flag]) -> set[bytes]:
    return {each.encode() for each in flags}
