"""Who may log in with mail programs: the local logins of the node's accounts."""

from __future__ import annotations

from collections.abc import Mapping

from mailferry.mail.errors import AuthenticationFailed
from mailferry.mail.source import StagingSource
from mailferry.node.account_runner import AccountRunner
from mailferry.wire.scram import ScramVerifier


class NodeLogins:
    """The logins of the accounts that run now (Logins of the IMAP face)."""

    def __init__(self, runners: Mapping[int, AccountRunner]) -> None:
        """`runners` by the account's number; looked at anew with every login."""
        self._runners = runners

    async def verifier(self, login: str) -> ScramVerifier | None:
        """See Logins."""
        runner = self._runner(login)
        return None if runner is None else ScramVerifier.from_text(runner.account.local_verifier)

    async def open(self, login: str) -> StagingSource:
        """See Logins."""
        runner = self._runner(login)
        if runner is None:  # Removed since it was verified.
            raise AuthenticationFailed("there is no such login any more")
        return await runner.source()

    def _runner(self, login: str) -> AccountRunner | None:
        return next(
            (one for one in self._runners.values() if one.account.local_login == login), None
        )
