from __future__ import annotations

import base64
import os
import stat
import threading
from pathlib import Path

import pytest

from mailferry.store.keyfile import (
    KEY_FILE_NAME,
    SYSTEMD_CREDENTIAL_NAME,
    KeyInvalid,
    KeyMissing,
    KeyPlace,
    KeyUnsafe,
    create_key,
    find_key,
    load_vault,
    read_keys,
    replace_keys,
)
from mailferry.store.vault import KEY_LENGTH

KEY = bytes(range(KEY_LENGTH))


def _write_key(path: Path, content: bytes | None = None, mode: int = 0o600) -> Path:
    path.write_bytes(base64.b64encode(KEY) + b"\n" if content is None else content)
    path.chmod(mode)
    return path


def test_the_key_is_beside_the_journal_unless_told_otherwise(tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    assert place == KeyPlace(path=tmp_path / KEY_FILE_NAME, descriptor=None, ours=True)


def test_descriptor_comes_before_file_before_systemd(tmp_path: Path) -> None:
    _write_key(tmp_path / SYSTEMD_CREDENTIAL_NAME)
    systemd = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    file = {"MAILFERRY_KEY_FILE": str(tmp_path / "key")}
    assert find_key(tmp_path, systemd).path == tmp_path / SYSTEMD_CREDENTIAL_NAME
    assert find_key(tmp_path, systemd | file).path == tmp_path / "key"
    assert find_key(tmp_path, systemd | file | {"MAILFERRY_KEY_FD": "7"}).descriptor == 7
    with pytest.raises(KeyInvalid, match="MAILFERRY_KEY_FD"):
        find_key(tmp_path, {"MAILFERRY_KEY_FD": "three"})


def test_other_systemd_credentials_do_not_matter(tmp_path: Path) -> None:
    assert find_key(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path / "other")}).ours


def test_a_new_key_is_closed_to_others_and_stays_the_same(tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    sealed = create_key(place).seal("secret", account="a", purpose="p")
    assert stat.S_IMODE((tmp_path / KEY_FILE_NAME).stat().st_mode) == 0o600
    assert create_key(place).open(sealed, account="a", purpose="p") == "secret"
    assert load_vault(place).open(sealed, account="a", purpose="p") == "secret"
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE_NAME]


def test_many_at_once_make_one_key(tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    sealed: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: sealed.append(create_key(place).seal("s", account="a", purpose="p"))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    vault = load_vault(place)
    assert [vault.open(one, account="a", purpose="p") for one in sealed] == ["s"] * 8


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666, 0o620])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = _write_key(tmp_path / KEY_FILE_NAME, mode=mode)
    with pytest.raises(KeyUnsafe, match=f"chmod 600 {path}"):
        load_vault(find_key(tmp_path, {}))


def test_systemd_may_grant_by_acl_but_not_to_the_world(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    path = _write_key(tmp_path / SYSTEMD_CREDENTIAL_NAME, mode=0o440)
    load_vault(find_key(tmp_path / "data", environ))
    path.chmod(0o444)
    with pytest.raises(KeyUnsafe):
        load_vault(find_key(tmp_path / "data", environ))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n \n",
        b"not base64!\n",
        base64.b64encode(b"short") + b"\n",
        KEY,
        base64.b64encode(KEY + b"x"),
        base64.b64encode(KEY) + b"\nrubbish",
        b"A" * 20_000,
    ],
)
def test_what_is_not_a_key_is_said_so_without_showing_it(tmp_path: Path, content: bytes) -> None:
    _write_key(tmp_path / KEY_FILE_NAME, content)
    with pytest.raises(KeyInvalid) as refused:
        load_vault(find_key(tmp_path, {}))
    assert base64.b64encode(KEY).decode() not in str(refused.value)


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match="account update"):
        load_vault(find_key(tmp_path, {}))
    with pytest.raises(KeyMissing, match="urandom"):
        create_key(find_key(tmp_path, {"MAILFERRY_KEY_FILE": str(tmp_path / "elsewhere")}))


def test_a_key_can_come_through_a_descriptor(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, base64.b64encode(KEY))
    os.close(writing)
    place = find_key(tmp_path, {"MAILFERRY_KEY_FD": str(reading)})
    assert read_keys(place) == (KEY,)
    with pytest.raises(KeyMissing, match="descriptor"):
        read_keys(place)  # It was closed after reading.


def test_keys_are_replaced_whole(tmp_path: Path) -> None:
    place = find_key(tmp_path, {})
    create_key(place)
    older = read_keys(place)
    replace_keys(place, [KEY, *older])
    assert read_keys(place) == (KEY, *older)
    assert stat.S_IMODE((tmp_path / KEY_FILE_NAME).stat().st_mode) == 0o600
    elsewhere = _write_key(tmp_path / "elsewhere")
    with pytest.raises(KeyMissing, match="not mailferry's own"):
        replace_keys(find_key(tmp_path, {"MAILFERRY_KEY_FILE": str(elsewhere)}), [KEY])
