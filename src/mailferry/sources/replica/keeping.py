"""Housekeeping: what is no longer needed goes, and numbers are reserved ahead."""

from __future__ import annotations

import asyncio
from typing import Final

from mailferry.sources.replica.bodies import Bodies
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.uploads import Uploads
from mailferry.store import account_state, shown, view

INTERVAL_S: Final = 300.0  # Nothing here is urgent.


class Keeping:
    """Keeps an account's files in order."""

    def __init__(self, core: Core, uploads: Uploads, bodies: Bodies) -> None:
        self._core = core
        self._uploads = uploads
        self._bodies = bodies

    async def run(self) -> None:
        """Clean up now and then."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.clean_up()

    async def clean_up(self) -> None:
        """Forget what nothing refers to, reserve what will be needed."""
        core = self._core
        await self._uploads.forget_old()
        await self._bodies.drop_orphans()
        await self._bodies.make_room()
        mailboxes = list(core.boxes)
        await core.store.write(lambda connection: shown.forget_tombstones(connection, mailboxes))
        reached = view.modseq(core.store.reader)
        await core.journal.write(
            lambda connection: account_state.reserve_modseqs(connection, core.account, reached)
        )
