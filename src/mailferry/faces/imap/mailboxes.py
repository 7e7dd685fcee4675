"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4-§6.3.8, RFC 6154)."""

from __future__ import annotations

from typing import Final

from mailferry.faces.imap import names
from mailferry.faces.imap.listing import children_of
from mailferry.faces.imap.names import path_of
from mailferry.faces.imap.replies import Answer, No
from mailferry.faces.imap.state import STAGE_ATTEMPTS_MAX, SessionState
from mailferry.mail import operation
from mailferry.mail.errors import MailboxHasChildren, MailboxNotFound, MessageNotFound
from mailferry.mail.mailbox import INBOX, SPECIAL_USES, Mailbox, MailboxPath
from mailferry.mail.operation import CreateMailbox, DeleteMailbox, Move, RenameMailbox
from mailferry.mail.query import Everything
from mailferry.wire.imap.commands.mailbox import Create, Delete, Rename, Subscribe, Unsubscribe

_SPECIAL_USE_BY_NAME: Final = {name.lower(): name for name in SPECIAL_USES}


async def create(state: SessionState, command: Create) -> Answer:
    """Answer CREATE."""
    await state.stage(
        CreateMailbox(
            id=state.operation_id(),
            path=names.resolve(await state.source.mailboxes(), command.mailbox),
            special_use=_special_use(command.special_uses),
        )
    )
    return Answer(b"CREATE completed")


def _special_use(names_: tuple[str, ...]) -> str | None:
    if not names_:
        return None
    known = _SPECIAL_USE_BY_NAME.get(names_[0].lower())
    if known is None or len(names_) > 1:
        raise No(b"A mailbox cannot have that special use", code=b"USEATTR")
    return known


async def delete(state: SessionState, command: Delete) -> Answer:
    """Answer DELETE."""
    mailboxes = await state.source.mailboxes()
    try:
        mailbox = names.find(mailboxes, command.mailbox)
    except MailboxNotFound as exc:
        if children_of(mailboxes, path_of(command.mailbox)):
            raise MailboxHasChildren(command.mailbox) from exc
        raise
    await state.stage(DeleteMailbox(id=state.operation_id(), mailbox=mailbox.id))
    if state.view is not None and state.view.mailbox == mailbox.id:
        state.view = None
    return Answer(b"DELETE completed")


async def rename(state: SessionState, command: Rename) -> Answer:
    """Answer RENAME."""
    mailboxes = await state.source.mailboxes()
    new = names.resolve(mailboxes, command.new_name)
    old = path_of(command.mailbox)
    if old == INBOX:
        await _empty_inbox_into(state, names.find(mailboxes, command.mailbox), new)
        return Answer(b"RENAME completed")
    try:
        moving = [names.find(mailboxes, command.mailbox)]
    except MailboxNotFound:
        # A level without a mailbox is renamed by renaming what is below it.
        moving = list(children_of(mailboxes, old))
        if not moving:
            raise
    depth = len(old)
    await state.stage(
        *[
            RenameMailbox(
                id=state.operation_id(), mailbox=mailbox.id, path=new + mailbox.path[depth:]
            )
            for mailbox in moving
        ]
    )
    return Answer(b"RENAME completed")


async def _empty_inbox_into(state: SessionState, inbox: Mailbox, path: MailboxPath) -> None:
    """Rename INBOX: its messages move to a new mailbox, it stays (RFC 9051 §6.3.6)."""
    [staged] = await state.stage(CreateMailbox(id=state.operation_id(), path=path))
    if staged.mailbox is None:
        raise MailboxNotFound("the new mailbox has no id")
    for attempt in range(1, STAGE_ATTEMPTS_MAX + 1):
        messages = (await state.source.search(inbox.id, Everything())).messages
        if not messages:
            return
        try:
            await state.stage(
                Move(
                    id=state.operation_id(),
                    mailbox=inbox.id,
                    messages=messages,
                    target=staged.mailbox,
                )
            )
        except MessageNotFound:
            if attempt == STAGE_ATTEMPTS_MAX:
                raise
        else:
            return


async def subscribe(state: SessionState, command: Subscribe) -> Answer:
    """Answer SUBSCRIBE: the mailbox need not exist."""
    path = names.resolve(await state.source.mailboxes(), command.mailbox)
    await state.stage(operation.Subscribe(id=state.operation_id(), path=path))
    return Answer(b"SUBSCRIBE completed")


async def unsubscribe(state: SessionState, command: Unsubscribe) -> Answer:
    """Answer UNSUBSCRIBE."""
    path = names.resolve(await state.source.mailboxes(), command.mailbox)
    await state.stage(operation.Unsubscribe(id=state.operation_id(), path=path))
    return Answer(b"UNSUBSCRIBE completed")
