"""Noting what the server has carried out, as part of what it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    OperationState,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.sources.replica.core import Box, Core
from mailferry.sources.replica.mirror import WHOLE_ACCOUNT, Mirror
from mailferry.sources.replica.pending import births_in, messages_of
from mailferry.sources.replica.translating import Translated
from mailferry.store import blobs, identifiers, operations
from mailferry.store.codec import mailbox_key
from mailferry.store.database import Connection
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Edit
from mailferry.sync.plan import Parcel


class Applying:
    """Notes what was carried out."""

    def __init__(
        self, core: Core, mirror: Mirror, adopt: Callable[[int, int], Awaitable[None]]
    ) -> None:
        self._core = core
        self._mirror = mirror
        self._adopt = adopt

    async def note(
        self,
        parcel: Parcel,
        translated: Translated,
        outcome: Applied,
        found: Sequence[StoredOperation],
    ) -> list[int]:
        """Note that the operations of a parcel were carried out; return those that ended."""
        ended = [stored.sequence for stored in found]
        match parcel.operation:
            case SetFlags(messages=messages, add=add, remove=remove):
                # Here first: should we die in between, the change is made once more.
                await self._core.edit(
                    lambda edit: edit.add_to_said(messages, add, remove), messages
                )
                await self._finish(found, lambda connection: None)
            case Expunge(messages=messages):
                await self._core.edit(lambda edit: edit.remove(messages))
                await self._finish(
                    found, lambda connection: identifiers.forget_messages(connection, messages)
                )
            case Copy() | Move() | Append():
                ended = [
                    stored.sequence
                    for stored in found
                    if await self._note_births(stored, translated, outcome)
                ]
            case CreateMailbox() | RenameMailbox() | DeleteMailbox():
                for stored in found:
                    await self._note_list(stored, outcome)
            case Subscribe(path=path):
                await self._note_subscriptions(self._core.subscribed | {path}, found)
            case Unsubscribe(path=path):
                await self._note_subscriptions(self._core.subscribed - {path}, found)
        return ended

    async def _finish(
        self, found: Sequence[StoredOperation], also: Callable[[Connection], object]
    ) -> None:
        core = self._core
        sequences = [stored.sequence for stored in found]
        now = core.clock()

        def unit(connection: Connection) -> None:
            also(connection)
            operations.move_on(connection, sequences, OperationState.APPLIED, now=now)
            operations.trim_history(connection, core.account)

        await core.journal.write(unit)

    # Messages

    async def _note_births(
        self, stored: StoredOperation, translated: Translated, outcome: Applied
    ) -> bool:
        """Note what a copy, move or append made; return False when it has to be made elsewhere."""
        core = self._core
        mailbox = births_in(stored.operation)
        if isinstance(stored.operation, Append):
            for birth in stored.result.births:
                await self._adopt_content(birth.message)
        now = core.clock()
        noted = await core.journal.write(
            lambda connection: _note_made(
                connection, core.account, stored, _told(stored, translated, outcome), now
            )
        )
        if noted is None:  # Its target went, and it was given another one, while it was made there.
            core.pending.set_state(stored.sequence, OperationState.COMMITTED)
            core.committed.set()
            return False

        def show(edit: Edit) -> None:
            edit.inherit_said(noted.others)
            edit.remove(noted.gone)

        await core.edit(show, noted.others.values())
        if noted.unnamed:
            self._mirror.want(mailbox)
        return True

    def is_somebody_elses(self, parcel: Parcel, outcome: Applied) -> bool:
        """Whether what was found at the server is what another operation made here."""
        mailbox = births_in(parcel.operation)
        stored = self._core.pending.get(parcel.covers[0])
        if not mailbox or stored is None:
            return False
        ours = {birth.message for birth in stored.result.births}
        reader = self._core.journal.reader
        found = identifiers.by_remote(reader, mailbox, [name for _, name in outcome.created])
        mapped = identifiers.messages(reader, [key for key, _ in found.values()])
        return any(each.born and each.id not in ours for each in mapped.values())

    async def _adopt_content(self, message: int) -> None:
        mapped = identifiers.messages(self._core.journal.reader, [message]).get(message)
        if mapped is not None and mapped.blob is not None:
            await self._adopt(message, mapped.blob)

    # Mailboxes

    async def _note_list(self, stored: StoredOperation, outcome: Applied) -> None:
        core = self._core
        operation = stored.operation
        boxes = [
            replace(core.boxes[made.mailbox], at_server=True, remote=None)
            for made in stored.result.mailboxes
            if made.mailbox in core.boxes
        ]
        dropped: set[int] = set()
        match operation:
            case CreateMailbox() if boxes:
                boxes[-1] = replace(boxes[-1], remote=outcome.mailbox)
            case RenameMailbox():
                boxes += self._renamed(operation, outcome)
            case DeleteMailbox():
                dropped = {mailbox_key(operation.mailbox)}
            case _:
                pass

        def also(connection: Connection) -> None:
            for box in boxes:
                identifiers.place_mailbox(connection, box.id, box.path, box.remote)
            for mailbox in dropped:
                identifiers.forget_mailbox(connection, mailbox)

        await self._finish([stored], also)
        core.boxes.update((box.id, box) for box in boxes)

        def show(edit: Edit) -> None:
            for box in boxes:
                edit.put_mailbox(box.id, box.path, box.attributes, listed=True, uid_next=1)
            for mailbox in dropped:
                edit.drop_mailbox(mailbox)

        await core.edit(show)
        for mailbox in dropped:
            core.boxes.pop(mailbox, None)
        self._mirror.want(WHOLE_ACCOUNT)  # What they are called there is in the list.

    def _renamed(self, operation: RenameMailbox, outcome: Applied) -> list[Box]:
        core = self._core
        old = core.boxes[mailbox_key(operation.mailbox)].path
        renamed = []
        for box in core.boxes.values():
            if box.at_server and box.path[: len(old)] == old:
                remote = outcome.mailbox if box.path == old else None
                path = operation.path + box.path[len(old) :]
                renamed.append(replace(box, path=path, remote=remote))
        return renamed

    async def _note_subscriptions(
        self, subscribed: frozenset[tuple[str, ...]], found: Sequence[StoredOperation]
    ) -> None:
        core = self._core
        await core.edit(lambda edit: edit.set_subscriptions(subscribed))
        core.subscribed = subscribed
        await self._finish(found, lambda connection: None)


@dataclass(frozen=True, slots=True)
class _Noted:
    """What the journal's transaction did."""

    others: dict[int, int]
    """{message that turned out to be one of ours: which one}."""
    gone: set[int]
    unnamed: bool
    """The server did not tell what it calls what was made."""


def _told(
    stored: StoredOperation, translated: Translated, outcome: Applied
) -> dict[int, MessageId] | None:
    """Return {UID of what was made here: its name there}, None where the server did not tell.

    By UID, because a message may have come back under a new id while it was carried out: in the
    operation its id is replaced then, its first UID stays.
    """
    if not outcome.created:
        return None
    by_original = {birth.original: birth.uid for birth in stored.result.births}
    return {
        by_original[original]: name
        for theirs, name in outcome.created
        if (original := translated.ours.get(theirs, 0)) in by_original
    }


def _note_made(
    connection: Connection,
    account: int,
    stored: StoredOperation,
    told: dict[int, MessageId] | None,
    now: datetime,
) -> _Noted | None:
    current = operations.find(connection, account, stored.operation.id) or stored
    mailbox = births_in(current.operation)
    if mailbox != births_in(stored.operation):
        operations.move_on(connection, [stored.sequence], OperationState.COMMITTED, now=now)
        return None
    # Where the server told of some, those that it did not tell of were not made.
    names: dict[int, MessageId | None] = {
        birth.message: None if told is None else told[birth.uid]
        for birth in current.result.births
        if told is None or birth.uid in told
    }
    others = _make_way(connection, mailbox, names)
    identifiers.name_messages(connection, names)
    for message in names:
        blobs.unpin(connection, message)
    gone = {birth.message for birth in current.result.births} - names.keys() | others.keys()
    if isinstance(current.operation, Move):
        gone.update(messages_of(current.operation))
    identifiers.forget_messages(connection, gone)
    operations.move_on(connection, [stored.sequence], OperationState.APPLIED, now=now)
    operations.trim_history(connection, account)
    return _Noted(others, gone, unnamed=told is None)


def _make_way(
    connection: Connection, mailbox: int, names: dict[int, MessageId | None]
) -> dict[int, int]:
    """Free the names that others hold; return {one that is to be forgotten: whose name it had}.

    A message that was found at the server while nobody knew that it is ours is ours.  One that was
    made here too, and was taken for the one by its content, has to be looked for again.
    """
    ours = {name: message for message, name in names.items() if name is not None}
    holders = {
        key: ours[name]
        for name, (key, _) in identifiers.by_remote(connection, mailbox, ours).items()
        if key != ours[name]
    }
    mapped = identifiers.messages(connection, holders)
    identifiers.name_messages(connection, {key: None for key, each in mapped.items() if each.born})
    found = {key: holders[key] for key, each in mapped.items() if not each.born}
    identifiers.forget_messages(connection, found)
    return found
