"""A replica on the disk over any origin: opened, closed, crashed and opened again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mailferry.mail.source import MailSource
from mailferry.sources.replica.replica import Replica
from mailferry.sources.replica.settings import BodyPolicy, ReplicaSettings
from mailferry.store.database import JOURNAL, Connection, open_database
from mailferry.store.journal import Journal
from mailferry.store.replica import replica_path

QUICK = ReplicaSettings(
    bodies=BodyPolicy.LIST,
    retry_delay_s=0.01,
    retry_delay_max_s=0.05,
    no_room_delay_s=0.05,
    server_settle_s=0.05,
)
"""As in life, but nobody waits long."""


def add_account(folder: Path, name: str = "ann") -> int:
    """Put an account into the journal, as the command line does."""
    connection: Connection = open_database(folder / "journal.sqlite", JOURNAL)
    try:
        connection.execute(
            """
            INSERT INTO account (name, settings, local_login, local_verifier, credential, created_at)
            VALUES (?1, '{}', ?1, '', x'', 0)
            """,
            (name,),
        )
        return connection.last_insert_rowid()
    finally:
        connection.close()


@dataclass
class Aboard:
    """One node's disk with one account, and what opens it."""

    folder: Path
    origin: MailSource
    settings: ReplicaSettings = QUICK
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    account: int = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.account = add_account(self.folder)

    @property
    def replica_path(self) -> Path:
        return replica_path(self.folder, self.account)

    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.sqlite"

    def replica(self, journal: Journal) -> Replica:
        return Replica(
            account=self.account,
            upstream=self.origin,
            journal=journal,
            path=self.replica_path,
            settings=self.settings,
            clock=self.clock,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Replica]:
        """Open the node; close it in order."""
        journal = Journal(self.journal_path)
        await journal.open()
        try:
            async with self.replica(journal) as replica:
                yield replica
        finally:
            await journal.close()

    @asynccontextmanager
    async def open_and_crash(self) -> AsyncIterator[Replica]:
        """Open the node; at the end it dies without a word."""
        journal = Journal(self.journal_path)
        await journal.open()
        try:
            async with self.replica(journal) as replica:
                yield replica
                journal.abandon()
                replica.abandon()
        finally:
            await journal.close()
