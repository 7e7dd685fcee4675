"""One mailbox that cannot be opened, or that goes away, is no trouble for the others."""

from __future__ import annotations

import asyncio

import pytest

from mailferry.mail.changes import Changes
from mailferry.mail.errors import (
    CannotCalculateChanges,
    MailboxNotFound,
    MailError,
    NotPermitted,
    SourceUnavailable,
)
from mailferry.mail.mailbox import MailboxId, State
from mailferry.mail.message import SEEN
from mailferry.mail.operation import DeleteMailbox
from mailferry.mail.source import CHANGES_LIMIT
from mailferry.sources.memory import MemorySource
from mailferry.sources.replica.replica import Replica
from tests.contract.letters import note
from tests.contract.world import Party, flags_of, inbox_of, operation_id
from tests.sources.replica.bad_line import BadLine
from tests.sources.replica.crew import Crew, flags, uids


class Shut(BadLine):
    """Has a mailbox that is listed and cannot be opened."""

    def __init__(self, origin: MemorySource) -> None:
        super().__init__(origin)
        self.shut: dict[MailboxId, MailError] = {}
        self.forgets = False
        """Any state that it told of before."""

    async def changes(
        self, mailbox: MailboxId, since: State | None, *, limit: int = CHANGES_LIMIT
    ) -> Changes:
        if mailbox in self.shut:
            raise self.shut[mailbox]
        if self.forgets and since is not None:
            raise CannotCalculateChanges("too much has changed")
        return await super().changes(mailbox, since, limit=limit)


@pytest.fixture
def line(origin: MemorySource) -> Shut:
    return Shut(origin)


@pytest.mark.parametrize(
    "error",
    [NotPermitted("no rights"), MailboxNotFound("NO"), SourceUnavailable("a broken index")],
    ids=["not permitted", "not found", "broken"],
)
async def test_a_mailbox_that_cannot_be_opened_does_not_starve_the_others(
    replica: Replica, party: Party, line: Shut, error: MailError
) -> None:
    line.shut[await party.create("Aaa")] = error
    await party.deliver(await party.create("Bbb"), note(1))
    line.calls.clear()
    async with asyncio.timeout(10):
        while not any(each.path == ("Bbb",) for each in await replica.mailboxes()):
            await replica.refresh(None)
        crew = Crew(replica)
        while len(await uids(replica, await crew.box("Bbb"))) != 1 or not replica.reachable:
            await replica.refresh(None)
    assert line.calls["mailboxes"] < 20


async def test_a_deletion_is_withdrawn_when_its_mailbox_has_gone(
    replica: Replica, party: Party
) -> None:
    there = await party.create("Gone")
    await replica.refresh(None)
    crew = Crew(replica)
    deletion = DeleteMailbox(id=operation_id(), mailbox=await crew.box("Gone"))
    await crew.stage(deletion)
    await party.done(DeleteMailbox(id=operation_id(), mailbox=there))
    await replica.refresh(None)
    await crew.lose(deletion)
    assert [each.state.value for each in await crew.history()] == ["withdrawn"]
    assert [each.path for each in await replica.mailboxes()] == [("INBOX",)]


async def test_flags_that_changed_while_the_state_was_lost_are_shown(
    replica: Replica, party: Party, line: Shut
) -> None:
    line.tells_flags = False
    inbox = await inbox_of(party.source)
    names = await party.deliver(inbox, note(1))
    await replica.refresh(None)
    crew = Crew(replica)
    [message] = await uids(replica, await crew.box())
    assert await flags_of(replica, await crew.box(), message) == set()
    await party.done(flags(inbox, *names, add=[SEEN]))
    line.forgets = True
    await replica.refresh(None)
    assert await flags_of(replica, await crew.box(), message) == {SEEN}
