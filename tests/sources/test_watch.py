"""Watches: coalesced, never lost, forgotten with their holders."""

from __future__ import annotations

import asyncio
import gc

from mailferry.mail.changes import Event, MailboxChanged, MailboxesChanged, Reachability
from mailferry.mail.mailbox import MailboxId
from mailferry.sources.watch import Watch, Watchers

INBOX = MailboxChanged(MailboxId("inbox"))


async def test_events_from_before_the_first_look_are_there() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    watchers.publish(INBOX)
    watchers.publish(MailboxesChanged())
    watchers.publish(INBOX)
    assert await anext(watch) == INBOX
    assert await anext(watch) == MailboxesChanged()
    watchers.close()
    assert [event async for event in watch] == []


async def test_of_reachability_only_the_last_is_told() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    for reachable in (True, False, True):
        watchers.publish(Reachability(reachable))
    watchers.close()
    assert [event async for event in watch] == [Reachability(reachable=True)]


async def test_what_waits_is_not_lost_by_closing() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    watchers.publish(INBOX)
    watchers.close()
    assert [event async for event in watch] == [INBOX]
    assert [event async for event in watchers.watch()] == []


async def test_who_waits_is_woken() -> None:
    watchers = Watchers()
    watches = [watchers.watch(), watchers.watch()]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(anext_of(watch)) for watch in watches]
        await asyncio.sleep(0)
        watchers.publish(INBOX)
    assert [task.result() for task in waiting] == [INBOX, INBOX]


async def test_an_event_comes_again_after_it_was_taken() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    for _ in range(2):
        watchers.publish(INBOX)
        assert await anext(watch) == INBOX


async def test_a_closed_watch_ends_at_once() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    watchers.publish(INBOX)
    await watch.aclose()
    assert [event async for event in watch] == []


async def test_a_watch_that_nobody_holds_is_forgotten() -> None:
    watchers = Watchers()
    watch = watchers.watch()
    assert len(watchers._watches) == 1
    del watch
    gc.collect()
    assert not watchers._watches


async def anext_of(watch: Watch) -> Event:
    return await anext(watch)
