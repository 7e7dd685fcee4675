"""What becomes of staged operations when their answers were delivered or lost (docs/rule.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mailferry.mail.operation import Delivery, OperationId, OperationState
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.undoing import undo, whole
from mailferry.store import operations
from mailferry.store.operations import StoredOperation
from mailferry.sync.journal import Event, next_state

_WHY: Final = {
    Event.LOST: "not answered: not sent",
    Event.RESTARTED: "mailferry stopped before it was known whether this was answered: not sent",
}


class Settling:
    """Settles operations of an account."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._being_settled: set[int] = set()

    async def settle(self, ids: Sequence[OperationId], delivery: Delivery) -> None:
        """See StagingSource.settle; operations that are settled already stay as they are."""
        found = [stored for key in ids if (stored := self._core.pending.find(key)) is not None]
        event = Event.DELIVERED if delivery is Delivery.DELIVERED else Event.LOST
        await self._core.finish(self.happen(found, event))

    async def happen(self, found: Iterable[StoredOperation], event: Event) -> None:
        """Let the same event happen to staged operations."""
        committed: list[StoredOperation] = []
        withdrawn: list[StoredOperation] = []
        for stored in found:
            if stored.state is not OperationState.STAGED or stored.sequence in self._being_settled:
                continue
            self._being_settled.add(stored.sequence)
            after = next_state(stored.state, event, stored.operation.nature)
            (committed if after is OperationState.COMMITTED else withdrawn).append(stored)
        try:
            if committed:
                await self._commit(committed)
            if withdrawn:
                undos = [whole(each, OperationState.WITHDRAWN, _WHY[event]) for each in withdrawn]
                await undo(self._core, undos)
        finally:
            self._being_settled -= {stored.sequence for stored in (*committed, *withdrawn)}

    async def _commit(self, committed: Sequence[StoredOperation]) -> None:
        core = self._core
        sequences = [stored.sequence for stored in committed]
        now = core.clock()
        await core.journal.write(
            lambda connection: operations.move_on(
                connection, sequences, OperationState.COMMITTED, now=now
            )
        )
        for sequence in sequences:
            core.pending.set_state(sequence, OperationState.COMMITTED)
        core.committed.set()
