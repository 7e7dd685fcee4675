from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.lab.dovecot import Dovecot, User

SECRET = "upstream-secret-7461"
LOCAL = "local-secret-9823"


def _add(mailferry: Program, *more: str | Path, typed: str = SECRET + "\n") -> str:
    done = mailferry(
        *("account", "add", "mina", "--host", "imap.example.org", "--user", "mina@example.org"),
        *("--password-file", "-", "--no-check"),
        *more,
        typed=typed,
    )
    assert done.code == 0, done.err
    return done.out


def test_an_account_is_added_listed_shown_changed_and_removed(mailferry: Program) -> None:
    assert "no accounts yet" in mailferry("account", "list").err
    added = json.loads(_add(mailferry, "--json"))
    assert added["name"] == "mina"
    assert added["local_login"] == "mina@example.org"
    assert len(added["local_password"]) == 23

    (listed,) = json.loads(mailferry("account", "list", "--json").out)
    assert (listed["host"], listed["port"], listed["security"]) == ("imap.example.org", 993, "tls")
    assert (listed["bodies"], listed["user"]) == ("new", "mina@example.org")

    changed = mailferry("account", "update", "mina", "--port", "1993", "--bodies", "all")
    assert changed.code == 0, changed.err
    shown = json.loads(mailferry("account", "show", "mina", "--json").out)
    assert shown == listed | {"port": 1993, "bodies": "all"}
    assert "imap.example.org:1993 (tls)" in mailferry("account", "list").out

    refused = mailferry("account", "remove", "mina")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert mailferry("account", "remove", "mina", "--yes").code == 0
    assert json.loads(mailferry("account", "list", "--json").out) == []


def test_what_to_type_is_shown_with_the_password_once(mailferry: Program) -> None:
    out = _add(mailferry)
    for words in ("IMAP", "127.0.0.1", "1143", "1993", "STARTTLS", "SSL/TLS", "mina@example.org"):
        assert words in out
    (password,) = {word for word in out.split() if word.count("-") == 3 and len(word) == 23}
    shown = mailferry("account", "show", "mina").out
    assert "mina@example.org" in shown
    assert password not in shown
    assert password.encode() not in mailferry.everything_kept()


def test_secrets_come_from_files_and_descriptors_and_stay_nowhere(
    mailferry: Program, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode())
    os.close(writing)
    local = tmp_path / "local"
    local.write_text(LOCAL + "\n")
    done = mailferry(
        *("account", "add", "mina", "--host", "imap.example.org", "--no-check"),
        *("--password-fd", str(reading), "--local-password-file", local, "--local-login", "m"),
        pass_fds=[reading],
    )
    os.close(reading)
    assert done.code == 0, done.err
    assert "the one that you gave" in done.out
    for secret in (SECRET, LOCAL):
        assert secret not in done.out + done.err
        assert secret.encode() not in mailferry.everything_kept()
    for path in mailferry.data.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(mailferry.data.stat().st_mode) == 0o700


def test_a_new_local_password_replaces_the_old(mailferry: Program) -> None:
    before = json.loads(_add(mailferry, "--json"))["local_password"]
    done = mailferry("account", "update", "mina", "--new-local-password")
    (after,) = {word for word in done.out.split() if word.count("-") == 3 and len(word) == 23}
    assert after != before


def test_local_logins_are_told_apart(mailferry: Program) -> None:
    logins = []
    for name in ("one", "two"):
        done = mailferry(
            *("account", "add", name, "--host", "h", "--user", "mina", "--password-file", "-"),
            *("--no-check", "--json"),
            typed="x",
        )
        logins.append(json.loads(done.out)["local_login"])
    assert logins == ["mina", "mina-2"]
    done = mailferry(
        *("account", "add", "three", "--host", "h", "--user", "mina", "--password-file", "-"),
        *("--no-check", "--local-login", "mina"),
        typed="x",
    )
    assert (done.code, "local login is taken" in done.err) == (1, True)


MISTAKES = [
    (["account", "add"], 2, "which account?"),
    (["account", "add", "m", "--host", "h"], 2, "--password-file FILE"),
    (["account", "add", "mina"], 2, '"mina" is no mail address'),
    (["account", "add", "m", "--host", "h h\n", "--password-file", "-"], 2, "--host"),
    (
        ["account", "add", "m", "--host", "h", "--port", "99999", "--password-file", "-"],
        2,
        "--port",
    ),
    (
        ["account", "add", "m", "--host", "h", "--fingerprint", "ab", "--password-file", "-"],
        2,
        "--fingerprint: must be the SHA-256",
    ),
    (["account", "add", "m", "--host", "h", "--password-file", "/none"], 1, "No such file"),
    (
        ["account", "add", "m", "--host", "h", "--password-file", "-", "--password-fd", "9"],
        2,
        "not both",
    ),
    (["account", "add", "m", "--host", "h", "--password-fd", "99"], 1, "descriptor 99"),
    (["account", "add", "m", "--password", "x"], 2, "No such option"),
    (["account", "show", "nobody"], 1, 'no account "nobody"; known: there are none yet'),
    (["account", "list", "--data", "/proc/none"], 6, "cannot be made"),
    (["account", "list", "--config", "/none.toml"], 2, "/none.toml: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES)
def test_mistakes_are_told_in_words(
    mailferry: Program, arguments: list[str], code: int, words: str
) -> None:
    done = mailferry.inside(*arguments, typed="x\n")
    assert words in done.err
    assert done.code == code


def test_an_empty_password_is_none(mailferry: Program) -> None:
    done = mailferry.inside(
        "account", "add", "m", "--host", "h", "--password-file", "-", typed="\n"
    )
    assert (done.code, "is empty" in done.err) == (1, True)


def test_a_key_that_others_can_read_is_refused(mailferry: Program) -> None:
    _add(mailferry)
    (mailferry.data / "vault.key").chmod(0o644)
    done = mailferry("account", "update", "mina", "--password-file", "-", typed="new")
    assert done.code == 6
    assert f"chmod 600 {mailferry.data / 'vault.key'}" in done.err


def test_a_damaged_journal_names_the_command_that_mends_it(mailferry: Program) -> None:
    _add(mailferry)
    journal = mailferry.data / "journal.sqlite"
    journal.write_bytes(b"\xff" * 8192)
    done = mailferry("account", "list")
    assert done.code == 6
    assert "mailferry salvage" in done.err


@pytest.mark.system
def test_the_login_is_checked(mailferry: Program, dovecot: Dovecot, user: User) -> None:
    server = (
        *("--host", "localhost", "--port", str(dovecot.tls_port), "--user", user.name),
        *("--ca-file", dovecot.ca_file, "--password-file", "-"),
    )
    done = mailferry("account", "add", "mina", *server, typed=user.password)
    assert done.code == 0, done.err
    assert "localhost accepted the login: 4 mailboxes, 0 messages." in done.err

    # One mechanism: Dovecot lets each refused attempt wait longer.
    plain = ("--mechanism", "plain")
    done = mailferry("account", "add", "otto", *server, *plain, typed="wrong")
    assert done.code == 5, done.err
    assert "wrong" not in done.err
    assert [one["name"] for one in json.loads(mailferry("account", "list", "--json").out)] == [
        "mina"
    ]


@pytest.mark.system
def test_a_server_that_cannot_prove_itself_gets_no_password(
    mailferry: Program, dovecot: Dovecot, user: User
) -> None:
    done = mailferry(
        *("account", "add", "mina", "--host", "localhost", "--port", str(dovecot.tls_port)),
        *("--user", user.name, "--password-file", "-"),
        typed=user.password,
    )
    assert done.code in (1, 4)
    assert "certificate of localhost was not issued by an authority known here" in done.err


def test_a_server_that_is_not_there_is_told(mailferry: Program) -> None:
    done = mailferry.inside(
        *("account", "add", "mina", "--host", "localhost", "--port", "1"),
        *("--user", "mina", "--password-file", "-"),
        typed="x",
    )
    assert done.code == 4
    assert "cannot connect to localhost:1" in done.err
