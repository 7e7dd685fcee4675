"""One thread that writes one file, and commits in groups.

Theory of operation.  A *unit* is a function of the connection: what it does is done whole or not
at all.  `submit` queues it and waits; the thread takes what has gathered, runs each unit inside a
savepoint of one transaction, commits once, and only then tells the waiting tasks.  So a hundred
tasks that want to be durable share one fsync, and a unit that fails takes no other with it.

When the driver has rolled the whole transaction back (disk full, disk error), what the units of the
group did is gone: they are run again one by one, each in a transaction of its own, so that the one
that does not fit fails and the small ones still get in.  A unit may therefore run more than once:
it must have no effect outside its connection.

Reads that must see what was just written go through the writer too; all other reads use a
connection of their own (`database.open_reader`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from mailferry.mail.errors import SourceUnavailable
from mailferry.store.database import FileFormat, open_database, translated

QUEUE_LENGTH_MAX: Final = 1024  # Units; who comes later waits: memory stays bounded.
GROUP_LENGTH_MAX: Final = 256  # Units in one commit: past this a group gains nothing more.

T = TypeVar("T")
Unit = Callable[[apsw.Connection], T]


@dataclass(slots=True)
class _Waiting:
    unit: Unit[Any]
    future: asyncio.Future[Any]
    result: object = None
    error: Exception | None = None


class Writer:
    """The one writer of a file.  Belongs to the event loop that opened it."""

    def __init__(self, path: Path, file_format: FileFormat) -> None:
        """Open nothing yet: `await open()`."""
        self._path = path
        self._format = file_format
        self._condition = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._closing = False
        self._slots = asyncio.Semaphore(QUEUE_LENGTH_MAX)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: apsw.Connection | None = None

    def __repr__(self) -> str:
        return f"<Writer {self._path.name} [{len(self._queue)} waiting]>"

    async def open(self) -> None:
        """Open the file (made and migrated as needed) and start the thread.

        Raises:
            StorageDamaged, StorageFull: see `database.open_database`.
        """
        self._loop = asyncio.get_running_loop()
        self._connection = await asyncio.to_thread(open_database, self._path, self._format)
        self._thread = threading.Thread(
            target=self._run, args=(self._connection,), name=f"writer {self._path.name}"
        )
        self._thread.start()

    async def submit(self, unit: Unit[T]) -> T:
        """Run `unit` in a transaction; return its result when that is durable.

        A caller that is cancelled while it waits does not stop its unit.

        Raises:
            StorageFull, StorageDamaged: nothing of the unit was kept.
            SourceUnavailable: the file is not open (any more).
        """
        if self._loop is None:
            raise SourceUnavailable(f"{self._path.name} is not open")
        await self._slots.acquire()
        waiting = _Waiting(unit, self._loop.create_future())
        waiting.future.add_done_callback(self._free_slot)
        with self._condition:
            if self._closing:
                waiting.future.cancel()
                raise SourceUnavailable(f"{self._path.name} is not open")
            self._queue.append(waiting)
            self._condition.notify()
        # Shielded: the slot is given back when the unit has run, not when its caller gives up.
        result: T = await asyncio.shield(waiting.future)
        return result

    async def close(self) -> None:
        """Write what is queued, fold the WAL into the file, close it.  May be called twice."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def abandon(self) -> None:
        """Stop as a crash would: what has not been committed is not.  For tests of crashes."""
        with self._condition:
            self._closing = True
            for waiting in self._queue:
                waiting.future.cancel()
            self._queue.clear()
            self._condition.notify()

    def _free_slot(self, future: asyncio.Future[Any]) -> None:
        self._slots.release()
        if not future.cancelled():
            future.exception()  # Looked at, also when its caller has given up.

    # In the thread.

    def _run(self, connection: apsw.Connection) -> None:
        try:
            while group := self._next_group():
                try:
                    self._write(connection, group)
                except Exception as exc:  # noqa: BLE001 - a disk that cannot even roll back
                    for waiting in group:
                        waiting.error = waiting.error or exc
                self._tell(group)
        finally:
            connection.close()

    def _next_group(self) -> list[_Waiting]:
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            count = min(len(self._queue), GROUP_LENGTH_MAX)
            return [self._queue.popleft() for _ in range(count)]

    def _write(self, connection: apsw.Connection, group: list[_Waiting]) -> None:
        try:
            with translated(self._path, self._format):
                connection.execute("BEGIN IMMEDIATE")
                for waiting in group:
                    self._run_unit(connection, waiting)
                connection.execute("COMMIT")
        except Exception as exc:  # noqa: BLE001 - handed to the tasks that wait
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(group) > 1:
                for waiting in group:
                    self._write(connection, [waiting])
                return
            group[0].error = exc

    def _run_unit(self, connection: apsw.Connection, waiting: _Waiting) -> None:
        """Run one unit in its savepoint; raises only when the whole transaction is lost."""
        waiting.error = None
        connection.execute("SAVEPOINT unit")
        try:
            with translated(self._path, self._format):
                waiting.result = waiting.unit(connection)
            connection.execute("RELEASE unit")
        except Exception as exc:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO unit")
            connection.execute("RELEASE unit")
            waiting.error = exc

    def _tell(self, group: list[_Waiting]) -> None:
        assert self._loop is not None  # noqa: S101 - set by open(), before the thread
        try:
            self._loop.call_soon_threadsafe(_resolve, group)
        except RuntimeError:  # The loop was closed under us: nobody is waiting any more.
            return


def _resolve(group: list[_Waiting]) -> None:
    for waiting in group:
        if waiting.future.done():
            continue
        if waiting.error is not None:
            waiting.future.set_exception(waiting.error)
        else:
            waiting.future.set_result(waiting.result)
