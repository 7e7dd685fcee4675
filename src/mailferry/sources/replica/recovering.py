"""Keeping mail that has lost its place: the mailbox `Recovered` (docs/rule.md, 6).

An append or copy whose target has gone goes there instead, and is carried out there.  An append that
the server refuses for another reason stays there, on this side only, until the user takes it out.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import msgspec

from mailferry import observe
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    Move,
    OperationId,
    OperationState,
)
from mailferry.sources.replica.core import RECOVERED, Box, Core
from mailferry.sources.replica.pending import births_in
from mailferry.sources.replica.undoing import with_ids
from mailferry.store import identifiers, operations
from mailferry.store.codec import MadeMailbox, Result, mailbox_id, mailbox_key
from mailferry.store.database import Connection
from mailferry.store.identifiers import MappedMailbox
from mailferry.store.operations import StoredOperation
from mailferry.sync.fold import find_mailbox, is_selectable

OURSELVES: Final = "mailferry"
"""Who asked, for the history, when nobody did."""

_log = observe.logger(__name__)


@dataclass(slots=True)
class _Moved:
    made: dict[int, tuple[int, int]]
    rewritten: list[StoredOperation]


class Recovering:
    """Finds new places for mail of an account."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def mailbox_gone(self, mailbox: int) -> None:
        """Forget a mailbox that is not at the server any more, but not what was on its way there."""
        core = self._core
        _log.info("mailbox gone at the server mailbox=%d", mailbox)
        coming = [each for each in core.pending if births_in(each.operation) == mailbox]
        if self.is_recovered(mailbox):
            await self._made_again(core.boxes[mailbox])
            return
        if coming:
            await self.file(coming, "its mailbox has gone: filed in Recovered")
        await core.journal.write(lambda connection: identifiers.forget_mailbox(connection, mailbox))
        core.boxes.pop(mailbox, None)
        await core.edit(lambda edit: edit.drop_mailbox(mailbox))
        core.refold_list()
        core.committed.set()

    async def _made_again(self, recovered: Box) -> None:
        """Keep `Recovered` though it is not at the server: what is in it may be nowhere else.

        Whoever deletes it there sees an empty mailbox.  What the server had in it has gone.
        """
        core = self._core
        made = MadeMailbox(recovered.id, recovered.path, recovered.uid_validity)
        now = core.clock()

        def unit(connection: Connection) -> tuple[list[int], StoredOperation]:
            gone = identifiers.displace_mailbox(connection, recovered.id)
            return gone, _add_create(connection, core.account, made, now)

        gone, stored = await core.journal.write(unit)
        core.boxes[recovered.id] = replace(recovered, at_server=False, remote=None)
        core.pending.add(stored)
        await core.edit(lambda edit: edit.remove(gone))
        core.refold_list()
        core.committed.set()

    async def file(
        self,
        coming: Sequence[StoredOperation],
        reason: str,
        final: OperationState | None = None,
    ) -> None:
        """Let what operations make be made in `Recovered`; with `final`, they end there.

        All of them make messages in one and the same mailbox.
        """
        async with self._core.identities:
            current = [self._core.pending.get(each.sequence) for each in coming]
            moving = [each for each in current if each is not None]
            if moving:
                await self._file(moving, await self._mailbox(), reason, final)

    async def _file(
        self,
        coming: Sequence[StoredOperation],
        recovered: Box,
        reason: str,
        final: OperationState | None,
    ) -> None:
        core = self._core
        source = births_in(coming[0].operation)
        births = [birth.message for each in coming for birth in each.result.births]
        others = core.pending.naming(births)
        finished = {each.sequence for each in coming}
        now = core.clock()

        def unit(connection: Connection) -> _Moved:
            made = identifiers.bear_again(connection, source, births, into=recovered.id)
            renamed = {old: new for old, (new, _) in made.items()}
            rewritten = [
                _retargeted(with_ids(each, renamed), recovered)
                if each.sequence in finished
                else with_ids(each, renamed)
                for each in others
            ]
            for each in rewritten:
                operations.rewrite(connection, each)
            if final is not None:
                operations.move_on(connection, finished, final, now=now, reason=reason)
            return _Moved(made, rewritten)

        async with core.numbering([recovered.id]):
            moved = await core.journal.write(unit)
            for each in moved.rewritten:
                core.pending.rewrite(each)
            if final is not None:
                for sequence in finished:
                    core.pending.remove(sequence)
            await core.edit(
                lambda edit: edit.bear_again(recovered.id, moved.made),
                [new for new, _ in moved.made.values()],
            )
        _log.info("mail filed in Recovered messages=%d reason=%s", len(moved.made), reason)

    def is_recovered(self, mailbox: int) -> bool:
        """Whether a mailbox is the one that keeps what has lost its place."""
        box = self._core.boxes.get(mailbox)
        return box is not None and box.path == RECOVERED

    async def _mailbox(self) -> Box:
        core = self._core
        shown = find_mailbox(core.shown, RECOVERED)
        if shown is not None and is_selectable(shown):
            return core.boxes[mailbox_key(shown.id)]
        return await self._make_mailbox()

    async def _make_mailbox(self) -> Box:
        core = self._core
        now = core.clock()

        def unit(connection: Connection) -> tuple[MappedMailbox, StoredOperation]:
            mapped = identifiers.add_mailbox(
                connection, core.account, RECOVERED, None, now_s=int(now.timestamp())
            )
            made = MadeMailbox(mapped.id, mapped.path, mapped.uid_validity)
            return mapped, _add_create(connection, core.account, made, now)

        mapped, stored = await core.journal.write(unit)
        box = Box(
            id=mapped.id,
            path=RECOVERED,
            uid_validity=mapped.uid_validity,
            at_server=False,
            remote=None,
        )
        core.boxes[box.id] = box
        core.pending.add(stored)
        await core.edit(
            lambda edit: edit.put_mailbox(box.id, box.path, (), listed=False, uid_next=1)
        )
        core.refold_list()
        core.committed.set()
        return box


def _add_create(
    connection: Connection, account: int, made: MadeMailbox, now: datetime
) -> StoredOperation:
    """Commit the creation of `Recovered` at the server, on our own behalf."""
    stored = operations.add(
        connection,
        account,
        CreateMailbox(id=OperationId(secrets.token_hex(16)), path=RECOVERED),
        result=Result(mailboxes=(made,)),
        login=OURSELVES,
        paths=(RECOVERED, None),
        now=now,
    )
    operations.move_on(connection, [stored.sequence], OperationState.COMMITTED, now=now)
    return operations.with_state(stored, OperationState.COMMITTED)


def _retargeted(stored: StoredOperation, recovered: Box) -> StoredOperation:
    result = msgspec.structs.replace(stored.result, uid_validity=recovered.uid_validity)
    match stored.operation:
        case Copy() | Move():
            operation = replace(stored.operation, target=mailbox_id(recovered.id))
            return replace(stored, operation=operation, result=result)
        case Append():
            appended = replace(stored.operation, mailbox=mailbox_id(recovered.id))
            return replace(stored, operation=appended, result=result)
        case _:
            return stored
