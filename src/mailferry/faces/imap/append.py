"""APPEND (RFC 9051 §6.3.12) and MULTIAPPEND (RFC 3502): literals go straight into the source.

The session gives each message here as it begins and passes its octets on; all messages of a command
are staged together, so that all are there or none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence

from mailferry.faces.imap.connection import Invalid
from mailferry.faces.imap.copy import target_mailbox
from mailferry.faces.imap.replies import Answer, Bad, No
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.store import settable
from mailferry.mail import operation
from mailferry.mail.message import Blob
from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.commands.append import Append, AppendedMessage
from mailferry.wire.imap.sequence_set import compacted, format_ranges
from mailferry.wire.imap.server import CommandInvalid, MessageData, MessageEnded, ServerEvent


class Appending:
    """The messages of the APPEND that is under way."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._blobs: list[Blob] = []

    async def check(self, mailbox: str, message: AppendedMessage) -> None:
        """Refuse a message before its octets come, where that can be told.

        Raises:
            No, Bad, MailError: it would be refused.
        """
        await target_mailbox(self._state, mailbox)
        settable(message.flags)
        if not message.length:
            raise No(b"A message cannot be empty", code=b"CANNOT")

    async def take(self, chunks: AsyncIterator[bytes]) -> None:
        """Take in the octets of one message.

        Raises:
            MailError: the source refuses it.
        """
        self._blobs.append(await self._state.source.upload(chunks))

    async def finish(self, command: Append) -> Answer:
        """Answer the command when all has come."""
        state = self._state
        target = await target_mailbox(state, command.mailbox)
        blobs, self._blobs = self._blobs, []
        if len(blobs) != len(command.messages):
            raise Bad(b"A message is missing")
        staged = await state.stage(
            *[
                operation.Append(
                    id=state.operation_id(),
                    mailbox=target.id,
                    blob=blob.id,
                    size=blob.size,
                    flags=settable(message.flags),
                    internal_date=message.internal_date,
                )
                for message, blob in zip(command.messages, blobs, strict=True)
            ]
        )
        return Answer(_append_uid(staged) + b"APPEND completed")

    def forget(self) -> None:
        """Give up what has come so far: the command is over without its answer."""
        self._blobs = []


class IncomingMessage:
    """The octets of one message on their way from the client."""

    def __init__(self, next_event: Callable[[], Awaitable[ServerEvent]]) -> None:
        self._next_event = next_event
        self.has_ended = False

    async def octets(self) -> AsyncGenerator[bytes, None]:
        """Yield them as they come.

        Raises:
            Invalid: it is no command after all.
            Ending, OSError, RemoteProtocolError: as from Connection.event.
        """
        while True:
            match await self._next_event():
                case MessageData(data):
                    yield data
                case MessageEnded():
                    self.has_ended = True
                    return
                case CommandInvalid(_, response):
                    raise Invalid(response)
                case _:
                    raise RemoteProtocolError("something else than a message")


def _append_uid(staged: Sequence[operation.Staged]) -> bytes:
    """Return the APPENDUID code (RFC 4315 §3) with a space behind it."""
    created = [each for one in staged for each in one.created]
    if not created:
        return b""
    uids = compacted(sorted(each.uid for each in created))
    return b"[APPENDUID %d %b] " % (created[0].uid_validity, format_ranges(uids))
