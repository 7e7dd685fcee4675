from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailferry.store.vault import KEY_LENGTH, SECRET_LENGTH_MAX, SecretUnreadable, Vault

OLD = bytes(range(KEY_LENGTH))
NEW = bytes(range(1, KEY_LENGTH + 1))


@given(st.text(max_size=300))
def test_what_was_sealed_opens(secret: str) -> None:
    vault = Vault((OLD,))
    assert vault.open(vault.seal(secret, account="a", purpose="p"), account="a", purpose="p") == (
        secret
    )


def test_the_secret_does_not_show_in_the_seal() -> None:
    vault = Vault((OLD,))
    sealed = vault.seal("correct horse", account="a", purpose="p")
    assert b"correct" not in sealed
    assert "correct" not in repr(vault)
    assert sealed != vault.seal("correct horse", account="a", purpose="p")


@pytest.mark.parametrize(("account", "purpose"), [("b", "p"), ("a", "q"), ("ap", ""), ("", "ap")])
def test_a_seal_belongs_to_its_account_and_purpose(account: str, purpose: str) -> None:
    vault = Vault((OLD,))
    sealed = vault.seal("secret", account="a", purpose="p")
    with pytest.raises(SecretUnreadable, match="another account"):
        vault.open(sealed, account=account, purpose=purpose)


def test_every_changed_octet_is_noticed() -> None:
    vault = Vault((OLD,))
    sealed = vault.seal("secret", account="a", purpose="p")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(SecretUnreadable):
            vault.open(bytes(changed), account="a", purpose="p")
    for length in range(len(sealed)):
        with pytest.raises(SecretUnreadable):
            vault.open(sealed[:length], account="a", purpose="p")


def test_an_older_key_of_the_ring_still_opens_and_the_first_seals() -> None:
    before = Vault((OLD,)).seal("secret", account="a", purpose="p")
    ring = Vault((NEW, OLD))
    assert ring.open(before, account="a", purpose="p") == "secret"
    assert not ring.is_current(before)
    after = ring.seal("secret", account="a", purpose="p")
    assert ring.is_current(after)
    with pytest.raises(SecretUnreadable, match="another key"):
        Vault((OLD,)).open(after, account="a", purpose="p")


def test_a_secret_has_a_longest() -> None:
    with pytest.raises(ValueError, match="longer") as refused:
        Vault((OLD,)).seal("x" * (SECRET_LENGTH_MAX + 1), account="a", purpose="p")
    assert "xx" not in str(refused.value)


@pytest.mark.parametrize("keys", [(), (b"short",), (OLD, b"")])
def test_a_vault_needs_whole_keys(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        Vault(keys)
