"""A seeded model test: two replicas and a third party at one origin, cuts and crashes at random.

At rest all sides are equal, what was answered is done, nothing is lost and nothing doubled.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailferry.mail.errors import MailError
from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import ANSWERED, FLAGGED, SEEN, Flag, MessageId, SummaryItem
from mailferry.mail.operation import Delivery, Operation, OperationState
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.letters import note
from tests.contract.world import Party, everything, inbox_of
from tests.sources.replica.aboard import Aboard
from tests.sources.replica.bad_line import BadLine, Cut
from tests.sources.replica.crew import Crew, Mail, all_mail, copy, expunge, flags, move, uids

STEPS = 60
MARKS: list[Flag] = [SEEN, FLAGGED, ANSWERED]


@dataclass
class Node:
    aboard: Aboard
    line: BadLine
    replica: Replica | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def open(self, *, crashing: bool) -> Replica:
        opening = self.aboard.open_and_crash() if crashing else self.aboard.open()
        self.replica = await self.stack.enter_async_context(opening)
        return self.replica

    async def close(self) -> None:
        self.replica = None
        await self.stack.aclose()


class Sea:
    """Everything that can happen."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.origin = MemorySource()
        self.party = Party(self.origin)
        self.nodes = []
        for name in ("one", "two"):
            line = BadLine(self.origin)
            line.tells_uids = self.dice.random() < 0.5
            self.nodes.append(Node(Aboard(folder / name, line), line))
        self.letters = 0
        self.answered: dict[bytes, int] = {}
        """Letters whose append was answered: they must be somewhere, unless somebody expunged them."""
        self.expunged: set[bytes] = set()

    async def step(self) -> None:
        node = self.dice.choice(self.nodes)
        replica = node.replica or await node.open(crashing=self.dice.random() < 0.5)
        what = self.dice.choice(["work"] * 8 + ["cut", "line", "close", "party", "refresh", "wait"])
        try:
            match what:
                case "work":
                    await self.work(Crew(replica))
                case "cut":
                    node.line.cuts = [self.dice.choice([Cut.BEFORE, Cut.ASKED, Cut.ANSWERED])]
                case "line":
                    node.line.back() if not node.line.up else node.line.down()
                case "close":
                    await node.close()
                case "party":
                    await self.interfere()
                case "refresh":
                    await replica.refresh(None)
                case _:
                    for _ in range(self.dice.randrange(50)):
                        await asyncio.sleep(0)
        except MailError:
            pass  # A mailbox or message went between looking and asking, or the line is down.

    async def work(self, crew: Crew) -> None:
        boxes = [box for box in await crew.replica.mailboxes() if box.selectable]
        box = self.dice.choice(boxes).id
        target = self.dice.choice(boxes).id
        ids = sorted(await uids(crew.replica, box))
        some = tuple(self.dice.sample(ids, min(len(ids), self.dice.randint(1, 3))))
        kind = self.dice.choice(["append", "flags", "copy", "move", "expunge"])
        lost = self.dice.random() < 0.15
        if kind == "append" or not some:
            await self.append(crew, box, lost=lost)
            return
        operation = self.operation(kind, box, target, some)
        if kind == "expunge":
            await self._note_expunged(crew, box, some)
        await crew.stage(operation)
        if lost:
            await crew.lose(operation)
        else:
            await crew.replica.settle([operation.id], Delivery.DELIVERED)

    def operation(
        self, kind: str, box: MailboxId, target: MailboxId, some: tuple[MessageId, ...]
    ) -> Operation:
        match kind:
            case "flags":
                return flags(box, *some, add=[self.dice.choice(MARKS)])
            case "copy":
                return copy(box, target, *some)
            case "move":
                return move(box, target, *some)
            case _:
                return expunge(box, *some)

    async def _note_expunged(self, crew: Crew, box: MailboxId, some: tuple[MessageId, ...]) -> None:
        async for batch in crew.replica.summaries(
            box, list(some), frozenset({SummaryItem.HEADER_FIELDS})
        ):
            self.expunged.update(each.header_fields or b"" for each in batch)

    async def append(self, crew: Crew, box: MailboxId, *, lost: bool) -> None:
        self.letters += 1
        letter = note(self.letters)
        append = await crew.append(letter, box=box)
        await crew.stage(append)
        self.answered[letter] = self.letters
        if lost:
            await crew.lose(append)
        else:
            await crew.replica.settle([append.id], Delivery.DELIVERED)

    async def interfere(self) -> None:
        far = await inbox_of(self.origin)
        ids = await everything(self.origin, far)
        if ids and self.dice.random() < 0.6:
            await self.party.done(flags(far, self.dice.choice(ids), add=[self.dice.choice(MARKS)]))
        else:
            self.letters += 1
            await self.party.deliver(far, note(self.letters))
            self.answered[note(self.letters)] = self.letters

    async def come_to_rest(self) -> None:
        for node in self.nodes:
            await node.close()
            node.line.back()
            node.line.cuts.clear()
        for node in self.nodes:
            await node.open(crashing=False)
        for _ in range(4):
            for node in self.nodes:
                assert node.replica is not None
                await node.replica.refresh(None)
                await node.replica.carried_out()

    def is_lost(self, letter: bytes, found: set[bytes]) -> bool:
        if letter in found:
            return False
        fields = letter.partition(b"X-Not-Listed")[0] + b"\r\n"
        return fields not in self.expunged


def in_short(mail: Mail) -> dict[str, list[str]]:
    """Numbers of letters and flags: what a difference is seen in."""
    return {
        "/".join(path): sorted(
            " ".join(
                [letter.partition(b"Subject: ")[2].partition(b"\r")[0].decode(), *sorted(set_)]
            )
            for letter, set_ in box
        )
        for path, box in mail.items()
    }


@pytest.mark.parametrize("seed", range(6))
async def test_at_rest_all_sides_are_equal(tmp_path: Path, seed: int) -> None:
    sea = Sea(tmp_path, seed)
    await sea.party.create("Other")
    try:
        for _ in range(STEPS):
            await sea.step()
        await sea.come_to_rest()
        mail = await all_mail(sea.origin)
        for node in sea.nodes:
            assert node.replica is not None
            assert in_short(await all_mail(node.replica)) == in_short(mail)
            for entry in await node.replica.history():
                assert entry.state in {
                    OperationState.APPLIED,
                    OperationState.REFUSED,
                    OperationState.WITHDRAWN,
                }
        found = {letter for box in mail.values() for letter, _ in box}
        lost = [number for letter, number in sea.answered.items() if sea.is_lost(letter, found)]
        assert not lost
    finally:
        for node in sea.nodes:
            await node.close()
