"""Operations on messages that are on this side only: mail that the server refused (`recovering`).

Flags and removals are carried out here.  A copy or move to a mailbox of the server becomes an append,
an operation of its own in the journal; the original goes when that one holds the content.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from mailferry.mail.operation import (
    Append,
    Copy,
    Expunge,
    Move,
    OperationId,
    OperationState,
    SetFlags,
)
from mailferry.sources.replica.core import Core
from mailferry.sources.replica.pending import messages_of
from mailferry.sources.replica.undoing import without
from mailferry.store import blobs, identifiers, operations, view
from mailferry.store.codec import Birth, Result
from mailferry.store.database import Connection
from mailferry.store.operations import StoredOperation


@dataclass(frozen=True, slots=True)
class _Child:
    """An append that takes the place of a copy."""

    append: Append
    birth: Birth
    blob: int


class KeptHereOperations:
    """Carries out operations here."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def carry_out(self, stored: StoredOperation, messages: frozenset[int]) -> bool:
        """Carry an operation out for messages that are kept here; True: nothing of it is left."""
        async with self._core.identities:
            return await self._carry_out(stored, messages)

    async def _carry_out(self, stored: StoredOperation, messages: frozenset[int]) -> bool:
        match stored.operation:
            case SetFlags(add=add, remove=remove):
                await self._core.edit(
                    lambda edit: edit.add_to_said(messages, add, remove), messages
                )
                return await self._finish(stored, messages, [], frozenset())
            case Expunge():
                return await self._finish(stored, messages, [], messages)
            case Copy():
                return await self._finish(
                    stored, messages, self._appends(stored, messages), frozenset()
                )
            case Move():
                return await self._finish(
                    stored, messages, self._appends(stored, messages), messages
                )
            case _:
                return False

    def _appends(self, stored: StoredOperation, messages: frozenset[int]) -> list[_Child]:
        """Return the appends that make the copies."""
        core, operation = self._core, stored.operation
        assert isinstance(operation, Copy | Move)  # noqa: S101 - said by the caller
        reader = core.journal.reader
        mapped = identifiers.messages(reader, messages)
        births = {birth.original: birth for birth in stored.result.births}
        children = []
        for message in sorted(messages):
            key, birth = mapped[message].blob, births[message]
            if key is None:
                continue
            blob = blobs.get(reader, key)
            flags, date = view.born_with(core.store.reader, birth.message, core.store.flags)
            append = Append(
                id=OperationId(secrets.token_hex(16)),
                mailbox=operation.target,
                blob=blob.id,
                size=blob.size,
                flags=flags,
                internal_date=date or core.clock(),
            )
            children.append(_Child(append, Birth(0, 0, birth.message, birth.uid), key))
        return children

    async def _finish(
        self,
        stored: StoredOperation,
        messages: frozenset[int],
        children: list[_Child],
        gone: frozenset[int],
    ) -> bool:
        core = self._core
        rest = without(stored, messages)
        is_done = not messages_of(rest.operation)
        now = core.clock()

        def unit(connection: Connection) -> list[StoredOperation]:
            made = [_add(connection, core, stored, child, now) for child in children]
            if is_done:
                operations.move_on(connection, [stored.sequence], OperationState.APPLIED, now=now)
            else:
                operations.rewrite(connection, rest)
            identifiers.forget_messages(connection, gone)
            return made

        made = await core.journal.write(unit)
        if not is_done:
            core.pending.rewrite(rest)
        for child in made:
            core.pending.add(child)
        await core.edit(lambda edit: edit.remove(gone))
        core.committed.set()
        return is_done


def _add(
    connection: Connection, core: Core, stored: StoredOperation, child: _Child, now: datetime
) -> StoredOperation:
    path = core.shown_path(child.append.mailbox)
    identifiers.pin(connection, child.birth.message, child.blob)
    made = operations.add(
        connection,
        core.account,
        child.append,
        result=Result(births=(child.birth,), uid_validity=stored.result.uid_validity),
        login=stored.login,
        blob=child.blob,
        paths=(path, None),
        now=now,
    )
    operations.move_on(connection, [made.sequence], OperationState.COMMITTED, now=now)
    return operations.with_state(made, OperationState.COMMITTED)
