"""Making, removing, renaming and subscribing to mailboxes (RFC 9051 §6.3)."""

from __future__ import annotations

from mailferry.mail.operation import (
    Applied,
    CreateMailbox,
    DeleteMailbox,
    Outcome,
    RenameMailbox,
    Subscribe,
    Unsubscribe,
)
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.names import id_by_name
from mailferry.sources.imap.refusals import refused
from mailferry.wire.imap import client_commands as commands


async def create(account: Account, operation: CreateMailbox) -> Outcome:
    """CREATE, with the special use where the server takes it (RFC 6154 §3)."""
    session = await account.session()
    name = account.name(operation.path)
    special_use = operation.special_use if session.has("CREATE-SPECIAL-USE") else None
    status = await session.run_command(commands.create(name, special_use))
    if not status.ok:
        return refused(status)
    return Applied(mailbox=account.directory.note_created(session, name, status))


async def delete(account: Account, operation: DeleteMailbox) -> Outcome:
    """DELETE; never of a selected mailbox, which servers treat in many ways."""
    session, name = await account.located(operation.mailbox)
    await session.deselect()
    status = await session.run_command(commands.delete(name))
    if not status.ok:
        return refused(status)
    account.directory.forget()
    return Applied()


async def rename(account: Account, operation: RenameMailbox) -> Outcome:
    """RENAME; those below go along."""
    session, name = await account.located(operation.mailbox)
    new_name = account.name(operation.path)
    await session.deselect()
    status = await session.run_command(commands.rename(name, new_name))
    if not status.ok:
        return refused(status)
    account.directory.forget()
    keeps_id = session.has("OBJECTID")
    return Applied(mailbox=operation.mailbox if keeps_id else id_by_name(new_name))


async def subscribe(account: Account, operation: Subscribe) -> Outcome:
    """SUBSCRIBE."""
    session = await account.session()
    status = await session.run_command(commands.subscribe(account.name(operation.path)))
    return Applied() if status.ok else refused(status)


async def unsubscribe(account: Account, operation: Unsubscribe) -> Outcome:
    """UNSUBSCRIBE."""
    session = await account.session()
    status = await session.run_command(commands.unsubscribe(account.name(operation.path)))
    return Applied() if status.ok else refused(status)
