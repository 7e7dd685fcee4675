"""Node: everything that runs when `mailferry run` runs.

Theory of operation.  `run()` takes the data directory for itself, opens the journal, starts the
accounts (RunningAccounts), then listens, and tells that it is ready.  One account that fails is
that account's matter; a damaged journal ends the node.

It ends when `stop()` was called: mail programs are told goodbye and may finish the command they are
at, then the accounts are closed (what was answered is on the disk anyway; mail servers get their
LOGOUT), then the journal.  Whatever is not done within `stop_timeout_s` of the settings, or when
`stop()` is called again, is cancelled.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from mailferry import observe
from mailferry.config import Config, ImapListener, ListenerSecurity
from mailferry.faces.imap.server import ImapServer
from mailferry.mail.errors import StorageDamaged
from mailferry.net.listener import Listener, listen
from mailferry.node.account_status import account_status
from mailferry.node.answering import Answering
from mailferry.node.compose import imap_face, replica_of
from mailferry.node.control import serve_control
from mailferry.node.control_messages import ListenerStatus, NodeStatus
from mailferry.node.directory import DataDirectory
from mailferry.node.errors import ListenerFailed
from mailferry.node.logins import NodeLogins
from mailferry.node.running_accounts import RunningAccounts
from mailferry.node.served_certificate import ServedCertificate, served_certificate
from mailferry.store.accounts import Accounts
from mailferry.store.journal import Journal

logger = observe.logger(__name__)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is open while the node runs."""

    journal: Journal
    table: Accounts
    certificate: ServedCertificate


class Node:
    """One node on one data directory; `run()` it once."""

    def __init__(
        self, config: Config, directory: DataDirectory, environ: Mapping[str, str]
    ) -> None:
        """`environ` tells where the vault's key is."""
        self._config = config
        self._directory = directory
        self._environ = environ
        self._stopping = asyncio.Event()
        self._limit: asyncio.Timeout | None = None
        self._started_at = datetime.now(UTC)
        self._listeners: list[tuple[ImapListener, Listener]] = []

    def stop(self) -> None:
        """Have `run()` end; called again: at once.  To be called on the event loop."""
        if self._stopping.is_set() and self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())
        self._stopping.set()

    async def run(self, ready: Callable[[Answering], None]) -> None:
        """Serve until `stop()`; `ready` is called once, when mail programs can connect.

        Raises:
            DirectoryUnusable, DirectoryInUse: the data directory cannot be had.
            StorageDamaged, StorageFull: the journal cannot be used; the text says what to do.
            ListenerFailed, CertificateUnusable: the settings cannot be followed.
        """
        self._directory.create()
        try:
            with self._directory.locked():
                async with asyncio.timeout(None) as self._limit, self._open() as opened:
                    await self._serve(opened, ready)
        except TimeoutError:
            logger.warning("not everything ended in time")
        except BaseExceptionGroup as group:
            raise _foremost(group) from group

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Opened]:
        journal = Journal(self._directory.journal)
        await journal.open()
        try:
            key_place = self._directory.key_place(self._environ)
            table = await asyncio.to_thread(Accounts, journal.path, key_place)
            try:
                certificate = await asyncio.to_thread(
                    served_certificate, self._config, self._directory
                )
                yield _Opened(journal, table, certificate)
            finally:
                table.close()
        finally:
            await journal.close()

    async def _serve(self, opened: _Opened, ready: Callable[[Answering], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            accounts = RunningAccounts(
                opened.table,
                self._directory,
                lambda account: replica_of(
                    account,
                    journal=opened.journal,
                    directory=self._directory,
                    config=self._config,
                    secret=accounts.secret,
                ),
                tasks,
            )
            face = imap_face(NodeLogins(accounts.by_id), opened.certificate)
            answering = Answering(
                accounts, opened.journal, lambda: self._status(accounts, opened.certificate)
            )
            await accounts.reload()
            async with self._listening(face), self._controlled(answering):
                watching = [
                    tasks.create_task(accounts.watch()),
                    tasks.create_task(opened.journal.alarm.wait()),
                ]
                ready(answering)
                await self._stopping.wait()
                self._give_time_to_end()
                for task in watching:
                    task.cancel()
                face.shut_down()
            await accounts.close()

    def _give_time_to_end(self) -> None:
        if self._limit is not None:
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(now + self._config.limits.stop_timeout_s)

    @asynccontextmanager
    async def _listening(self, face: ImapServer) -> AsyncIterator[None]:
        limits = self._config.limits
        async with AsyncExitStack() as stack:
            for listener in self._config.imap:
                in_tls = listener.security is ListenerSecurity.TLS
                try:
                    opened = await stack.enter_async_context(
                        listen(
                            listener.host,
                            listener.port,
                            face.serve_in_tls if in_tls else face.serve,
                            connections_max=limits.connections_max,
                            shutdown_s=limits.stop_timeout_s / 2,
                        )
                    )
                except OSError as exc:
                    raise ListenerFailed(
                        f"cannot listen on {listener.host}, port {listener.port}: {exc.strerror}; "
                        "take another port in the settings file, or end what uses this one"
                    ) from exc
                self._listeners.append((listener, opened))
            yield

    @asynccontextmanager
    async def _controlled(self, answering: Answering) -> AsyncIterator[None]:
        async with serve_control(self._directory.control_socket, answering.answer):
            yield

    async def _status(
        self, accounts: RunningAccounts, certificate: ServedCertificate
    ) -> NodeStatus:
        return NodeStatus(
            version=version("mailferry"),
            pid=os.getpid(),
            started_at=self._started_at,
            data_directory=str(self._directory.path),
            certificate_sha256=certificate.fingerprint,
            listeners=tuple(
                ListenerStatus(
                    protocol="imap",
                    host=asked.host,
                    port=opened.port,
                    security=asked.security.value,
                    connections=opened.connections,
                )
                for asked, opened in self._listeners
            ),
            accounts=tuple(
                [
                    await account_status(runner, self._directory)
                    for runner in list(accounts.by_id.values())
                ]
            ),
        )


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the node; a damaged file explains all others."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        else:
            leaves.append(one)
    return next((one for one in leaves if isinstance(one, StorageDamaged)), leaves[-1])
