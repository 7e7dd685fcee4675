"""COPY, MOVE and their UID forms (RFC 9051 §6.4.7, §6.4.8), with the codes of UIDPLUS (RFC 4315)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailferry.faces.imap.replies import Answer, No
from mailferry.faces.imap.state import SessionState
from mailferry.mail import operation
from mailferry.mail.errors import MailboxNotFound
from mailferry.mail.mailbox import Mailbox
from mailferry.mail.message import MessageId
from mailferry.mail.operation import Created, Operation, Staged
from mailferry.wire.imap.commands.message import Copy, Move
from mailferry.wire.imap.sequence_set import format_ranges


async def copy(state: SessionState, command: Copy) -> Answer:
    """Answer COPY or UID COPY."""
    view = state.selected
    target = await target_mailbox(state, command.mailbox)
    positions = state.positions(command.messages, by_uid=command.by_uid)

    def operations(messages: tuple[MessageId, ...]) -> list[Operation]:
        return [
            operation.Copy(
                id=state.operation_id(), mailbox=view.mailbox, messages=messages, target=target.id
            )
        ]

    created = _created(await state.stage_about(positions, operations))
    _check_any(state, positions, created)
    return Answer(_copy_uid(created) + b"COPY completed")


async def move(state: SessionState, command: Move) -> Answer:
    """Answer MOVE or UID MOVE."""
    view = state.writable
    target = await target_mailbox(state, command.mailbox)
    if target.id == view.mailbox:
        raise No(b"The messages are in that mailbox", code=b"CANNOT")
    positions = state.positions(command.messages, by_uid=command.by_uid)

    def operations(messages: tuple[MessageId, ...]) -> list[Operation]:
        return [
            operation.Move(
                id=state.operation_id(), mailbox=view.mailbox, messages=messages, target=target.id
            )
        ]

    created = _created(await state.stage_about(positions, operations))
    _check_any(state, positions, created)
    if created:
        # RFC 6851 §4.3: before the EXPUNGEs, so that the client can connect them.
        state.out.untagged(b"OK %bMoved" % _copy_uid(created))
    return Answer(b"MOVE completed")


async def target_mailbox(state: SessionState, name: str) -> Mailbox:
    """Return the mailbox that a copy, a move or an append goes to.

    Raises:
        No: there is none, but it can be created.
    """
    try:
        return await state.mailbox(name)
    except MailboxNotFound as exc:
        raise No(b"Create that mailbox first", code=b"TRYCREATE") from exc


def _check_any(state: SessionState, positions: Sequence[range], created: Sequence[Created]) -> None:
    """Refuse where nothing could be done because others have removed all of it (RFC 2180 §4.4)."""
    view = state.selected
    if not created and any(view.is_gone(at) for span in positions for at in span):
        raise No(b"The messages have been removed", code=b"EXPUNGEISSUED")


def _created(staged: Sequence[Staged]) -> list[Created]:
    return [created for each in staged for created in each.created]


def _copy_uid(created: Sequence[Created]) -> bytes:
    """Return the COPYUID code with a space behind it; nothing where nothing was copied."""
    if not created:
        return b""
    ordered = sorted(created, key=lambda each: each.original_uid)
    return b"[COPYUID %d %b %b] " % (
        ordered[0].uid_validity,
        _in_this_order(each.original_uid for each in ordered),
        _in_this_order(each.uid for each in ordered),
    )


def _in_this_order(uids: Iterable[int]) -> bytes:
    """Return a UID set in the order given, as the two sets of COPYUID have to match one by one."""
    ranges: list[tuple[int, int]] = []
    for uid in uids:
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
    return format_ranges(ranges)
