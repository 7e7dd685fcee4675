"""The demonstration's mail server: our own IMAP face over mail in memory."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mailferry.demo.letters import MAILBOXES, letters
from mailferry.faces.imap.server import ImapServer
from mailferry.mail.errors import MailboxExists
from mailferry.mail.operation import Append, CreateMailbox, Delivery, Operation, OperationId
from mailferry.mail.source import StagingSource
from mailferry.sources.memory import MemorySource
from mailferry.wire.scram import ScramVerifier

USER = "mina@demo.example"
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class MailServer:
    """A running mail server with one user."""

    port: int
    password: str = field(repr=False)
    source: MemorySource
    """Its mail, to be looked at directly."""


class _OneLogin:
    """The one user of the server."""

    def __init__(self, password: str, source: StagingSource) -> None:
        self._verifier = ScramVerifier.from_password(password)
        self._source = source

    async def verifier(self, login: str) -> ScramVerifier | None:
        """See Logins."""
        return self._verifier if login == USER else None

    async def open(self, login: str) -> StagingSource:
        """See Logins."""
        del login
        return self._source


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Run a mail server, filled with `letters()`, while the block lasts."""
    source = MemorySource()
    await _fill(source)
    password = secrets.token_urlsafe(12)
    face = ImapServer(_OneLogin(password, source))
    async with face.listening(HOST, 0) as listener:
        yield MailServer(listener.port, password, source)


async def _fill(source: MemorySource) -> None:
    for path, special_use, _ in MAILBOXES:
        creation = CreateMailbox(id=_new_id(), path=path, special_use=special_use)
        try:
            await _do(source, creation)
        except MailboxExists:
            continue  # The INBOX.
    ids = {mailbox.path: mailbox.id for mailbox in await source.mailboxes()}
    for letter in letters():
        blob = await source.upload(_whole(letter.content))
        await _do(
            source,
            Append(
                id=_new_id(),
                mailbox=ids[letter.mailbox],
                blob=blob.id,
                size=blob.size,
                flags=letter.flags,
                internal_date=letter.internal_date,
            ),
        )


async def _do(source: MemorySource, operation: Operation) -> None:
    await source.stage([operation], login=USER)
    await source.settle([operation.id], Delivery.DELIVERED)


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _new_id() -> OperationId:
    return OperationId(secrets.token_hex(16))
