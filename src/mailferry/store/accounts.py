"""The accounts of a node: rows of the journal file, each with one sealed secret.

Accounts are written by the command line and read by the running node, often at the same time from
two processes.  `changed_elsewhere` tells cheaply that the file was written by another one.

Everything here blocks for a few milliseconds: not for the event loop.  One object serves one
thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
from pydantic import TypeAdapter, ValidationError

from mailferry.mail.errors import StorageDamaged
from mailferry.store.account_settings import AccountSettings, Name
from mailferry.store.database import JOURNAL, open_database, translated
from mailferry.store.keyfile import KeyMissing, KeyPlace, create_key, load_vault
from mailferry.store.vault import Vault

PURPOSE: Final = "imap"
"""What the sealed secret is for; part of what its seal is bound to."""

_NAME: Final = TypeAdapter(Name)
_SELECT_ALL: Final = """
    SELECT id, name, settings, local_login, local_verifier, created_at FROM account ORDER BY id
"""


class AccountError(Exception):
    """An account cannot be what was asked; the text says why."""


class AccountExists(AccountError):
    """The name or the local login is taken."""


class AccountUnknown(AccountError):
    """There is no account of that name (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account, without its secret."""

    id: int
    """Never used again for another account."""
    name: str
    settings: AccountSettings
    local_login: str
    """The name that mail programs give."""
    local_verifier: str = field(repr=False)
    """What checks the mail programs' password, in the form of RFC 5803; not the password."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What to change about an account; None leaves it as it is."""

    name: str | None = None
    settings: AccountSettings | None = None
    secret: str | None = field(default=None, repr=False)
    local_login: str | None = None
    local_verifier: str | None = field(default=None, repr=False)


class Accounts:
    """The table of accounts."""

    def __init__(self, path: Path, key_place: KeyPlace) -> None:
        """Open the journal file, made and migrated as needed.

        Raises:
            StorageDamaged, StorageFull: see `database.open_database`.
        """
        self._path = path
        self._key_place = key_place
        self._connection = open_database(path, JOURNAL)
        self._seen_version = self._data_version()

    def close(self) -> None:
        """Close the file.  May be called twice."""
        self._connection.close()

    def all(self) -> Sequence[Account]:
        """Return every account, oldest first."""
        with translated(self._path, JOURNAL):
            rows = self._connection.execute(_SELECT_ALL).fetchall()
        return [self._account(row) for row in rows]

    def get(self, name: str) -> Account:
        """Return the account called `name`.

        Raises:
            AccountUnknown: there is none.
        """
        accounts = self.all()
        for account in accounts:
            if account.name == name:
                return account
        known = ", ".join(account.name for account in accounts) or "there are none yet"
        raise AccountUnknown(f'there is no account "{name}"; known: {known}')

    def add(
        self,
        *,
        name: str,
        settings: AccountSettings,
        secret: str,
        local_login: str,
        local_verifier: str,
    ) -> Account:
        """Keep a new account; durable when this returns.

        Raises:
            AccountExists: the name or the local login is taken.
            AccountError: the name or the local login cannot be used.
            VaultError: the key cannot be used.
        """
        vault = self._vault(create=True)
        columns = {
            "name": _checked_name(name),
            "settings": settings.model_dump_json(),
            "local_login": _checked_name(local_login),
            "local_verifier": local_verifier,
            "created_at": int(time.time()),
        }
        with self._transaction():
            self._connection.execute(
                "INSERT INTO account (name, settings, local_login, local_verifier, credential,"
                " created_at) VALUES (:name, :settings, :local_login, :local_verifier, x'',"
                " :created_at)",
                columns,
            )
            account_id = self._connection.last_insert_rowid()
            self._write(account_id, {"credential": _seal(vault, account_id, secret)})
        return self.get(name)

    def update(self, account: Account, change: AccountChange) -> Account:
        """Change an account; durable when this returns.

        Raises:
            AccountExists, AccountError, VaultError: as for `add`.
            AccountUnknown: it was removed meanwhile.
        """
        columns: dict[str, str | bytes] = {}
        if change.name is not None:
            columns["name"] = _checked_name(change.name)
        if change.settings is not None:
            columns["settings"] = change.settings.model_dump_json()
        if change.secret is not None:
            columns["credential"] = _seal(self._vault(create=True), account.id, change.secret)
        if change.local_login is not None:
            columns["local_login"] = _checked_name(change.local_login)
        if change.local_verifier is not None:
            columns["local_verifier"] = change.local_verifier
        with self._transaction():
            if columns:
                self._write(account.id, columns)
        return self.get(change.name or account.name)

    def remove(self, account: Account) -> None:
        """Forget an account and what the journal holds of it."""
        with self._transaction():
            self._connection.execute("DELETE FROM account WHERE id = ?", (account.id,))

    def secret(self, account: Account) -> str:
        """Return the password or token for the mail server.

        Raises:
            AccountUnknown: it was removed meanwhile.
            VaultError: the key or the seal cannot be used.
        """
        return self._vault(create=False).open(
            self._sealed(account.id), account=str(account.id), purpose=PURPOSE
        )

    def seal_anew(self, vault: Vault) -> int:
        """Seal all secrets that are not under the vault's current key with it; return how many.

        Raises:
            SecretUnreadable: one of them does not open; nothing was changed.
        """
        count = 0
        with self._transaction():
            for account in self.all():
                sealed = self._sealed(account.id)
                if not vault.is_current(sealed):
                    secret = vault.open(sealed, account=str(account.id), purpose=PURPOSE)
                    self._write(account.id, {"credential": _seal(vault, account.id, secret)})
                    count += 1
        return count

    def damage(self) -> str:
        """Look through the whole journal file; return what is wrong with it, "" when it is whole.

        Takes about 3 ms for each megabyte.
        """
        with translated(self._path, JOURNAL):
            found = str(self._connection.pragma("integrity_check", 1))
        return "" if found == "ok" else found

    def changed_elsewhere(self) -> bool:
        """Whether anybody else wrote to the file since this was asked last."""
        version = self._data_version()
        changed = version != self._seen_version
        self._seen_version = version
        return changed

    def _data_version(self) -> int:
        with translated(self._path, JOURNAL):
            return int(self._connection.pragma("data_version"))

    def _vault(self, *, create: bool) -> Vault:
        try:
            return load_vault(self._key_place)
        except KeyMissing:
            if not create:
                raise
            return create_key(self._key_place)

    def _sealed(self, account_id: int) -> bytes:
        with translated(self._path, JOURNAL):
            row = self._connection.execute(
                "SELECT credential FROM account WHERE id = ?", (account_id,)
            ).fetchone()
        if row is None:
            raise AccountUnknown("the account has been removed")
        return bytes(row[0])

    def _write(self, account_id: int, columns: dict[str, str | bytes]) -> None:
        assignments = ", ".join(f"{column} = :{column}" for column in columns)
        self._connection.execute(
            f"UPDATE account SET {assignments} WHERE id = :id",  # noqa: S608 - our own column names
            {**columns, "id": account_id},
        )
        if self._connection.changes() == 0:
            raise AccountUnknown("the account has been removed")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated(self._path, JOURNAL):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except apsw.ConstraintError as exc:
                self._connection.execute("ROLLBACK")
                raise _taken(exc) from None
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _account(self, row: Sequence[object]) -> Account:
        account_id, name, settings, local_login, local_verifier, created_at = row
        try:
            return Account(
                id=int(str(account_id)),
                name=str(name),
                settings=AccountSettings.model_validate_json(str(settings)),
                local_login=str(local_login),
                local_verifier=str(local_verifier),
                created_at=datetime.fromtimestamp(int(str(created_at)), UTC),
            )
        except ValidationError as exc:
            raise StorageDamaged(
                f'the settings of account "{name}" in {self._path} cannot be read: {JOURNAL.mend}'
            ) from exc


def _seal(vault: Vault, account_id: int, secret: str) -> bytes:
    return vault.seal(secret, account=str(account_id), purpose=PURPOSE)


def _checked_name(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as exc:
        reason = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise AccountError(f"{name!r} cannot be a name: {reason}") from None


def _taken(exc: apsw.ConstraintError) -> AccountError:
    if "local_login" in str(exc):
        return AccountExists("that local login is taken by another account; choose another one")
    return AccountExists("there is an account of that name already; choose another one")
