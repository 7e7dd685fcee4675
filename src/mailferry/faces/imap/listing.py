"""LIST with its extensions, LSUB, NAMESPACE (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

CHILDREN and SPECIAL-USE attributes are told without being asked for: real clients use them so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailferry.faces.imap.names import DELIMITER, shown_name, written_name
from mailferry.faces.imap.replies import Answer
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.status import status_response
from mailferry.mail.mailbox import Mailbox, MailboxPath
from mailferry.wire.imap.commands.listing import List, ListReturn, ListSelection, Lsub
from mailferry.wire.imap.mailbox_name import ListPattern
from mailferry.wire.imap.serialize import parenthesised, quoted

_DELIMITER: Final = quoted(DELIMITER.encode())


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in the hierarchy, whether or not there is a mailbox of that name."""

    path: MailboxPath
    attributes: frozenset[str]
    subscribed: bool = False
    mailbox: Mailbox | None = None


async def list_(state: SessionState, command: List) -> Answer:
    """Answer LIST in all its forms."""
    source = state.source
    if command.patterns == ("",) and not command.extended:
        state.out.untagged(b'LIST (\\Noselect) %b ""' % _DELIMITER)
        return Answer(b"LIST completed")
    if command.status_items:
        await source.refresh(None)
    entries = _hierarchy(await source.mailboxes())
    patterns = [ListPattern(command.reference + each, DELIMITER) for each in command.patterns]
    chosen = {entry.path for entry in entries if _is_chosen(entry, command.selection)}
    above_chosen = {path[:depth] for path in chosen for depth in range(1, len(path))}
    for entry in entries:
        if not any(pattern.matches(shown_name(entry.path)) for pattern in patterns):
            continue
        recursive = (
            ListSelection.RECURSIVE_MATCH in command.selection and entry.path in above_chosen
        )
        if entry.path not in chosen and not recursive:
            continue
        _tell(state, entry, command, child_info=recursive)
        if command.status_items and entry.mailbox is not None and entry.mailbox.selectable:
            await status_response(state, entry.mailbox, command.status_items)
        await state.out.room()
    return Answer(b"LIST completed")


def _hierarchy(mailboxes: Iterable[Mailbox]) -> list[_Entry]:
    """Return all names in order: the mailboxes, and the levels above them that have none."""
    entries = {
        mailbox.path: _Entry(
            mailbox.path,
            mailbox.attributes | ({"\\Noselect"} if not mailbox.selectable else frozenset()),
            mailbox.subscribed,
            mailbox,
        )
        for mailbox in mailboxes
    }
    there = [path for path, entry in entries.items() if "\\NonExistent" not in entry.attributes]
    parents = {path[:depth] for path in there for depth in range(1, len(path))}
    for path in parents - entries.keys():
        entries[path] = _Entry(path, frozenset({"\\Noselect", "\\NonExistent"}))
    for path, entry in entries.items():
        children = "\\HasChildren" if path in parents else "\\HasNoChildren"
        entries[path] = replace(entry, attributes=entry.attributes | {children})
    return [entries[path] for path in sorted(entries, key=_place)]


def _place(path: MailboxPath) -> tuple[bool, MailboxPath]:
    """INBOX and what is below it come first."""
    return path[0] != "INBOX", path


def _is_chosen(entry: _Entry, selection: frozenset[ListSelection]) -> bool:
    special_use = entry.mailbox.special_use if entry.mailbox is not None else frozenset()
    if ListSelection.SPECIAL_USE in selection and not special_use:
        return False
    if ListSelection.SUBSCRIBED in selection:
        return entry.subscribed
    # A name that is only subscribed is no mailbox; one above a mailbox belongs to the hierarchy.
    return "\\NonExistent" not in entry.attributes or "\\HasChildren" in entry.attributes


def _tell(state: SessionState, entry: _Entry, command: List, *, child_info: bool) -> None:
    attributes = set(entry.attributes)
    if not command.extended:
        attributes.discard("\\NonExistent")  # Unknown to who uses the plain form.
    asked = (
        ListSelection.SUBSCRIBED in command.selection or ListReturn.SUBSCRIBED in command.returns
    )
    if asked and entry.subscribed:
        attributes.add("\\Subscribed")
    #   mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox
    #                  [SP mbox-list-extended]
    extended = b' ("CHILDINFO" ("SUBSCRIBED"))' if child_info else b""
    state.out.untagged(_list_line(b"LIST", attributes, entry.path) + extended)


def _list_line(name: bytes, attributes: Iterable[str], path: MailboxPath) -> bytes:
    shown = parenthesised(attribute.encode() for attribute in sorted(attributes))
    return b"%b %b %b %b" % (name, shown, _DELIMITER, written_name(path))


async def lsub(state: SessionState, command: Lsub) -> Answer:
    """Answer LSUB (RFC 3501 §6.3.9)."""
    pattern = ListPattern(command.reference + command.pattern, DELIMITER)
    entries = _hierarchy(await state.source.mailboxes())
    lines: dict[MailboxPath, Iterable[str]] = {}
    for entry in entries:
        if not entry.subscribed:
            continue
        if pattern.matches(shown_name(entry.path)):
            lines[entry.path] = entry.attributes - {"\\NonExistent"}
            continue
        # "%" shows the levels above a subscribed name that it does not match itself.
        for depth in range(1, len(entry.path)):
            above = entry.path[:depth]
            if pattern.matches(shown_name(above)):
                lines.setdefault(above, ["\\Noselect"])
    for path, attributes in lines.items():
        state.out.untagged(_list_line(b"LSUB", attributes, path))
        await state.out.room()
    return Answer(b"LSUB completed")


async def namespace(state: SessionState) -> Answer:
    """Answer NAMESPACE (RFC 2342): everything is personal."""
    if state.user is not None:
        state.out.untagged(b'NAMESPACE (("" %b)) NIL NIL' % _DELIMITER)
    return Answer(b"NAMESPACE completed")


def children_of(mailboxes: Iterable[Mailbox], path: MailboxPath) -> Sequence[Mailbox]:
    """Return the uppermost mailboxes below a name."""
    below = [
        mailbox
        for mailbox in mailboxes
        if mailbox.selectable
        and len(mailbox.path) > len(path)
        and mailbox.path[: len(path)] == path
    ]
    paths = {mailbox.path for mailbox in below}
    return [
        mailbox
        for mailbox in below
        if not any(
            mailbox.path[:depth] in paths for depth in range(len(path) + 1, len(mailbox.path))
        )
    ]
