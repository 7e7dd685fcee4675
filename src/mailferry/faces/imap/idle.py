"""IDLE (RFC 2177): the client waits and is told what happens until it says DONE.

While the client is listened to, a second task tells it of changes as the source's events come, a
third one has the source look for news, and a fourth gives signs of life.  They may be cancelled at any
point: a view forgets nothing that it has not told, and what was written was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from mailferry import observe
from mailferry.faces.imap.chunks import closing
from mailferry.faces.imap.connection import MAILBOX_GONE, Connection, Ending, Invalid
from mailferry.faces.imap.replies import Answer
from mailferry.faces.imap.state import SessionState
from mailferry.faces.imap.view import Expunges
from mailferry.mail.changes import Event, MailboxChanged
from mailferry.mail.errors import MailboxNotFound, MailError
from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.server import CommandInvalid, IdleDone, ServerEvent

logger = observe.logger(__name__)


async def idle(state: SessionState, connection: Connection) -> Answer:
    """Answer IDLE.

    Raises:
        Invalid: the client said something else than DONE.
        Ending, OSError, RemoteProtocolError: as from Connection.event.
    """
    async with closing(state.source.watch()) as events:
        await state.sync(Expunges.TELL)
        connection.out.put(connection.flow.begin_idle())
        await connection.out.flush()
        match await _Idling(state, connection).until_done(events):
            case IdleDone():
                return Answer(b"IDLE completed")
            case CommandInvalid(_, response):
                raise Invalid(response)
            case _:
                raise RemoteProtocolError("something else than DONE")


class _Idling:
    def __init__(self, state: SessionState, connection: Connection) -> None:
        self._state = state
        self._connection = connection
        self._limits = state.limits

    async def until_done(self, events: AsyncIterator[Event]) -> ServerEvent:
        """Return what the client says next; until then tell it the events."""
        said: ServerEvent | Exception
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._tell(events)),
                group.create_task(self._look_for_news()),
                group.create_task(self._keep_alive()),
            ]
            try:
                said = await self._connection.event(self._limits.silence_s)
            except (Ending, OSError, RemoteProtocolError) as exc:
                said = exc  # To be raised as it is, not in a group of exceptions.
            for task in tasks:
                task.cancel()
        if isinstance(said, Exception):
            raise said
        return said

    async def _tell(self, events: AsyncIterator[Event]) -> None:
        """Tell the client of changes in its mailbox."""
        view = self._state.view
        try:
            async for event in events:
                if view is not None and event == MailboxChanged(view.mailbox):
                    await self._state.sync(Expunges.TELL)
                    await self._connection.out.flush()
        except MailboxNotFound:
            self._connection.interrupt(MAILBOX_GONE)
        except MailError as exc:
            logger.warning("updates not told: %s", type(exc).__name__)
        except OSError:
            self._connection.stream.abort()  # Wakes who reads.

    async def _look_for_news(self) -> None:
        """Look once: what is found comes as an event."""
        if self._state.view is not None:
            try:
                await self._state.source.refresh(self._state.view.mailbox)
            except MailError as exc:
                logger.info("no news: %s", type(exc).__name__)

    async def _keep_alive(self) -> None:
        out = self._connection.out
        try:
            while True:
                await asyncio.sleep(self._limits.idle_keepalive_s)
                out.untagged(b"OK Still here")
                await out.flush()
        except OSError:
            self._connection.stream.abort()
