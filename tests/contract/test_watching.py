"""The contract of MailSource.watch."""

from __future__ import annotations

from mailferry.mail.changes import MailboxChanged, MailboxesChanged
from mailferry.mail.mailbox import INBOX
from mailferry.mail.message import SEEN
from mailferry.mail.operation import CreateMailbox, Expunge, SetFlags
from tests.contract.letters import note
from tests.contract.world import (
    Party,
    World,
    everything,
    inbox_of,
    mailbox_of,
    next_event_of_kind,
    operation_id,
)


async def test_mail_that_comes_is_told(world: World, party: Party) -> None:
    inbox = await inbox_of(world.source)
    events = world.source.watch()
    for number in range(2):
        await party.deliver(await inbox_of(world.origin), note(number))
        await next_event_of_kind(events, MailboxChanged(inbox))


async def test_flags_and_removals_are_told(world: World, party: Party) -> None:
    far = await inbox_of(world.origin)
    [message] = await party.deliver(far, note(1))
    await world.catch_up()
    inbox = await inbox_of(world.source)
    assert await everything(world.source, inbox)
    events = world.source.watch()
    await party.done(
        SetFlags(id=operation_id(), mailbox=far, messages=(message,), add=frozenset({SEEN}))
    )
    await next_event_of_kind(events, MailboxChanged(inbox))
    await party.done(Expunge(id=operation_id(), mailbox=far, messages=(message,)))
    await next_event_of_kind(events, MailboxChanged(inbox))
    await world.catch_up()
    assert await everything(world.source, inbox) == []


async def test_every_watcher_is_told(world: World, party: Party) -> None:
    inbox = await inbox_of(world.source)
    watches = [world.source.watch(), world.source.watch()]
    await party.deliver(await inbox_of(world.origin), note(1))
    for events in watches:
        await next_event_of_kind(events, MailboxChanged(inbox))


async def test_new_mailboxes_are_told(world: World, party: Party) -> None:
    await mailbox_of(world.source, INBOX)
    events = world.source.watch()
    await party.done(CreateMailbox(id=operation_id(), path=("Fresh",)))
    await next_event_of_kind(events, MailboxesChanged())


async def test_watches_end_with_the_source(world: World) -> None:
    await mailbox_of(world.source, INBOX)
    events = world.source.watch()
    await world.source.aclose()
    assert [event async for event in events] in [[], [MailboxesChanged()]]
