"""The data directory of a node: what lies where, who may read it, and that one node has it.

journal.sqlite        accounts, operations, the map of ids: what must not be lost
replica-N.sqlite      the mail of account N: what can be fetched again
vault.key             opens the sealed passwords (unless the key is elsewhere)
certificate.pem/.key  what mail programs see (unless the settings name another one)
control.socket        where `mailferry status` and others reach the running node
lock                  held by the running node
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailferry.store.keyfile import KeyPlace, find_key
from mailferry.store.replica import replica_path

DIRECTORY_MODE: Final = 0o700  # The mail lies here in the clear.


class DirectoryUnusable(Exception):
    """The data directory cannot be used; the text says why and what to do."""


class DirectoryInUse(DirectoryUnusable):
    """Another node has the data directory."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory; the properties name what is in it."""

    path: Path

    @property
    def journal(self) -> Path:
        """The journal file of the node."""
        return self.path / "journal.sqlite"

    @property
    def control_socket(self) -> Path:
        """Where the running node answers."""
        return self.path / "control.socket"

    def replica(self, account_id: int) -> Path:
        """Return the replica file of an account."""
        return replica_path(self.path, account_id)

    def key_place(self, environ: Mapping[str, str]) -> KeyPlace:
        """Return where the key of the vault is expected.

        Raises:
            KeyInvalid: the environment names no place.
        """
        return find_key(self.path, environ)

    def create(self) -> None:
        """Make the directory, closed to others, when it is not there.

        Raises:
            DirectoryUnusable: it cannot be made or used.
        """
        try:
            self.path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as exc:
            raise DirectoryUnusable(
                f"the data directory {self.path} cannot be made: {exc.strerror}"
            ) from exc
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise DirectoryUnusable(
                f"the data directory {self.path} cannot be written by this user: "
                "run mailferry as its owner, or name another one with --data"
            )

    def mode(self) -> int:
        """Return the permission bits of the directory."""
        return stat.S_IMODE(self.path.stat().st_mode)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the directory for oneself while the block lasts; a crash frees it too.

        Raises:
            DirectoryInUse: a node runs on it, or a command that must be alone.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                raise DirectoryInUse(
                    f"another mailferry (process {holder or 'unknown'}) uses {self.path}: "
                    "stop it first, or name another directory with --data"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)
