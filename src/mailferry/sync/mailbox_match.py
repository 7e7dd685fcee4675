"""Which mailbox of the server's list is which of ours.

By the server's id first; then, for those of ours whose id there is not known (made here, or renamed
with another one above them), by the name.  What remains on the server's side is new; what remains
on ours has gone, or its id and name both changed: then it is another mailbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailferry.mail.mailbox import Mailbox, MailboxId, MailboxPath


@dataclass(frozen=True, slots=True)
class OurMailbox:
    """A mailbox here: its key, its name at the server, and what the server called it."""

    key: int
    path: MailboxPath
    remote: MailboxId | None
    at_server: bool


@dataclass(frozen=True, slots=True)
class ListMatch:
    """Every mailbox of both sides, once."""

    placed: tuple[tuple[int, Mailbox], ...]
    """(our key, theirs)."""
    new: tuple[Mailbox, ...]
    missing: tuple[int, ...]
    """Ours that should be at the server; not those that were made here and wait."""


def match_mailboxes(ours: Iterable[OurMailbox], theirs: Sequence[Mailbox]) -> ListMatch:
    """Return who is who."""
    ours = list(ours)
    by_remote = {each.remote: each for each in ours if each.remote is not None}
    by_path = {each.path: each for each in ours if each.remote is None}
    placed: dict[int, Mailbox] = {}
    rest: list[Mailbox] = []
    for mailbox in theirs:
        known = by_remote.get(mailbox.id)
        if known is None:
            rest.append(mailbox)
        else:
            placed[known.key] = mailbox
    new: list[Mailbox] = []
    for mailbox in rest:
        known = by_path.get(mailbox.path)
        if known is None or known.key in placed:
            new.append(mailbox)
        else:
            placed[known.key] = mailbox
    missing = tuple(each.key for each in ours if each.at_server and each.key not in placed)
    return ListMatch(tuple(placed.items()), tuple(new), missing)
