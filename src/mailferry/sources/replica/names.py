"""What the server calls our messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailferry.mail.mailbox import MailboxId
from mailferry.mail.message import MessageId
from mailferry.sources.replica.core import Core
from mailferry.store import identifiers
from mailferry.store.identifiers import MappedMessage


@dataclass(frozen=True, slots=True)
class RemoteName:
    """A message at the server."""

    mailbox: MailboxId
    message: MessageId


def remote_names(core: Core, messages: Iterable[int]) -> dict[int, RemoteName]:
    """Return {our id: where its content can be had at the server}.

    A copy that has not been carried out yet has the content of its original.
    """
    asked = {message: message for message in messages}
    found: dict[int, RemoteName] = {}
    while asked:
        mapped = identifiers.messages(core.journal.reader, set(asked.values()))
        further: dict[int, int] = {}
        for message, at in asked.items():
            name = _name(core, mapped.get(at))
            if name is not None:
                found[message] = name
                continue
            birth = core.pending.birth_of(at)
            if birth is not None and birth[1].original:
                further[message] = birth[1].original
        asked = further
    return found


def _name(core: Core, mapped: MappedMessage | None) -> RemoteName | None:
    if mapped is None or mapped.remote is None:
        return None
    box = core.boxes.get(mapped.mailbox)
    if box is None or box.remote is None:
        return None
    return RemoteName(box.remote, mapped.remote)
