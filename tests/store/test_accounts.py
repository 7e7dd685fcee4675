from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mailferry.store.account_settings import AccountSettings, Mechanism
from mailferry.store.accounts import (
    Account,
    AccountChange,
    AccountError,
    AccountExists,
    Accounts,
    AccountUnknown,
)
from mailferry.store.keyfile import KeyMissing, find_key, load_vault, read_keys, replace_keys
from mailferry.store.vault import SecretUnreadable

SETTINGS = AccountSettings(host="imap.example.org", user="mina@example.org")
SECRET = "correct horse battery staple"
JOURNAL_NAME = "journal.sqlite"


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    opened = Accounts(tmp_path / JOURNAL_NAME, find_key(tmp_path, {}))
    yield opened
    opened.close()


def _add(accounts: Accounts, name: str = "mina", **columns: Any) -> Account:
    given: dict[str, Any] = {
        "secret": SECRET,
        "local_login": name,
        "local_verifier": "v",
        "settings": SETTINGS,
    }
    return accounts.add(name=name, **(given | columns))


def test_what_was_added_is_there(accounts: Accounts, tmp_path: Path) -> None:
    assert accounts.all() == []
    account = _add(accounts, local_login="mina on the boat")
    assert accounts.get("mina") == account
    assert accounts.all() == [account]
    assert account.settings == SETTINGS
    assert account.local_login == "mina on the boat"
    assert account.created_at.tzinfo is not None
    assert accounts.secret(account) == SECRET

    again = Accounts(tmp_path / JOURNAL_NAME, find_key(tmp_path, {}))
    assert again.all() == [account]
    assert again.secret(account) == SECRET
    again.close()


def test_the_secret_is_in_no_file_and_no_text(accounts: Accounts, tmp_path: Path) -> None:
    account = _add(accounts)
    accounts.update(account, AccountChange(secret="another secret"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {JOURNAL_NAME, "vault.key"}
    for path in files:
        assert SECRET.encode() not in path.read_bytes()
        assert b"another secret" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path
    assert SECRET not in repr(account) + repr(accounts) + repr(AccountChange(secret=SECRET))
    assert "local_verifier" not in repr(account)


def test_names_and_logins_belong_to_one_account(accounts: Accounts) -> None:
    mina = _add(accounts)
    with pytest.raises(AccountExists, match="name"):
        _add(accounts, local_login="other")
    with pytest.raises(AccountExists, match="local login"):
        _add(accounts, "otto", local_login="mina")
    otto = _add(accounts, "otto")
    with pytest.raises(AccountExists):
        accounts.update(otto, AccountChange(name="mina"))
    assert accounts.all() == [mina, otto]


@pytest.mark.parametrize("name", ["", " mina", "mina\n", "m\0na", "x" * 300])
def test_names_can_be_shown(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="cannot be a name"):
        _add(accounts, name)
    assert accounts.all() == []


def test_an_update_changes_what_it_names(accounts: Accounts) -> None:
    account = _add(accounts)
    settings = SETTINGS.model_copy(update={"port": 143})
    changed = accounts.update(account, AccountChange(settings=settings, name="mina2"))
    assert (changed.id, changed.name, changed.settings) == (account.id, "mina2", settings)
    assert changed.local_login == account.local_login
    assert accounts.secret(changed) == SECRET
    changed = accounts.update(
        changed, AccountChange(secret="new", local_login="m", local_verifier="w")
    )
    assert (changed.local_login, changed.local_verifier) == ("m", "w")
    assert accounts.secret(changed) == "new"


def test_a_removed_account_is_gone_and_its_number_is_not_given_again(accounts: Accounts) -> None:
    account = _add(accounts)
    accounts.remove(account)
    assert accounts.all() == []
    with pytest.raises(AccountUnknown, match='no account "mina"; known: there are none yet'):
        accounts.get("mina")
    with pytest.raises(AccountUnknown):
        accounts.secret(account)
    with pytest.raises(AccountUnknown):
        accounts.update(account, AccountChange(secret="new"))
    assert _add(accounts).id > account.id


def test_a_change_by_another_process_is_noticed_once(accounts: Accounts, tmp_path: Path) -> None:
    _add(accounts)
    assert not accounts.changed_elsewhere()
    other = Accounts(tmp_path / JOURNAL_NAME, find_key(tmp_path, {}))
    _add(other, "otto")
    assert accounts.changed_elsewhere()
    assert not accounts.changed_elsewhere()
    assert [account.name for account in accounts.all()] == ["mina", "otto"]
    other.close()


def test_a_seal_moved_to_another_account_does_not_open(accounts: Accounts, tmp_path: Path) -> None:
    mina = _add(accounts)
    otto = _add(accounts, "otto", secret="ottos")
    connection = accounts._connection
    connection.execute(
        "UPDATE account SET credential = (SELECT credential FROM account WHERE id = ?)"
        " WHERE id = ?",
        (mina.id, otto.id),
    )
    with pytest.raises(SecretUnreadable, match="another account"):
        accounts.secret(otto)


def test_without_the_key_the_password_has_to_be_given_again(
    accounts: Accounts, tmp_path: Path
) -> None:
    account = _add(accounts)
    (tmp_path / "vault.key").unlink()
    with pytest.raises(KeyMissing, match="account update"):
        accounts.secret(account)
    accounts.update(account, AccountChange(secret="given again"))
    assert accounts.secret(account) == "given again"


def test_secrets_are_sealed_anew_with_a_new_key(accounts: Accounts, tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    mina, otto = _add(accounts), _add(accounts, "otto", secret="ottos")
    old = read_keys(place)
    new = bytes(32)
    assert accounts.seal_anew(replace_keys(place, [new, *old])) == 2
    assert accounts.seal_anew(load_vault(place)) == 0
    replace_keys(place, [new])
    assert [accounts.secret(mina), accounts.secret(otto)] == [SECRET, "ottos"]


def test_sealing_anew_is_done_for_all_or_none(accounts: Accounts, tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    mina = _add(accounts)
    (tmp_path / "vault.key").unlink()
    otto = _add(accounts, "otto")
    with pytest.raises(SecretUnreadable, match="another key"):
        accounts.seal_anew(replace_keys(place, [bytes(32), *read_keys(place)]))
    assert accounts.secret(otto) == SECRET
    with pytest.raises(SecretUnreadable):
        accounts.secret(mina)


SETTINGS_MISTAKES: list[dict[str, Any]] = [
    {"host": ""},
    {"host": "imap example\n"},
    {"port": 0},
    {"port": 65536},
    {"security": "ssl"},
    {"mechanism": "cram-md5"},
    {"certificate_sha256": "abc"},
    {"bodies": "some"},
    {"body_size_limit_octets": -1},
    {"poll_interval_s": 0},
    {"user": ""},
    {"protocol": "pop3"},
]


@pytest.mark.parametrize("mistake", SETTINGS_MISTAKES)
def test_settings_are_checked(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccountSettings.model_validate({"host": "h", "user": "u"} | mistake)


def test_fingerprints_are_taken_as_people_copy_them() -> None:
    colons = ":".join(["AB"] * 32)
    settings = AccountSettings(host="h", user="u", certificate_sha256=colons)
    assert settings.certificate_sha256 == "ab" * 32
    assert AccountSettings.model_validate_json(settings.model_dump_json()) == settings


def test_what_an_older_version_does_not_know_is_left_alone() -> None:
    text = SETTINGS.model_dump_json().removesuffix("}") + ',"gate":"later"}'
    assert AccountSettings.model_validate_json(text) == SETTINGS


def test_tokens_and_passwords_are_told_apart() -> None:
    assert [one for one in Mechanism if one.takes_token] == [
        Mechanism.XOAUTH2,
        Mechanism.OAUTHBEARER,
    ]
