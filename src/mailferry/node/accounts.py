"""Accounts as the command line sees them, whether a node is running or not.

The values and errors of the store are handed on from here, because nobody above the node opens the
store itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mailferry.node.control import NodeUnreachable, ask
from mailferry.node.control_messages import AskErase, AskReload, AskRemove, Request
from mailferry.node.directory import DataDirectory
from mailferry.store.account_settings import (
    AccountSettings,
    BodyPolicy,
    Mechanism,
    ServerSecurity,
)
from mailferry.store.accounts import (
    Account,
    AccountChange,
    AccountError,
    AccountExists,
    Accounts,
    AccountUnknown,
)
from mailferry.store.keyfile import create_key, read_keys, replace_keys
from mailferry.store.replica import erase
from mailferry.store.vault import VaultError, new_key

__all__ = [
    "Account",
    "AccountChange",
    "AccountError",
    "AccountExists",
    "AccountSettings",
    "AccountUnknown",
    "Accounts",
    "BodyPolicy",
    "Mechanism",
    "ServerSecurity",
    "VaultError",
    "erase_replica",
    "node_is_running",
    "open_accounts",
    "remove_account",
    "rotate_key",
    "tell_node",
]


@contextmanager
def open_accounts(directory: DataDirectory, environ: Mapping[str, str]) -> Iterator[Accounts]:
    """Open the table of accounts; the data directory is made when it is not there.

    Raises:
        DirectoryUnusable, StorageDamaged, StorageFull: it cannot be opened.
        VaultError: the environment names no place for the key.
    """
    directory.create()
    accounts = Accounts(directory.journal, directory.key_place(environ))
    try:
        yield accounts
    finally:
        accounts.close()


def node_is_running(directory: DataDirectory) -> bool:
    """Whether a node answers on this data directory."""
    return tell_node(directory)


def tell_node(directory: DataDirectory) -> bool:
    """Tell a running node that accounts have changed; return whether there is one.

    Without it the node notices by itself, a moment later.
    """
    return _asked(directory, AskReload())


def remove_account(directory: DataDirectory, account: Account, environ: Mapping[str, str]) -> None:
    """Forget an account, what waits for its server, and its replica.

    Raises:
        NodeRefused: the running node could not.
        DirectoryInUse: another command has the directory.
    """
    if _asked(directory, AskRemove(account=account.name)):
        return
    with directory.locked(), open_accounts(directory, environ) as accounts:
        accounts.remove(account)
        erase(directory.replica(account.id))


def erase_replica(directory: DataDirectory, account: Account) -> None:
    """Erase the mail of an account that is here; what waits for its server stays.

    Raises:
        NodeRefused: the running node could not.
        DirectoryInUse: another command has the directory.
    """
    if _asked(directory, AskErase(account=account.name)):
        return
    with directory.locked():
        erase(directory.replica(account.id))


def rotate_key(directory: DataDirectory, environ: Mapping[str, str]) -> int:
    """Seal all passwords with a new key and drop the old one; return how many there are.

    A crash in between leaves both keys in the file, and everything readable.

    Raises:
        VaultError: the key is not mailferry's own, or a password does not open; nothing changed.
    """
    place = directory.key_place(environ)
    with open_accounts(directory, environ) as accounts:
        create_key(place)
        old, new = read_keys(place), new_key()
        count = accounts.seal_anew(replace_keys(place, [new, *old]))
        replace_keys(place, [new])
    tell_node(directory)
    return count


def _asked(directory: DataDirectory, request: Request) -> bool:
    """Ask a running node; return False when there is none."""
    try:
        list(ask(directory.control_socket, request))
    except NodeUnreachable:
        return False
    return True
