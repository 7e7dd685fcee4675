"""The accounts that run in a node: the table of accounts brought to life, and kept so.

Exactly the accounts in the table run, as they are there.  The command line writes the table from
another process; `watch()` notices.  Changes are made one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from mailferry import observe
from mailferry.mail.errors import StorageDamaged
from mailferry.node.account_runner import AccountRunner, OpenReplica
from mailferry.node.directory import DataDirectory
from mailferry.store.accounts import Account, Accounts, AccountUnknown
from mailferry.store.replica import erase

LOOK_INTERVAL_S: Final = 1.0  # Between looks whether somebody wrote to the table.

logger = observe.logger(__name__)

T = TypeVar("T")


class RunningAccounts:
    """One AccountRunner for each account of the table."""

    def __init__(
        self,
        accounts: Accounts,
        directory: DataDirectory,
        open_replica: OpenReplica,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """The runners' tasks belong to `tasks`; call `close()` before it ends."""
        self._accounts = accounts
        self._directory = directory
        self._open_replica = open_replica
        self._tasks = tasks
        self._runners: dict[int, AccountRunner] = {}
        self._runs: dict[int, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        self._at_table = asyncio.Lock()  # A connection serves one thread at a time.

    @property
    def by_id(self) -> Mapping[int, AccountRunner]:
        """The runners by the number of their account; changes as accounts come and go."""
        return self._runners

    def named(self, name: str | None) -> Sequence[AccountRunner]:
        """Return the runner of an account, or all with None.

        Raises:
            AccountUnknown: no account of that name runs.
        """
        found = [one for one in self._runners.values() if name in (None, one.account.name)]
        if name is not None and not found:
            raise AccountUnknown(f'there is no account "{name}"')
        return found

    async def watch(self) -> None:
        """Reload when another process wrote to the file; runs until cancelled.

        Raises:
            StorageDamaged: the journal is damaged.
        """
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            if await self._in_table(self._accounts.changed_elsewhere):
                await self.reload()

    async def reload(self) -> None:
        """Run exactly the accounts that are in the table now.

        Raises:
            StorageDamaged: the table cannot be read.
        """
        async with self._changing:
            accounts = {one.id: one for one in await self._in_table(self._accounts.all)}
            for number in [one for one in self._runners if one not in accounts]:
                await self._end(number)
                await asyncio.to_thread(erase, self._directory.replica(number))
            for account in accounts.values():
                await self._begin_or_change(account)

    async def erase(self, name: str) -> None:
        """Erase an account's replica file; it is fetched again.

        Raises:
            AccountUnknown: no account of that name runs.
        """
        async with self._changing:
            [runner] = self.named(name)
            path = self._directory.replica(runner.account.id)
            await runner.restart(runner.account, lambda: asyncio.to_thread(erase, path))

    async def remove(self, name: str) -> None:
        """End an account's session, forget the account, and erase its replica file.

        Raises:
            AccountUnknown: no account of that name runs.
        """
        async with self._changing:
            [runner] = self.named(name)
            await self._end(runner.account.id)
            await self._in_table(lambda: self._accounts.remove(runner.account))
            await asyncio.to_thread(erase, self._directory.replica(runner.account.id))

    async def secret(self, account: Account) -> str:
        """Return the password or token of an account, as it is in the table now.

        Raises:
            AccountUnknown, VaultError: see Accounts.secret.
        """
        return await self._in_table(lambda: self._accounts.secret(account))

    async def close(self) -> None:
        """Close all accounts, at the same time."""
        async with self._changing:
            for runner in self._runners.values():
                runner.stop()
            if self._runs:
                await asyncio.wait(self._runs.values())
            self._runners.clear()
            self._runs.clear()

    async def _in_table(self, work: Callable[[], T]) -> T:
        async with self._at_table:
            return await asyncio.to_thread(work)

    async def _begin_or_change(self, account: Account) -> None:
        runner = self._runners.get(account.id)
        if runner is None:
            logger.info("account begins id=%s", account.id)
            runner = AccountRunner(account, self._open_replica, self._is_fatal)
            self._runners[account.id] = runner
            self._runs[account.id] = self._tasks.create_task(runner.run())
        elif runner.account.settings != account.settings:
            logger.info("account changed id=%s", account.id)
            await runner.restart(account)
        else:
            runner.account = account

    async def _end(self, number: int) -> None:
        logger.info("account ends id=%s", number)
        self._runners.pop(number).stop()
        await asyncio.wait([self._runs.pop(number)])

    def _is_fatal(self, error: BaseException) -> bool:
        """A damaged journal is every account's trouble; a replica's is its own."""
        return isinstance(error, StorageDamaged) and str(self._directory.journal) in str(error)
