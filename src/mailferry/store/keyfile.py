"""The vault's key: where it is, and that nobody else can read it.

A key file holds one key a line, 32 octets in base64; the first line seals, all of them open.
`head -c 32 /dev/urandom | base64` makes one.  Where the key is looked for, in this order:

1. the descriptor that MAILFERRY_KEY_FD names,
2. the file that MAILFERRY_KEY_FILE names,
3. `mailferry-key` in systemd's $CREDENTIALS_DIRECTORY,
4. `vault.key` beside the journal, made with the first secret.

The environment names a place and never holds the key.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailferry.store.vault import KEY_LENGTH, Vault, VaultError, new_key

KEY_FILE_NAME: Final = "vault.key"
SYSTEMD_CREDENTIAL_NAME: Final = "mailferry-key"
KEY_FILE_LENGTH_MAX: Final = 16 * 1024  # Octets: some hundred keys; more is not a key file.


class KeyMissing(VaultError):
    """There is no key at the place where it should be."""


class KeyUnsafe(VaultError):
    """Somebody else on this machine could read the key, so it is not used."""


class KeyInvalid(VaultError):
    """What is at the key's place is not a key."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the key is.  Exactly one of `path` and `descriptor` is set."""

    path: Path | None
    descriptor: int | None
    ours: bool
    """True when mailferry makes the file itself and may replace it."""

    def __str__(self) -> str:
        return f"descriptor {self.descriptor}" if self.path is None else str(self.path)


def find_key(data_directory: Path, environ: Mapping[str, str]) -> KeyPlace:
    """Return where the key is expected, whether or not it is there.

    Raises:
        KeyInvalid: MAILFERRY_KEY_FD is not a number.
    """
    if descriptor := environ.get("MAILFERRY_KEY_FD"):
        if not descriptor.isdecimal():
            raise KeyInvalid("MAILFERRY_KEY_FD must be the number of an open descriptor")
        return KeyPlace(path=None, descriptor=int(descriptor), ours=False)
    if path := environ.get("MAILFERRY_KEY_FILE"):
        return KeyPlace(path=Path(path), descriptor=None, ours=False)
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        path_there = Path(directory) / SYSTEMD_CREDENTIAL_NAME
        if path_there.exists():
            return KeyPlace(path=path_there, descriptor=None, ours=False)
    return KeyPlace(path=data_directory / KEY_FILE_NAME, descriptor=None, ours=True)


def load_vault(place: KeyPlace) -> Vault:
    """Return the vault that the keys at `place` open.

    Raises:
        KeyMissing, KeyUnsafe, KeyInvalid: as their names say.
    """
    return Vault(read_keys(place))


def read_keys(place: KeyPlace) -> tuple[bytes, ...]:
    """Return the keys at `place`, the one that seals first.

    Raises:
        KeyMissing, KeyUnsafe, KeyInvalid: as their names say.
    """
    if place.path is None:
        return _parse_keys(_read_descriptor(place.descriptor), place)
    try:
        descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyMissing(
            f"there is no key at {place}: without it the stored passwords cannot be opened; "
            "bring the key back, or give the passwords again (mailferry account update)"
        ) from None
    except OSError as exc:
        raise KeyMissing(f"the key at {place} cannot be read: {exc.strerror}") from exc
    with os.fdopen(descriptor, "rb") as file:
        _refuse_unsafe(os.fstat(file.fileno()), place)
        return _parse_keys(file.read(KEY_FILE_LENGTH_MAX + 1), place)


def create_key(place: KeyPlace) -> Vault:
    """Make a new key beside the journal, on the disk for good when this returns.

    Two processes that do this at once end with the same key: the first file wins.

    Raises:
        KeyMissing: the place is not one where mailferry makes keys.
    """
    if place.path is None or not place.ours:
        raise KeyMissing(
            f"there is no key at {place}; make one there: head -c 32 /dev/urandom | base64"
        )
    fresh = _write_beside(place.path, [new_key()])
    try:
        os.link(fresh, place.path)
    except FileExistsError:
        pass  # Another process was first: its key counts.
    finally:
        fresh.unlink()
    _sync_directory(place.path.parent)
    return load_vault(place)


def replace_keys(place: KeyPlace, keys: Sequence[bytes]) -> Vault:
    """Put `keys` in place of the key file's content, at once or not at all.

    Raises:
        KeyMissing: the key is not in mailferry's own file.
    """
    if place.path is None or not place.ours:
        raise KeyMissing(f"the key at {place} is not mailferry's own to change")
    fresh = _write_beside(place.path, keys)
    fresh.replace(place.path)
    _sync_directory(place.path.parent)
    return load_vault(place)


def _read_descriptor(descriptor: int | None) -> bytes:
    if descriptor is None:
        raise ValueError("a place without a path or a descriptor")
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(KEY_FILE_LENGTH_MAX + 1)
    except OSError as exc:
        raise KeyMissing(f"descriptor {descriptor} cannot be read: {exc.strerror}") from exc


def _refuse_unsafe(status: os.stat_result, place: KeyPlace) -> None:
    if not stat.S_ISREG(status.st_mode) and place.ours:
        raise KeyInvalid(f"{place} is not a file")
    # systemd grants its credentials by ACL, which shows as group bits; the directory is closed.
    open_to = stat.S_IRWXO if _is_systemd(place) else stat.S_IRWXO | stat.S_IRWXG
    if stat.S_ISREG(status.st_mode) and status.st_mode & open_to:
        raise KeyUnsafe(
            f"the key {place} can be read by other users of this machine "
            f"(mode {stat.S_IMODE(status.st_mode):04o}); close it: chmod 600 {place}"
        )


def _is_systemd(place: KeyPlace) -> bool:
    return place.path is not None and place.path.name == SYSTEMD_CREDENTIAL_NAME and not place.ours


def _parse_keys(content: bytes, place: KeyPlace) -> tuple[bytes, ...]:
    if len(content) > KEY_FILE_LENGTH_MAX:
        raise KeyInvalid(f"the key at {place} is longer than {KEY_FILE_LENGTH_MAX} octets")
    keys = []
    for line in content.split():
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_LENGTH:
            raise KeyInvalid(
                f"the key at {place} is not 32 octets in base64 on a line of its own; "
                "head -c 32 /dev/urandom | base64 makes a good one"
            )
        keys.append(key)
    if not keys:
        raise KeyInvalid(f"the key at {place} is empty")
    return tuple(keys)


def _write_beside(path: Path, keys: Sequence[bytes]) -> Path:
    """Write the keys into a new file of the same directory, to the disk, and return its path."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.b64encode(key) + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
