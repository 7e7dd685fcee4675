"""What a running node answers to requests on its control socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import assert_never

from mailferry.mail.errors import MailError
from mailferry.node.control_messages import (
    Answer,
    AskErase,
    AskJournal,
    AskReload,
    AskRemove,
    AskStatus,
    Done,
    Failure,
    JournalLine,
    NodeStatus,
    Request,
)
from mailferry.node.journal_file import AccountHistory
from mailferry.node.journal_following import Named, followed_lines, journal_lines
from mailferry.node.running_accounts import RunningAccounts
from mailferry.store.accounts import AccountError
from mailferry.store.journal import Journal
from mailferry.store.vault import VaultError


class Answering:
    """Answers requests about a node and its accounts."""

    def __init__(
        self,
        accounts: RunningAccounts,
        journal: Journal,
        status: Callable[[], Awaitable[NodeStatus]],
    ) -> None:
        self._accounts = accounts
        self._journal = journal
        self.status = status
        """Tells how the node is."""

    async def answer(self, request: Request) -> AsyncGenerator[Answer, None]:
        """Yield the answers to a request; what cannot be done is a Failure."""
        try:
            match request:
                case AskStatus():
                    yield await self.status()
                case AskJournal():
                    async with aclosing(self.journal(request)) as lines:
                        async for line in lines:
                            yield line
                case AskErase(account=account):
                    await self._accounts.erase(account)
                    yield Done()
                case AskRemove(account=account):
                    await self._accounts.remove(account)
                    yield Done()
                case AskReload():
                    await self._accounts.reload()
                    yield Done()
                case _:
                    assert_never(request)
        except (AccountError, VaultError, MailError, OSError) as exc:
            yield Failure(str(exc))

    def journal(self, request: AskJournal) -> AsyncGenerator[JournalLine, None]:
        """Yield lines of the journal, without end where it is to be followed.

        Raises:
            AccountUnknown: the request names an account that does not run.
        """
        if request.follow:
            self._named(request.account)  # Raises when there is no such account.
            return followed_lines(lambda: self._named(request.account), request.since)
        return journal_lines(self._named(request.account), request.since)

    def _named(self, account: str | None) -> Sequence[Named]:
        return [
            (runner.account.name, AccountHistory(self._journal, runner.account.id))
            for runner in self._accounts.named(account)
        ]
