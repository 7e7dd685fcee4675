"""Making operations durable and showing what they do, before anything is asked of the server.

`stage` checks every operation against what is shown, gives out ids and UIDs and keeps all of it in
one transaction of the journal; only then it shows.  The answer that it predicts is the one that a
mail program gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mailferry.mail.errors import (
    MailboxExists,
    MailboxNameInvalid,
    MailboxNotFound,
    MailError,
    MessageNotFound,
    NotPermitted,
)
from mailferry.mail.mailbox import INBOX, SPECIAL_USES, MailboxId, MailboxPath, checked_path
from mailferry.mail.message import MessageId, MessageState
from mailferry.mail.operation import (
    Append,
    Copy,
    Created,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    OperationState,
    RenameMailbox,
    SetFlags,
    Staged,
    Subscribe,
    Unsubscribe,
)
from mailferry.sources.replica.core import Box, Core
from mailferry.sources.replica.pending import messages_of
from mailferry.sources.replica.settling import Settling
from mailferry.sources.replica.showing import BlobContent, show_operation
from mailferry.store import blobs, identifiers, operations, view
from mailferry.store.codec import Birth, MadeMailbox, Result, mailbox_id, mailbox_key
from mailferry.store.database import Connection
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Edit
from mailferry.sync.fold import (
    MailboxList,
    PendingChange,
    below,
    find_mailbox,
    fold_mailboxes,
)
from mailferry.sync.identity import identify
from mailferry.sync.journal import Event

MESSAGES_ON_LOOP_MAX: Final = 200  # Found in 0.3 ms; more are looked for in a thread.


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An operation that can be staged, and what it needs to be given."""

    operation: Operation
    path: MailboxPath
    target_path: MailboxPath | None = None
    uids: dict[int, int]
    """{id: UID} of the messages that it names."""
    births_in: int = 0
    """The mailbox in which it makes messages."""
    blob: BlobContent | None = None
    missing: tuple[MailboxPath, ...] = ()
    """Names of mailboxes that it makes, outermost first."""


@dataclass(slots=True)
class _Ticket:
    """Links the work of staging to the caller who may go away."""

    stored: Sequence[StoredOperation] = ()
    abandoned: bool = False


class Staging:
    """Stages operations of an account."""

    def __init__(self, core: Core, settling: Settling) -> None:
        self._core = core
        self._settling = settling

    async def stage(
        self,
        wanted: Sequence[Operation],
        login: str,
        state: OperationState = OperationState.STAGED,
    ) -> list[Staged]:
        """Make operations durable, all or none; see StagingSource.stage.

        Those that come over a link come COMMITTED.
        """
        checked = await Checker(self._core).check(wanted)
        ticket = _Ticket()
        try:
            return await self._core.finish(self._stage(checked, login, state, ticket))
        except asyncio.CancelledError:
            ticket.abandoned = True
            self._core.finish_later(self._settling.happen(ticket.stored, Event.LOST))
            raise

    async def _stage(
        self, checked: Sequence[Checked], login: str, state: OperationState, ticket: _Ticket
    ) -> list[Staged]:
        core = self._core
        stored: list[StoredOperation] = []
        try:
            async with core.numbering(each.births_in for each in checked if each.births_in):
                stored = await self._keep(checked, login, state)
                answers = await self._show(checked, stored)
        except MailError:  # The answer is a refusal: what was kept does not show.
            if stored:
                await self._settling.take_back(stored)
            raise
        ticket.stored = stored
        if ticket.abandoned:  # Whoever asked went away meanwhile: nobody was answered.
            await self._settling.happen(stored, Event.LOST)
        if state is OperationState.COMMITTED:
            core.committed.set()
        return answers

    async def _keep(
        self, checked: Sequence[Checked], login: str, state: OperationState
    ) -> list[StoredOperation]:
        core = self._core
        now = core.clock()
        try:
            return await core.journal.write(
                lambda connection: [
                    _keep(connection, core.account, each, login, state, now) for each in checked
                ]
            )
        except LookupError as exc:  # It went between the check and now.
            raise MailboxNotFound(str(exc)) from exc

    async def _show(
        self, checked: Sequence[Checked], stored: Sequence[StoredOperation]
    ) -> list[Staged]:
        core = self._core
        for each in stored:
            core.pending.add(each)
            _take_made(core, each)

        def show(edit: Edit) -> list[list[MessageState]]:
            return [
                show_operation(edit, each, one.blob)
                for one, each in zip(checked, stored, strict=True)
            ]

        named = {message for each in stored for message in messages_of(each.operation)}
        states = await core.edit(show, named)
        core.refold_list()
        return [
            _answer(one, each, updated)
            for one, each, updated in zip(checked, stored, states, strict=True)
        ]


def _keep(
    connection: Connection,
    account: int,
    checked: Checked,
    login: str,
    state: OperationState,
    now: datetime,
) -> StoredOperation:
    """Give out ids and UIDs and keep the operation (in the journal's writer)."""
    originals = messages_of(checked.operation) if checked.births_in else ()
    result = Result(mailboxes=_make(connection, account, checked.missing, now))
    if checked.births_in:
        blob = checked.blob
        made = identifiers.add_messages(
            connection,
            checked.births_in,
            [None] * (len(originals) or 1),
            blob=None if blob is None else blob.key,
        )
        births = tuple(
            Birth(original, checked.uids.get(original, 0), message, uid)
            for original, (message, uid) in zip(originals or (0,), made, strict=True)
        )
        for birth in births:
            if blob is None:
                identifiers.inherit_identity(connection, birth.message, birth.original)
            else:
                identifiers.set_identities(connection, {birth.message: blob.identity})
        uid_validity = identifiers.uid_validity(connection, checked.births_in)
        result = Result(births=births, uid_validity=uid_validity)
    stored = operations.add(
        connection,
        account,
        checked.operation,
        result=result,
        login=login,
        blob=None if checked.blob is None else checked.blob.key,
        paths=(checked.path, checked.target_path),
        now=now,
    )
    if state is not OperationState.STAGED:
        operations.move_on(connection, [stored.sequence], state, now=now)
    return operations.with_state(stored, state)


def _make(
    connection: Connection, account: int, paths: Iterable[MailboxPath], now: datetime
) -> tuple[MadeMailbox, ...]:
    made = [
        identifiers.add_mailbox(connection, account, path, None, now_s=int(now.timestamp()))
        for path in paths
    ]
    return tuple(MadeMailbox(each.id, each.path, each.uid_validity) for each in made)


def _take_made(core: Core, stored: StoredOperation) -> None:
    for made in stored.result.mailboxes:
        core.boxes[made.mailbox] = Box(
            id=made.mailbox,
            path=made.path,
            uid_validity=made.uid_validity,
            at_server=False,
            remote=None,
        )


def _answer(checked: Checked, stored: StoredOperation, states: Sequence[MessageState]) -> Staged:
    operation, result = stored.operation, stored.result
    created = tuple(
        Created(
            original=MessageId(birth.original) if birth.original else None,
            original_uid=birth.original_uid,
            id=MessageId(birth.message),
            uid=birth.uid,
            uid_validity=result.uid_validity,
        )
        for birth in result.births
    )
    mailbox = operation.mailbox if isinstance(operation, RenameMailbox) else None
    if isinstance(operation, CreateMailbox):
        mailbox = mailbox_id(result.mailboxes[-1].mailbox)
    by_id: dict[int, MessageState] = {}
    if isinstance(operation, SetFlags):
        by_id = {state.id: state for state in states}
    updated = tuple(by_id[each] for each in checked.uids if each in by_id)
    return Staged(id=operation.id, created=created, updated=updated, mailbox=mailbox)


class Checker:
    """Checks operations one after the other against what is shown under those before them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._shown: MailboxList = core.shown
        self._going: set[int] = set()
        """Messages that an operation before takes away."""

    async def check(self, wanted: Sequence[Operation]) -> list[Checked]:
        """Return what can be staged; raises what StagingSource.stage raises."""
        return [await self._check(operation) for operation in wanted]

    async def _check(self, operation: Operation) -> Checked:
        match operation:
            case SetFlags() | Expunge():
                return await self._check_messages(operation)
            case Copy() | Move():
                return await self._check_copy(operation)
            case Append():
                return self._check_append(operation)
            case CreateMailbox():
                return self._check_create(operation)
            case RenameMailbox():
                return self._check_rename(operation)
            case DeleteMailbox():
                path = self._core.shown_mailbox(operation.mailbox).path
                if path == INBOX:
                    raise NotPermitted("the INBOX cannot be deleted")
                return self._on_list(operation, path)
            case Subscribe() | Unsubscribe():
                operation = replace(operation, path=_valid(operation.path))
                return self._on_list(operation, operation.path)

    async def _check_messages(self, operation: SetFlags | Expunge) -> Checked:
        box = self._core.shown_box(operation.mailbox)
        uids = await self._uids(box.id, operation.messages)
        if isinstance(operation, Expunge):
            self._going.update(operation.messages)
        return Checked(operation=operation, path=self._path(operation.mailbox), uids=uids)

    async def _check_copy(self, operation: Copy | Move) -> Checked:
        box = self._core.shown_box(operation.mailbox)
        target = self._core.shown_box(operation.target)
        uids = await self._uids(box.id, operation.messages)
        if isinstance(operation, Move):
            self._going.update(operation.messages)
        return Checked(
            operation=operation,
            path=self._path(operation.mailbox),
            target_path=self._path(operation.target),
            uids=uids,
            births_in=target.id if operation.messages else 0,
        )

    async def _uids(self, mailbox: int, messages: Sequence[MessageId]) -> dict[int, int]:
        """Return {id: UID} in the order of `messages`, all of which must be shown."""
        store = self._core.store
        if len(messages) <= MESSAGES_ON_LOOP_MAX:
            found = view.shown_uids(store.reader, mailbox, messages)
        else:
            found = await store.read(
                lambda connection: view.shown_uids(connection, mailbox, messages)
            )
        missing = [each for each in messages if each not in found or each in self._going]
        if missing:
            raise MessageNotFound(f"message {missing[0]} is not in mailbox {mailbox}")
        return {each: found[each] for each in messages}

    def _check_append(self, operation: Append) -> Checked:
        core = self._core
        box = core.shown_box(operation.mailbox)
        blob = blobs.find(core.journal.reader, core.account, operation.blob)
        if blob is None:
            raise MessageNotFound(f"no blob {operation.blob}")
        if operation.internal_date is None:
            operation = replace(operation, internal_date=core.clock())
        return Checked(
            operation=replace(operation, size=blob.size),
            path=self._path(operation.mailbox),
            uids={},
            births_in=box.id,
            blob=self._content(operation, blob.key, blob.size),
        )

    def _content(self, operation: Append, key: int, size: int) -> BlobContent:
        journal = self._core.journal
        description = blobs.description(journal.reader, key)
        return BlobContent(
            key,
            description,
            identify(
                journal.identity_key,
                email_id=None,
                size=size,
                internal_date=operation.internal_date,
                header_fields=description.header_fields,
            ),
        )

    def _check_create(self, operation: CreateMailbox) -> Checked:
        operation = replace(operation, path=_valid(operation.path))
        if operation.special_use is not None and operation.special_use not in SPECIAL_USES:
            raise NotPermitted(f"no special use is called {operation.special_use}")
        if find_mailbox(self._shown, operation.path) is not None:
            raise MailboxExists("/".join(operation.path))
        return self._on_list(operation, operation.path, missing=self._missing(operation.path))

    def _check_rename(self, operation: RenameMailbox) -> Checked:
        operation = replace(operation, path=_valid(operation.path))
        old, new = self._path(operation.mailbox), operation.path
        if old == INBOX:
            raise NotPermitted("the INBOX cannot be renamed")
        if new[: len(old)] == old:
            raise MailboxNameInvalid("a mailbox cannot be moved below itself")
        for path in (old, *(each.path for each in below(self._shown, old))):
            if find_mailbox(self._shown, new + path[len(old) :]) is not None:
                raise MailboxExists("/".join(new + path[len(old) :]))
        missing = self._missing(new[:-1])
        return self._on_list(operation, old, target_path=new, missing=missing)

    def _missing(self, path: MailboxPath) -> tuple[MailboxPath, ...]:
        """Return the names down to `path` that have no mailbox."""
        names = (path[:depth] for depth in range(1, len(path) + 1))
        return tuple(name for name in names if find_mailbox(self._shown, name) is None)

    def _on_list(
        self,
        operation: Operation,
        path: MailboxPath,
        *,
        target_path: MailboxPath | None = None,
        missing: tuple[MailboxPath, ...] = (),
    ) -> Checked:
        self._shown = fold_mailboxes(self._shown, [PendingChange(operation)])
        return Checked(
            operation=operation, path=path, target_path=target_path, uids={}, missing=missing
        )

    def _path(self, mailbox: MailboxId) -> MailboxPath:
        shown = next((each for each in self._shown.mailboxes if each.id == mailbox), None)
        if shown is None or mailbox_key(mailbox) not in self._core.boxes:
            raise MailboxNotFound(f"no mailbox {mailbox}")
        return shown.path


def _valid(path: MailboxPath) -> MailboxPath:
    try:
        return checked_path(path)
    except ValueError as exc:
        raise MailboxNameInvalid(str(exc)) from exc
