"""Telling whoever keeps a file open that it was found damaged while it was read."""

from __future__ import annotations

import asyncio

from mailferry.mail.errors import StorageDamaged
from mailferry.store.database import TranslatingConnection


class Alarm:
    """Rings once, for one file; from any thread."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._error: StorageDamaged | None = None

    def watch(self, *readers: TranslatingConnection) -> None:
        """Ring when one of these meets damage.  Called on the event loop."""
        loop = asyncio.get_running_loop()

        def ring(error: StorageDamaged) -> None:
            loop.call_soon_threadsafe(self._ring, error)

        for reader in readers:
            reader.on_damage = ring

    def _ring(self, error: StorageDamaged) -> None:
        self._error = self._error or error
        self._rung.set()

    async def wait(self) -> None:
        """Wait for damage.

        Raises:
            StorageDamaged: there is some; that is how this ends.
        """
        await self._rung.wait()
        if self._error is not None:
            raise StorageDamaged(*self._error.args)
