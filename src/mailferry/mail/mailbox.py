"""Mailboxes: values that name and describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

MailboxId = NewType("MailboxId", str)
"""Names one mailbox at one source, for as long as it exists there.

A replica's ids are permanent and survive a rename.  A mail server's are whatever it has: its
OBJECTID (RFC 8474 §4) or the name.  Opaque to everybody but the source that gave it.
"""

MailboxPath = tuple[str, ...]
"""The hierarchy of a mailbox's name, outermost first, as Unicode: ("Archive", "2026").

No delimiter, no namespace prefix, no modified UTF-7: those are matters of a wire protocol.
Never empty; no component is empty.  The INBOX is always exactly ("INBOX",).
"""

State = NewType("State", str)
"""A point in the life of a mailbox, opaque to everybody but the source that gave it (RFC 8620 §5.2)."""

INBOX: Final[MailboxPath] = ("INBOX",)

SPECIAL_USES: Final = frozenset(
    {"\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash"}
)
"""Special-use attributes (RFC 6154 §2, RFC 8457 §3)."""

NON_EXISTENT: Final = "\\NonExistent"
"""Of a name that is subscribed, or has mailboxes below it, and is none itself (RFC 5258 §3)."""
NOT_SELECTABLE: Final = frozenset({"\\Noselect", NON_EXISTENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxStatus:
    """Counters of a mailbox, as STATUS gives them (RFC 9051 §6.3.11)."""

    uid_validity: int
    uid_next: int
    messages: int
    unseen: int | None = None
    deleted: int | None = None
    size: int | None = None
    """Octets of all messages together (RFC 8438), None where the source cannot tell."""
    highest_modseq: int | None = None
    state: State | None = None
    """Equal to the `new_state` of an earlier `changes()` when nothing changed since; None: ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """One mailbox as its source shows it."""

    id: MailboxId
    path: MailboxPath
    attributes: frozenset[str] = frozenset()
    """RFC 9051 §7.3.1 and SPECIAL-USE attributes, spelled as in the RFCs; not the CHILDREN pair."""
    subscribed: bool = False
    status: MailboxStatus | None = None
    """None when the mailbox cannot be selected or the source was not asked."""

    @property
    def selectable(self) -> bool:
        """Whether the mailbox can hold messages."""
        return not self.attributes & NOT_SELECTABLE

    @property
    def special_use(self) -> frozenset[str]:
        """The special-use attributes among `attributes`."""
        return self.attributes & SPECIAL_USES


def checked_path(path: MailboxPath) -> MailboxPath:
    """Return `path` with INBOX spelled as we spell it.

    Raises:
        ValueError: the path or one of its components is empty, or holds a control character.
    """
    if not path or not all(path):
        raise ValueError("a mailbox name has an empty component")
    if any(ord(c) < 0x20 or ord(c) == 0x7F for component in path for c in component):
        raise ValueError("a mailbox name holds a control character")
    if path[0].upper() == "INBOX":
        return ("INBOX", *path[1:])
    return path
