"""Events of a source, for everybody who watches it: coalesced, never lost, never waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Self
from weakref import WeakSet

from mailferry.mail.changes import Event, Reachability


class Watch(AsyncIterator[Event]):
    """The events that one watcher has not taken yet; watching begins when this is made.

    What is waiting is a set: its size is bounded by the number of mailboxes, however slow the
    watcher is.
    """

    def __init__(self) -> None:
        self._waiting: dict[Event, None] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Add an event, unless the same one is waiting already."""
        if isinstance(event, Reachability):  # Only how it is now counts.
            for waiting in [one for one in self._waiting if isinstance(one, Reachability)]:
                del self._waiting[waiting]
        self._waiting[event] = None
        self._wake.set()

    def close(self) -> None:
        """End the watch once the waiting events are taken."""
        self._closed = True
        self._wake.set()

    async def aclose(self) -> None:
        """End the watch now."""
        self._waiting.clear()
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        event = next(iter(self._waiting))
        del self._waiting[event]
        return event


class Watchers:
    """All who watch one source; a watch that nobody holds any more is forgotten."""

    def __init__(self) -> None:
        self._watches: WeakSet[Watch] = WeakSet()
        self._closed = False

    def watch(self) -> Watch:
        """Begin a watch."""
        watch = Watch()
        if self._closed:
            watch.close()
        self._watches.add(watch)
        return watch

    def publish(self, event: Event) -> None:
        """Tell everybody."""
        for watch in list(self._watches):
            watch.publish(event)

    def close(self) -> None:
        """End all watches, and those to come at once."""
        self._closed = True
        for watch in list(self._watches):
            watch.close()
