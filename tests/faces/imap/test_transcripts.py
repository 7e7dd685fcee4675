"""Dialogues as data: what mail programs say and what they are told, word for word.

    M: INBOX note-1 \\Seen     a letter of tests/contract/letters.py is in the mailbox, with flags
    C: a1 SELECT INBOX        the client says this line
    S: a1 OK ...              the server says exactly this line
    S| of a literal           the line goes on after a line end, as literals do
    C2: / S2:                 the same for another session of the same login

Both sessions have logged in, except in files that begin with "stranger".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from mailferry.mail.mailbox import INBOX, MailboxId
from mailferry.mail.message import flag
from mailferry.mail.operation import Append, CreateMailbox, Delivery
from mailferry.sources.memory import MemorySource
from tests.contract import letters
from tests.contract.world import operation_id
from tests.faces.imap.house import NOW, Client, House

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


class Step(NamedTuple):
    number: int
    kind: str
    text: str


def steps(path: Path) -> list[Step]:
    """Read a file; lines of one literal become one step."""
    found: list[Step] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        kind, _, text = line.partition(" ")
        if not line or kind == "#":
            continue
        if kind.endswith("|"):
            before = found.pop()
            found.append(before._replace(text=f"{before.text}\r\n{text}"))
        else:
            found.append(Step(number, kind.removesuffix(":"), text))
    return found


def letter(name: str) -> bytes:
    kind, _, number = name.partition("-")
    return letters.note(int(number)) if kind == "note" else bytes(getattr(letters, kind.upper()))


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def put(source: MemorySource, text: str) -> None:
    """Put a letter into a mailbox, which is made when it is not there."""
    name, letter_name, *flags = text.split(" ")
    path = INBOX if name == "INBOX" else tuple(name.split("/"))
    blob = await source.upload(once(letter(letter_name)))
    append = Append(
        id=operation_id(),
        mailbox=await mailbox_id(source, path),
        blob=blob.id,
        size=blob.size,
        flags=frozenset(map(flag, flags)),
        internal_date=NOW,
    )
    await source.stage([append], login="setup")
    await source.settle([append.id], Delivery.DELIVERED)


async def mailbox_id(source: MemorySource, path: tuple[str, ...]) -> MailboxId:
    for mailbox in await source.mailboxes():
        if mailbox.path == path:
            return mailbox.id
    create = CreateMailbox(id=operation_id(), path=path)
    [staged] = await source.stage([create], login="setup")
    await source.settle([create.id], Delivery.DELIVERED)
    assert staged.mailbox is not None
    return staged.mailbox


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
async def test_transcript(path: Path) -> None:
    house = House("ann")
    clients: dict[str, Client] = {}
    async with AsyncExitStack() as stack:
        for number, kind, text in steps(path):
            if kind == "M":
                await put(house.source, text)
                continue
            client = clients.get(kind[1:])
            if client is None:
                enter = house.connected() if path.stem.startswith("stranger") else house.logged_in()
                client = clients[kind[1:]] = await stack.enter_async_context(enter)
            if kind[0] == "C":
                await client.send(text.encode() + b"\r\n")
            else:
                said = (await client.line()).decode()
                assert said == text, f"{path.name}:{number}"
