"""How one running account is, in words and numbers."""

from __future__ import annotations

import asyncio

from mailferry.mail.errors import StorageDamaged
from mailferry.node.account_runner import AccountRunner
from mailferry.node.control_messages import AccountStatus
from mailferry.node.directory import DataDirectory
from mailferry.store.counts import Counts, count


async def account_status(runner: AccountRunner, directory: DataDirectory) -> AccountStatus:
    """Return the status of an account."""
    account = runner.account
    try:
        counts = await asyncio.to_thread(
            count, directory.journal, directory.replica(account.id), account.id
        )
    except StorageDamaged:  # Not there yet, or being erased: there is nothing to count.
        counts = Counts()
    state, reason = _state(runner, counts)
    return AccountStatus(
        name=account.name,
        login=account.local_login,
        server=f"{account.settings.host}:{account.settings.port}",
        state=state,
        reason=reason,
        mailboxes=counts.mailboxes,
        messages=counts.messages,
        messages_listed=max(0, counts.messages - counts.messages_unlisted),
        bodies=counts.bodies,
        pending=counts.pending,
        refused=counts.refused,
    )


def _state(runner: AccountRunner, counts: Counts) -> tuple[str, str]:
    """Return the state (see AccountStatus) and the reason."""
    if runner.replica is None:
        return ("failed", runner.reason) if runner.reason else ("connecting", "")
    reachability = runner.reachability
    if reachability is None:
        return "connecting", ""
    if not reachability.reachable:
        return "waiting", reachability.reason
    if counts.mailboxes_unknown or counts.messages_unlisted or counts.bodies_wanted:
        return "syncing", ""
    return "ready", ""
