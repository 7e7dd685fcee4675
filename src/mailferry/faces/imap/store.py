"""STORE and UID STORE (RFC 9051 §6.4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mailferry.faces.imap.chunks import closing
from mailferry.faces.imap.replies import Answer, Bad, No
from mailferry.faces.imap.state import SessionState
from mailferry.mail.message import SYSTEM_FLAGS, Flag, MessageId, SummaryItem, flag
from mailferry.mail.operation import Operation, SetFlags
from mailferry.wire.imap.commands.message import Store, StoreAction

FLAGS_STEP: Final = 2_000  # Messages in one question about flags.
KEYWORD_LENGTH_MAX: Final = 255  # Octets; servers have limits of their own, the least known is 50.
FLAGS_MAX: Final = 200  # In one command; more is a mistake.

_Change = tuple[frozenset[Flag], frozenset[Flag]]
"""What is added and what is removed."""


async def store(state: SessionState, command: Store) -> Answer:
    """Answer STORE or UID STORE."""
    view = state.writable
    if command.unchanged_since is not None:
        raise Bad(b"CONDSTORE is not offered")
    flags = frozenset(view.spelled(each) for each in settable(command.flags))
    positions = state.positions(command.messages, by_uid=command.by_uid)
    changes: Mapping[_Change, Sequence[MessageId]] | None = None
    if command.action is StoreAction.REPLACE:
        changes = await _replacements(state, view.ids(positions), flags)

    def operations(messages: tuple[MessageId, ...]) -> list[Operation]:
        there = set(messages)
        wanted = changes if changes is not None else {_change(command.action, flags): messages}
        return [
            SetFlags(
                id=state.operation_id(),
                mailbox=view.mailbox,
                messages=tuple(message for message in group if message in there),
                add=add,
                remove=remove,
            )
            for (add, remove), group in wanted.items()
        ]

    for staged in await state.stage_about(positions, operations):
        if command.silent:
            for message in staged.updated:
                view.tell_keywords(message.flags, state.out)
            view.told(staged.updated)
        else:
            await state.tell_flags(staged.updated)
    if any(view.is_gone(at) for span in positions for at in span):
        return Answer(b"[EXPUNGEISSUED] STORE completed; some messages have been removed")
    return Answer(b"STORE completed")


def settable(names: Sequence[str]) -> frozenset[Flag]:
    r"""Return the flags that a client may set; \Recent is none of them and is passed over.

    Raises:
        No: there is no such system flag, or the names are too long or too many.
    """
    flags = frozenset(flag(name) for name in names if name.lower() != "\\recent")
    for each in flags:
        if each.startswith("\\") and each not in SYSTEM_FLAGS:
            raise No(b"There is no such system flag", code=b"CANNOT")
        if len(each.encode()) > KEYWORD_LENGTH_MAX:
            raise No(b"The keyword is too long", code=b"LIMIT")
    if len(flags) > FLAGS_MAX:
        raise No(b"Too many flags", code=b"LIMIT")
    return flags


def _change(action: StoreAction, flags: frozenset[Flag]) -> _Change:
    return (flags, frozenset()) if action is StoreAction.ADD else (frozenset(), flags)


async def _replacements(
    state: SessionState, messages: Sequence[MessageId], flags: frozenset[Flag]
) -> Mapping[_Change, Sequence[MessageId]]:
    """Say a replacement as what it adds and removes, message by message.

    So a flag that somebody else sets meanwhile is not wiped away.
    """
    changes: dict[_Change, list[MessageId]] = {}
    for first in range(0, len(messages), FLAGS_STEP):
        asked = state.source.summaries(
            state.selected.mailbox,
            messages[first : first + FLAGS_STEP],
            frozenset({SummaryItem.FLAGS}),
        )
        async with closing(asked) as batches:
            async for batch in batches:
                for summary in batch:
                    now = summary.flags or frozenset()
                    changes.setdefault((flags - now, now - flags), []).append(summary.id)
    return changes
