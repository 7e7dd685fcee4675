"""What must be at the mail server in the end: kept by the mail program, from answers alone.

The ledger begins with the letters that were at the server, and changes with every operation that
was answered with OK.  A message is known by its Message-ID; there may be several of one in a
mailbox, so everything is counted.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mailferry.demo.letters import MAILBOXES, Letter
from mailferry.mail.mailbox import MailboxPath
from mailferry.mail.message import Flag

_MESSAGE_ID: Final = re.compile(rb"^Message-ID:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)

Place = tuple[MailboxPath, str]
"""A mailbox and a Message-ID."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One message in one mailbox."""

    mailbox: MailboxPath
    message_id: str
    flags: frozenset[Flag]


@dataclass(slots=True)
class Contents:
    """All of an account's mail, counted."""

    mailboxes: set[MailboxPath] = field(default_factory=set)
    copies: Counter[Copy] = field(default_factory=Counter)

    def places(self) -> Counter[Place]:
        """Count the messages whatever their flags."""
        places: Counter[Place] = Counter()
        for copy, count in self.copies.items():
            places[copy.mailbox, copy.message_id] += count
        return places


@dataclass(slots=True)
class Ledger:
    """What the mail program was told."""

    contents: Contents
    digests: dict[str, str]
    """The SHA-256 of each message's octets, by its Message-ID."""
    asked: int = 0
    """Changes that the mail program asked for."""
    answered: int = 0
    """Of those, how many were answered with OK."""
    refused: int = 0
    """And with NO: nothing of them may be done."""

    def change_flags(self, copy: Copy, flags: frozenset[Flag]) -> None:
        """Note other flags of a message."""
        self._take(copy)
        self.contents.copies[Copy(copy.mailbox, copy.message_id, flags)] += 1

    def put(self, copy: Copy) -> None:
        """Note a message more."""
        self.contents.copies[copy] += 1

    def _take(self, copy: Copy) -> None:
        if not self.contents.copies[copy]:
            raise ValueError("the ledger does not have this message")
        self.contents.copies[copy] -= 1

    def move(self, copy: Copy, target: MailboxPath) -> None:
        """Note that a message went elsewhere."""
        self._take(copy)
        self.contents.copies[Copy(target, copy.message_id, copy.flags)] += 1

    def remove(self, copy: Copy) -> None:
        """Note that a message was deleted for good."""
        self._take(copy)


def first_ledger(letters: Iterable[Letter]) -> Ledger:
    """Return the ledger of the mail as it is in the beginning."""
    ledger = Ledger(Contents({path for path, _, _ in MAILBOXES}), {})
    for letter in letters:
        name = message_id(letter.content)
        ledger.digests[name] = digest(letter.content)
        ledger.put(Copy(letter.mailbox, name, letter.flags))
    return ledger


def message_id(content: bytes) -> str:
    """Return the Message-ID of a message or header.

    Raises:
        ValueError: it has none.
    """
    found = _MESSAGE_ID.search(content)
    if found is None:
        raise ValueError("a message without a Message-ID")
    return found[1].decode("ascii", "replace")


def digest(content: bytes) -> str:
    """Return the SHA-256 of a message in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
