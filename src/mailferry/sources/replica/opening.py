"""Opening an account: the replica file brought up to what the journal says.

When the replica was closed in order, the two agree and there is nothing to do.  After a crash, or when
the file was lost or damaged and begun anew, the journal rules: messages that its map does not have
are dropped, those that it has are put back (their summaries and bodies come from the server again),
and the operations that wait are shown again in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from mailferry import observe
from mailferry.mail.mailbox import INBOX
from mailferry.mail.operation import Append
from mailferry.sources.replica.core import Box, Core
from mailferry.sources.replica.pending import Pending, messages_of
from mailferry.sources.replica.settings import BodyPolicy
from mailferry.sources.replica.showing import BlobContent, show_operation
from mailferry.store import account_state, blobs, bodies, identifiers, operations, view
from mailferry.store.database import Connection
from mailferry.store.identifiers import MappedMailbox, MappedMessage
from mailferry.store.operations import StoredOperation
from mailferry.store.shown import Arrival, Edit

PAGE_LENGTH: Final = 2000  # Messages of the map looked at in one go.

_log = observe.logger(__name__)


async def open_account(core: Core) -> None:
    """Open the replica file of an account and make it agree with the journal.

    Raises:
        StorageDamaged, StorageFull: the text says what to do.
    """
    opening = await core.journal.write(
        lambda connection: account_state.open_account(connection, core.account)
    )
    is_new = await core.store.open(modseq_floor=opening.modseq_floor, check=opening.was_open)
    core.pending = Pending(
        await core.journal.read(
            lambda connection: operations.open_operations(connection, core.account)
        )
    )
    mapped = await _mapped_mailboxes(core)
    _take_boxes(core, mapped)
    if is_new or opening.was_open:
        _log.info("replica brought up to the journal account=%d new=%s", core.account, is_new)
        await _bring_up(core, mapped)
    core.subscribed = view.subscriptions(core.store.reader)
    await core.store.write(lambda connection: _set_wants(connection, core.settings.bodies))
    core.refold_list()


async def close_account(core: Core) -> None:
    """Close the replica file in order."""
    await core.store.close()
    await core.journal.write(
        lambda connection: account_state.close_account(connection, core.account)
    )


async def _mapped_mailboxes(core: Core) -> list[MappedMailbox]:
    """Return the mailboxes of the map, with an INBOX from the beginning on."""
    mapped = identifiers.mailboxes(core.journal.reader, core.account)
    if any(each.path == INBOX for each in mapped):
        return mapped
    now_s = int(core.clock().timestamp())

    def unit(connection: Connection) -> None:
        made = identifiers.add_mailbox(connection, core.account, INBOX, None, now_s=now_s)
        identifiers.place_mailbox(connection, made.id, INBOX, None)  # Every server has one.

    await core.journal.write(unit)
    return identifiers.mailboxes(core.journal.reader, core.account)


def _take_boxes(core: Core, mapped: Sequence[MappedMailbox]) -> None:
    attributes = {each.id: each.attributes for each in view.mailboxes(core.store.reader)}
    for each in mapped:
        core.boxes[each.id] = Box(
            id=each.id,
            path=each.path,
            attributes=attributes.get(each.id, frozenset()),
            uid_validity=each.uid_validity,
            at_server=each.at_server,
            remote=each.remote,
        )


def _set_wants(connection: Connection, policy: BodyPolicy) -> None:
    match policy:
        case BodyPolicy.ALL:
            bodies.want_all(connection)
        case BodyPolicy.LIST:
            bodies.want_none(connection)
        case BodyPolicy.NEW:
            pass  # What was wanted stays so; what is new will be.


async def _bring_up(core: Core, mapped: Sequence[MappedMailbox]) -> None:
    surplus = {each.id for each in view.mailboxes(core.store.reader)} - {each.id for each in mapped}

    def put(edit: Edit) -> None:
        for mailbox in surplus:
            edit.drop_mailbox(mailbox)
        for each in mapped:
            edit.put_mailbox(
                each.id,
                each.path,
                core.boxes[each.id].attributes,
                listed=each.at_server,
                uid_next=each.uid_next,
            )

    await core.edit(put)
    for each in mapped:
        await _bring_up_messages(core, each.id)
    for stored in core.pending:
        await _show_again(core, stored)


async def _bring_up_messages(core: Core, mailbox: int) -> None:
    here = await core.store.read(lambda connection: view.all_ids(connection, mailbox))
    after = 0
    while True:
        page = await _page(core, mailbox, after)
        if not page:
            break
        after = page[-1].id
        missing = [
            each for each in page if each.id not in here and core.pending.birth_of(each.id) is None
        ]
        shown = here.intersection(each.id for each in page)
        here -= shown
        if missing:
            await _put_back(core, mailbox, missing)
        # The journal may have withdrawn an operation that the replica still shows.
        await _refold(core, shown)
    if here:
        await core.edit(lambda edit: edit.remove(here))


async def _refold(core: Core, messages: AbstractSet[int]) -> None:
    await core.edit(lambda edit: edit.refold(messages), messages)


async def _page(core: Core, mailbox: int, after: int) -> list[MappedMessage]:
    return await core.journal.read(
        lambda connection: identifiers.all_messages(
            connection, mailbox, after=after, limit=PAGE_LENGTH
        )
    )


async def _put_back(core: Core, mailbox: int, missing: Sequence[MappedMessage]) -> None:
    reader = core.journal.reader
    kept = [each for each in missing if each.blob is not None]
    arrivals = [Arrival(each.id, each.uid, None) for each in missing if each.blob is None]

    def put(edit: Edit) -> None:
        if arrivals:
            edit.arrive(mailbox, arrivals, wanted=core.settings.bodies is BodyPolicy.ALL)
        for each in kept:
            assert each.blob is not None  # noqa: S101 - chosen so
            edit.bear_append(
                mailbox,
                each.id,
                each.uid,
                flags=frozenset(),
                internal_date=core.clock(),
                size=blobs.get(reader, each.blob).size,
                description=blobs.description(reader, each.blob),
            )

    await core.edit(put, [each.id for each in missing])


async def _show_again(core: Core, stored: StoredOperation) -> None:
    blob: BlobContent | None = None
    if isinstance(stored.operation, Append):
        found = blobs.find(core.journal.reader, core.account, stored.operation.blob)
        if found is not None:
            description = blobs.description(core.journal.reader, found.key)
            blob = BlobContent(found.key, description)
    named = {*messages_of(stored.operation), *(each.message for each in stored.result.births)}
    await core.edit(lambda edit: show_operation(edit, stored, blob), named)
