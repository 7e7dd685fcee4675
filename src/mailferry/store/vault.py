"""Seals the passwords and tokens of mail servers, so that a copy of the journal alone gives none away.

A sealed secret is ChaCha20-Poly1305 over the secret, with a random nonce, and with the account and
purpose as associated data: a sealed secret that is moved to another account does not open.  Its
form on disk:

    sealed = format (1 octet, 0x01)  key-id (8)  nonce (12)  ciphertext and tag (n + 16)

The key id is derived from the key, so several keys can be at hand while one replaces another.
Where the keys come from is the matter of `keyfile`; docs/decisions/0006-vault.md tells against whom
this protects, and against whom it cannot.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_LENGTH: Final = 32
SECRET_LENGTH_MAX: Final = 64 * 1024  # Octets: OAuth2 tokens reach some 10 kB.

_FORMAT: Final = b"\x01"
_KEY_ID_LENGTH: Final = 8
_NONCE_LENGTH: Final = 12
_TAG_LENGTH: Final = 16
_HEADER_LENGTH: Final = len(_FORMAT) + _KEY_ID_LENGTH + _NONCE_LENGTH


class VaultError(Exception):
    """The key or a sealed secret cannot be used; the text says what to do and holds no secret."""


class SecretUnreadable(VaultError):
    """A sealed secret does not open: sealed with another key, for another account, or damaged."""


class Vault:
    """Seals and opens secrets with a ring of keys, the first of which seals."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not keys or any(len(key) != KEY_LENGTH for key in keys):
            raise ValueError("a vault needs keys of 32 octets")
        self._current_id = _key_id(keys[0])
        self._ciphers = {_key_id(key): ChaCha20Poly1305(key) for key in keys}

    def __repr__(self) -> str:
        return f"<Vault {len(self._ciphers)} keys>"

    def seal(self, secret: str, *, account: str, purpose: str) -> bytes:
        """Return `secret` sealed for this account and purpose.

        Raises:
            ValueError: longer than SECRET_LENGTH_MAX octets.
        """
        octets = secret.encode()
        if len(octets) > SECRET_LENGTH_MAX:
            raise ValueError(f"a secret is longer than {SECRET_LENGTH_MAX} octets")
        nonce = secrets.token_bytes(_NONCE_LENGTH)
        cipher = self._ciphers[self._current_id]
        sealed = cipher.encrypt(nonce, octets, _associated_data(account, purpose))
        return _FORMAT + self._current_id + nonce + sealed

    def open(self, sealed: bytes, *, account: str, purpose: str) -> str:
        """Return the secret.

        Raises:
            SecretUnreadable: another key or account, or a damaged seal.
        """
        if len(sealed) < _HEADER_LENGTH + _TAG_LENGTH or sealed[:1] != _FORMAT:
            raise SecretUnreadable(
                "the stored password is damaged; give it again (mailferry account update)"
            )
        key_id = sealed[1 : 1 + _KEY_ID_LENGTH]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SecretUnreadable(
                f"the stored password was sealed with another key (id {key_id.hex()}); "
                "bring that key back, or give the password again (mailferry account update)"
            )
        nonce = sealed[1 + _KEY_ID_LENGTH : _HEADER_LENGTH]
        try:
            octets = cipher.decrypt(
                nonce, sealed[_HEADER_LENGTH:], _associated_data(account, purpose)
            )
        except InvalidTag:
            raise SecretUnreadable(
                "the stored password was changed or belongs to another account; "
                "give it again (mailferry account update)"
            ) from None
        return octets.decode()

    def is_current(self, sealed: bytes) -> bool:
        """Whether the secret was sealed with the first key of the ring."""
        return sealed[1 : 1 + _KEY_ID_LENGTH] == self._current_id


def new_key() -> bytes:
    """Return a new random key."""
    return secrets.token_bytes(KEY_LENGTH)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"mailferry vault key id\0" + key).digest()[:_KEY_ID_LENGTH]


def _associated_data(account: str, purpose: str) -> bytes:
    return b"\0".join((b"mailferry vault 1", account.encode(), purpose.encode()))
