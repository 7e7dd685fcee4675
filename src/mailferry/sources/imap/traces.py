"""What an attempt would leave behind: noted before it, looked for when its answer did not come.

(docs/rule.md, 3.)  A probe is JSON: small, readable by people, kept by others.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from mailferry.mail.errors import MailboxNotFound, MailError
from mailferry.mail.mailbox import NON_EXISTENT, Mailbox, MailboxId
from mailferry.mail.message import BlobId, MessageId
from mailferry.mail.operation import (
    Append,
    Copy,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Probe,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.mail.source import BlobReader
from mailferry.sources.imap.account import Account
from mailferry.sources.imap.apply_messages import pieces, writing
from mailferry.sources.imap.content import content_of
from mailferry.sources.imap.exchange import Collector
from mailferry.sources.imap.mailboxes import canonical
from mailferry.sources.imap.names import message_id
from mailferry.sources.imap.refusals import error_of
from mailferry.sources.imap.session import Session
from mailferry.wire.imap import client_commands as commands
from mailferry.wire.imap.responses import Fetch, MailboxStatusItems, Untagged

HEADER_LOOKED_AT: Final = 64 * 1024  # Octets of an append in which its Message-ID must come.
#   message-id = "Message-ID:" msg-id CRLF                              (RFC 5322 §3.6.4), folded or not
_MESSAGE_ID: Final = re.compile(
    rb"^message-id[ \t]*:\s*(<[^>\r\n]{1,990}>)", re.IGNORECASE | re.MULTILINE
)
_HEADER_END: Final = re.compile(rb"^\r?\n", re.MULTILINE)  # An empty line, also of bare LFs.
# What a copy has in common with its original (RFC 9051 §6.4.7 keeps flags and date too).
TRACE_ITEMS: Final = "(UID RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])"


@dataclass(frozen=True, slots=True)
class Trace:
    """How a message is recognised in another mailbox."""

    size: int
    message_id: str
    """With its angle brackets; "" when it has none."""
    digest: str
    """Of size and header: 24 hexadecimal digits."""


class Traces(Collector):
    """Traces of messages, by UID."""

    def __init__(self) -> None:
        self.found: dict[int, Trace] = {}

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        match response:
            case Fetch(uid=int(uid), size=int(size)) if response.sections:
                data = response.sections[-1].data
                header = data if isinstance(data, bytes) else b""
                self.found[uid] = _trace(size, header)
                return True
            case _:
                return False


def _trace(size: int, header: bytes) -> Trace:
    digest = hashlib.sha256(b"%d " % size + header).hexdigest()[:24]
    return Trace(size, message_id_in(header), digest)


def message_id_in(header: bytes) -> str:
    """Return the Message-ID in a header, "" when there is none."""
    found = _MESSAGE_ID.search(header)
    return found[1].decode("utf-8", "replace") if found else ""


class _StatusOf(Collector):
    """STATUS of one mailbox."""

    def __init__(self, name: bytes) -> None:
        self.items: Mapping[str, int | str] = {}
        self._name = canonical(name)

    def take(self, response: Untagged) -> bool:
        """See Collector."""
        if isinstance(response, MailboxStatusItems) and canonical(response.name) == self._name:
            self.items = response.items
            return True
        return False


async def probe(account: Account, operation: Operation, blobs: BlobReader) -> Probe | None:
    """See MailSource.probe."""
    try:
        noted = await _noted(account, operation, blobs)
    except MailboxNotFound:
        return None  # It will be refused however often it is tried.
    return None if noted is None else Probe(json.dumps(noted, separators=(",", ":")).encode())


async def _noted(
    account: Account, operation: Operation, blobs: BlobReader
) -> dict[str, Any] | None:
    match operation:
        case SetFlags() | Expunge() | Subscribe() | Unsubscribe():
            return None
        case Append():
            place = await _end_of(account, operation.mailbox)
            return place | await _marks_of(blobs, operation.blob)
        case Copy() | Move():
            place = await _end_of(account, operation.target)
            originals = await _originals(account, operation.mailbox, operation.messages)
            return place | {"originals": [[uid, t.digest] for uid, t in originals.items()]}
        case CreateMailbox():
            found = await find_path(account, operation.path)
            return {"existed": found is not None and found.selectable}
        case DeleteMailbox() | RenameMailbox():
            await account.located(operation.mailbox)
            return {}
        case _:
            assert_never(operation)


async def _end_of(account: Account, target: MailboxId) -> dict[str, Any]:
    """Note from which UID on something new would be."""
    session, name = await account.located(target)
    told = _StatusOf(name)
    status = await session.run_command(commands.status(name, ["UIDVALIDITY", "UIDNEXT"]), told)
    if not status.ok:
        raise error_of(status, MailboxNotFound)
    return {
        "uid_validity": told.items.get("UIDVALIDITY", 0),
        "uid_next": told.items.get("UIDNEXT", 1),
    }


async def _marks_of(blobs: BlobReader, blob: BlobId) -> dict[str, Any]:
    """Note what tells an append: Message-ID (None: not found in time), size and content."""
    head = bytearray()

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in blobs.read_blob(blob):
            if len(head) < HEADER_LOOKED_AT:
                head.extend(chunk)
            yield chunk

    content = await content_of(chunks())
    header_end = _HEADER_END.search(head)
    found = message_id_in(bytes(head[: header_end.start()] if header_end else head))
    is_known = bool(found) or header_end is not None or content.size < HEADER_LOOKED_AT
    return {
        "message_id": found if is_known else None,
        "size": content.size,
        "content": content.digest,
    }


async def _originals(
    account: Account, mailbox: MailboxId, messages: Sequence[MessageId]
) -> dict[int, Trace]:
    traces = Traces()
    try:
        async with writing(account, mailbox, messages) as (session, selection):
            exchanges = [
                session.submit(commands.uid_fetch(each, TRACE_ITEMS), traces)
                for each in pieces(messages, selection)
            ]
    except MailError as error:
        if error.temporary:
            raise
        raise MailboxNotFound(str(error)) from error
    for exchange in exchanges:
        await exchange.status()
    return dict(sorted(traces.found.items()))


async def find_path(account: Account, path: Iterable[str]) -> Mailbox | None:
    """Return the mailbox of that path, as the server shows it now."""
    session = await account.session()
    wanted = tuple(path)
    for mailbox in await account.directory.refresh(session, account.connection.names):
        if mailbox.path == wanted and NON_EXISTENT not in mailbox.attributes:
            return mailbox
    return None


async def traces_from(
    session: Session, name: bytes, uid_validity: int, uid_next: int
) -> dict[MessageId, Trace]:
    """Return the traces of what came into a mailbox since `uid_next`, all of it when it was renumbered."""
    traces = Traces()
    async with session.selecting(name) as selection:
        await selection.ready()
        first = uid_next if selection.uid_validity == uid_validity else 1
        exchange = session.submit(commands.uid_fetch(b"%d:*" % first, TRACE_ITEMS), traces)
    status = await exchange.status()
    if not status.ok:
        raise error_of(status)
    return {
        message_id(selection.uid_validity, uid): trace
        for uid, trace in sorted(traces.found.items())
        if uid >= first
    }
