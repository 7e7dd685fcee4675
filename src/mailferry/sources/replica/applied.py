"""Noting what the server has carried out, as part of what it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

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
    ) -> None:
        """Note that the operations of a parcel were carried out."""
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
                for stored in found:
                    await self._note_births(stored, translated, outcome)
            case CreateMailbox() | RenameMailbox() | DeleteMailbox():
                for stored in found:
                    await self._note_list(stored, outcome)
            case Subscribe(path=path):
                await self._note_subscriptions(self._core.subscribed | {path}, found)
            case Unsubscribe(path=path):
                await self._note_subscriptions(self._core.subscribed - {path}, found)

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
    ) -> None:
        core = self._core
        mailbox = births_in(stored.operation)
        names = self._names(stored, translated, outcome)
        absent = {birth.message for birth in stored.result.births} - names.keys()
        gone = set(messages_of(stored.operation)) if isinstance(stored.operation, Move) else set()
        if isinstance(stored.operation, Append):
            for birth in stored.result.births:
                await self._adopt_content(birth.message)

        def unit(connection: Connection) -> set[int]:
            theirs = _make_way(connection, mailbox, names)
            identifiers.name_messages(connection, names)
            for message in names:
                blobs.unpin(connection, message)
            identifiers.forget_messages(connection, absent | gone | theirs)
            operations.move_on(
                connection, [stored.sequence], OperationState.APPLIED, now=core.clock()
            )
            operations.trim_history(connection, core.account)
            return theirs

        theirs = await core.journal.write(unit)
        await core.edit(lambda edit: edit.remove(absent | gone | theirs))
        if None in names.values():
            self._mirror.want(mailbox)

    def _names(
        self, stored: StoredOperation, translated: Translated, outcome: Applied
    ) -> dict[int, MessageId | None]:
        """Return {our new message: its name there}, None where the server did not tell.

        Where it told of some, those it did not tell of were not made.
        """
        births = stored.result.births
        if not outcome.created:
            return {birth.message: None for birth in births}
        by_original = {birth.original: birth.message for birth in births}
        return {
            by_original[original]: name
            for theirs, name in outcome.created
            if (original := translated.ours.get(theirs, 0)) in by_original
        }

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


def _make_way(connection: Connection, mailbox: int, names: dict[int, MessageId | None]) -> set[int]:
    """Free the names that others hold; return those of them that are to be forgotten.

    A message that was found at the server while nobody knew that it is ours is ours.  One that was
    made here too, and was taken for the one by its content, has to be looked for again.
    """
    wanted = [name for name in names.values() if name is not None]
    holders = {key for key, _ in identifiers.by_remote(connection, mailbox, wanted).values()}
    mapped = identifiers.messages(connection, holders - names.keys())
    identifiers.name_messages(connection, {key: None for key, each in mapped.items() if each.born})
    found = {key for key, each in mapped.items() if not each.born}
    identifiers.forget_messages(connection, found)
    return found
