"""The composition of a node's parts: the one place where it is said what is made of what.

node = ImapServer( login -> Replica( ImapSource ) )
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from mailferry.config import Config
from mailferry.faces.imap.server import ImapServer
from mailferry.mail.errors import AuthenticationFailed
from mailferry.node.directory import DataDirectory
from mailferry.node.logins import NodeLogins
from mailferry.node.served_certificate import ServedCertificate
from mailferry.node.upstream import credential, imap_settings, trust
from mailferry.sources.imap.source import ImapSource
from mailferry.sources.replica.replica import Replica
from mailferry.sources.replica.settings import BodyPolicy, ReplicaSettings
from mailferry.store import account_settings
from mailferry.store.accounts import Account
from mailferry.store.journal import Journal
from mailferry.store.vault import VaultError
from mailferry.wire.sasl import Credential

_POLICY: Final = {
    account_settings.BodyPolicy.LIST: BodyPolicy.LIST,
    account_settings.BodyPolicy.NEW: BodyPolicy.NEW,
    account_settings.BodyPolicy.ALL: BodyPolicy.ALL,
}

SecretOf = Callable[[Account], Awaitable[str]]
"""Opens an account's sealed secret."""


@asynccontextmanager
async def replica_of(
    account: Account,
    *,
    journal: Journal,
    directory: DataDirectory,
    config: Config,
    secret: SecretOf,
) -> AsyncIterator[Replica]:
    """Have an account's replica, over its IMAP server, while the block lasts.

    Raises:
        StorageDamaged, StorageFull: the text says what to do.
        NotSupported: the account's CA file cannot be used.
    """

    async def give_credential() -> Credential:
        try:
            return credential(account.settings, await secret(account))
        except VaultError as exc:
            raise AuthenticationFailed(str(exc)) from exc

    trusted = await asyncio.to_thread(trust, account.settings)
    async with asyncio.TaskGroup() as tasks:
        source = ImapSource(imap_settings(account.settings), give_credential, trusted, tasks)
        replica = Replica(
            account=account.id,
            upstream=source,
            journal=journal,
            path=directory.replica(account.id),
            settings=_replica_settings(account, config),
        )
        try:
            async with replica:
                yield replica
        finally:
            await source.aclose()


def imap_face(logins: NodeLogins, certificate: ServedCertificate) -> ImapServer:
    """Return the IMAP face of the node."""
    return ImapServer(logins, tls=certificate.context)


def _replica_settings(account: Account, config: Config) -> ReplicaSettings:
    settings = account.settings
    return ReplicaSettings(
        bodies=_POLICY[settings.bodies],
        body_length_max=settings.body_size_limit_octets,
        upload_length_max=config.limits.message_size_max_octets,
        poll_interval_s=settings.poll_interval_s,
    )
