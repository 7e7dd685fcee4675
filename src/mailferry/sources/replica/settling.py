"""What becomes of staged operations when their answers were delivered or lost (docs/rule.md).

What was answered is settled, also when there is no room on the disk to note it: then it is owed, and
tried again until it is noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailferry import observe
from mailferry.mail.errors import StorageFull
from mailferry.mail.operation import Delivery, OperationId, OperationState
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.pending import messages_of
from mailferry.sources.replica.undoing import Undo, undo, whole
from mailferry.store import operations
from mailferry.store.operations import StoredOperation
from mailferry.sync.journal import Event, next_state

_WHY: Final = {
    Event.LOST: "not answered: not sent",
    Event.RESTARTED: "mailferry stopped before it was known whether this was answered: not sent",
}

_log = observe.logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """What is to be noted of a staged operation."""

    sequence: int
    state: OperationState
    reason: str = ""
    is_shown: bool = True
    """False: nothing has gone by it, so nothing has to come back."""


class Settling:
    """Settles operations of an account."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due: set[int] = set()
        """Operations of which something is being noted, or is owed."""
        self._owed: dict[int, _Due] = {}
        """What found no room; none but staged operations."""
        self._owing = asyncio.Event()
        self._paying = asyncio.Lock()

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        """See StagingSource.settle; operations that are settled already stay as they are."""
        found = [stored for key in ids if (stored := self._core.pending.find(key)) is not None]
        event = Event.DELIVERED if delivery is Delivery.DELIVERED else Event.LOST
        await self._core.finish(self.happen(found, event))

    async def happen(self, found: Iterable[StoredOperation], event: Event) -> None:
        """Let the same event happen to staged operations."""
        dues: list[_Due] = []
        for each in found:
            stored = self._core.pending.get(each.sequence)
            if stored is None or stored.state is not OperationState.STAGED:
                continue
            after = next_state(stored.state, event, stored.operation.nature)
            reason = "" if after is OperationState.COMMITTED else _WHY[event]
            dues.append(_Due(sequence=stored.sequence, state=after, reason=reason))
        await self._write([due for due in dues if due.sequence not in self._due])

    async def take_back(self, found: Sequence[StoredOperation]) -> None:
        """Forget operations that could not be shown: whatever they are, they were refused."""
        await self._write(
            [
                _Due(
                    sequence=each.sequence,
                    state=OperationState.WITHDRAWN,
                    reason="there was no room to show it: refused",
                    is_shown=False,
                )
                for each in found
            ]
        )
        # Something else may have been shown of the same messages meanwhile, and these with it.
        named = {message for each in found for message in messages_of(each.operation)}
        if named:
            await self._core.edit_in_the_end(lambda edit: edit.refold(named), named)

    async def run(self) -> None:
        """Note what is owed when there may be room again."""
        while True:
            await self._owing.wait()
            await asyncio.sleep(self._core.settings.no_room_delay_s)
            await self._core.finish(self.write_owed())

    async def write_owed(self) -> None:
        """Try once more to note what found no room."""
        async with self._paying:
            self._owing.clear()
            await self._write(list(self._owed.values()))

    async def _write(self, dues: Sequence[_Due]) -> None:
        self._due.update(due.sequence for due in dues)
        try:
            await self._commit(
                [due.sequence for due in dues if due.state is OperationState.COMMITTED]
            )
            if any(due.state is not OperationState.COMMITTED for due in dues):
                await undo(
                    self._core,
                    lambda: [each for due in dues if (each := self._undo(due)) is not None],
                )
        except StorageFull as exc:
            _log.warning("operations are settled when there is room reason=%s", exc)
            self._owed.update((due.sequence, due) for due in dues if self._is_staged(due.sequence))
            self._owing.set()
        finally:
            done = {due.sequence for due in dues if not self._is_staged(due.sequence)}
            self._due -= done
            for sequence in done:
                self._owed.pop(sequence, None)

    def _is_staged(self, sequence: int) -> bool:
        stored = self._core.pending.get(sequence)
        return stored is not None and stored.state is OperationState.STAGED

    def _undo(self, due: _Due) -> Undo | None:
        stored = self._core.pending.get(due.sequence)
        if stored is None or due.state is OperationState.COMMITTED:
            return None
        undoing = whole(stored, due.state, due.reason)
        return undoing if due.is_shown else replace(undoing, messages=frozenset())

    async def _commit(self, sequences: Sequence[int]) -> None:
        core = self._core
        if not sequences:
            return
        now = core.clock()
        await core.journal.write(
            lambda connection: operations.move_on(
                connection, sequences, OperationState.COMMITTED, now=now
            )
        )
        for sequence in sequences:
            core.pending.set_state(sequence, OperationState.COMMITTED)
        core.committed.set()
