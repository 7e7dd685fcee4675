from __future__ import annotations

import imaplib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Program
from tests.lab.dovecot import Dovecot, User

pytestmark = pytest.mark.system

LOCAL = "local-secret-4471"
SETTINGS = """
[[imap]]
port = 0
security = "starttls"

[[imap]]
port = 0
security = "tls"
"""


class Running:
    """A node that runs."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    def port(self, security: str) -> int:
        [port] = [one["port"] for one in self.ready["listeners"] if one["security"] == security]
        return int(port)


@pytest.fixture
def start(mailferry: Program) -> Iterator[Callable[[], Running]]:
    """Return what starts the node and waits until it is ready."""
    started: list[subprocess.Popen[str]] = []
    (mailferry.directory / "mailferry.toml").write_text(SETTINGS)
    mailferry.environment["MAILFERRY_CONFIG"] = str(mailferry.directory / "mailferry.toml")

    def run() -> Running:
        process = subprocess.Popen(
            mailferry.arguments("run", "--json"),
            env=mailferry.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return Running(process, json.loads(line))

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _add(mailferry: Program, dovecot: Dovecot, user: User, name: str = "boat") -> None:
    local = mailferry.directory / "local"
    local.write_text(LOCAL)
    done = mailferry.inside(
        *("account", "add", name, "--host", "localhost", "--port", str(dovecot.tls_port)),
        *("--ca-file", dovecot.ca_file, "--user", user.name, "--password-file", "-"),
        *("--local-login", name, "--local-password-file", local, "--no-check"),
        typed=user.password,
    )
    assert done.code == 0, done.err


def _log_in(running: Running, login: str = "boat") -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", running.port("starttls"))
    try:
        client.login(login, LOCAL)
    except BaseException:
        client.shutdown()
        raise
    return client


def _status(mailferry: Program) -> dict[str, Any]:
    done = mailferry.inside("status", "--json")
    assert done.code == 0, done.err
    status: dict[str, Any] = json.loads(done.out)
    return status


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"


def _account_is_ready(mailferry: Program, name: str = "boat") -> Callable[[], bool]:
    def is_ready() -> bool:
        return any(
            one["name"] == name and one["state"] == "ready" and not one["pending"]
            for one in _status(mailferry)["accounts"]
        )

    return is_ready


def test_a_node_runs_serves_and_ends_cleanly(
    mailferry: Program, start: Callable[[], Running], dovecot: Dovecot, user: User
) -> None:
    _add(mailferry, dovecot, user)
    running = start()
    assert running.ready["pid"] == running.process.pid
    assert {one["security"] for one in running.ready["listeners"]} == {"starttls", "tls"}
    client = _log_in(running)
    client.select()
    client.append("INBOX", "", "", b"Subject: one\r\n\r\nbody\r\n")
    client.uid("STORE", "1", "+FLAGS", "(\\Flagged)")
    _wait_for(_account_is_ready(mailferry))

    human = mailferry("status").out
    for words in ("boat", "ready", f"localhost:{dovecot.tls_port}", str(running.port("tls"))):
        assert words in human
    journal = mailferry("journal").out.splitlines()
    assert len(journal) == 2
    assert "added a message of 22 octets to INBOX, answered" in journal[0]
    assert "flagged 1 message in INBOX, answered" in journal[1]
    assert all(", done " in line for line in journal)
    lines = [json.loads(line) for line in mailferry("journal", "boat", "--json").out.splitlines()]
    assert [one["state"] for one in lines] == ["applied", "applied"]

    client.logout()
    secrets = [dovecot.password.encode(), LOCAL.encode()]
    shown_to_others = Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
    shown_to_others += Path(f"/proc/{running.process.pid}/environ").read_bytes()
    running.process.send_signal(signal.SIGTERM)
    out, err = running.process.communicate(timeout=30)
    assert running.process.returncode == 0, err
    assert "Traceback" not in err
    for secret in secrets:
        assert secret not in mailferry.everything_kept()
        assert secret not in shown_to_others + out.encode() + err.encode()
    assert not (mailferry.data / "control.socket").exists()
    assert mailferry("journal").out.splitlines() == journal
    assert "Logged out" in dovecot.log()


def test_ctrl_c_ends_it_too(mailferry: Program, start: Callable[[], Running]) -> None:
    running = start()
    running.process.send_signal(signal.SIGINT)
    running.process.communicate(timeout=30)
    assert running.process.returncode == 0


def test_accounts_come_change_and_go_without_a_restart(
    mailferry: Program, start: Callable[[], Running], dovecot: Dovecot, user: User
) -> None:
    running = start()
    _add(mailferry, dovecot, user)
    _add(mailferry, dovecot, dovecot.new_user(), "dinghy")
    _log_in(running).logout()
    _wait_for(_account_is_ready(mailferry, "dinghy"))
    assert [one["name"] for one in _status(mailferry)["accounts"]] == ["boat", "dinghy"]

    done = mailferry.inside("account", "update", "boat", "--local-login", "ship", "--bodies", "all")
    assert done.code == 0, done.err
    _log_in(running, "ship").logout()
    with pytest.raises(imaplib.IMAP4.error):
        _log_in(running, "boat")

    assert mailferry.inside("account", "remove", "boat", "--yes").code == 0
    assert [one["name"] for one in _status(mailferry)["accounts"]] == ["dinghy"]
    assert [path.name for path in mailferry.data.glob("replica-1*")] == []
    assert user.name.encode() not in (mailferry.data / "journal.sqlite").read_bytes()


def test_the_replica_is_erased_and_fetched_again(
    mailferry: Program, start: Callable[[], Running], dovecot: Dovecot, user: User
) -> None:
    _add(mailferry, dovecot, user)
    running = start()
    client = _log_in(running)
    client.append("INBOX", "", "", b"Subject: findable-subject\r\n\r\nbody\r\n")
    _wait_for(_account_is_ready(mailferry))
    client.logout()
    replica = mailferry.data / "replica-1.sqlite"
    assert mailferry.inside("erase", "boat").code == 2
    assert mailferry.inside("erase", "boat", "--yes").code == 0
    _wait_for(_account_is_ready(mailferry))
    client = _log_in(running)
    assert client.select()[1] == [b"1"]
    client.logout()

    running.process.terminate()
    running.process.communicate(timeout=30)
    assert mailferry("erase", "boat", "--yes").code == 0
    assert b"findable-subject" not in mailferry.everything_kept()
    assert not replica.exists()


def test_the_journal_is_followed(
    mailferry: Program, start: Callable[[], Running], dovecot: Dovecot, user: User
) -> None:
    _add(mailferry, dovecot, user)
    running = start()
    with subprocess.Popen(
        mailferry.arguments("journal", "--follow", "--json"),
        env=mailferry.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stdout is not None
        client = _log_in(running)
        client.create("Followed")
        states = []
        while "applied" not in states:
            line = json.loads(following.stdout.readline())
            assert line["what"] == "created the mailbox Followed"
            states.append(line["state"])
        client.logout()
        running.process.terminate()
        assert following.wait(timeout=30) == 0


def test_one_directory_is_for_one_node(mailferry: Program, start: Callable[[], Running]) -> None:
    running = start()
    done = mailferry("run", "--json")
    assert done.code == 7
    assert f"process {running.process.pid}" in done.err


def test_a_port_that_is_taken_is_told(mailferry: Program, start: Callable[[], Running]) -> None:
    taken = start().port("tls")
    settings = mailferry.directory / "other.toml"
    settings.write_text(f"[[imap]]\nport = {taken}\n")
    other = mailferry.directory / "other"
    done = mailferry("run", "--data", other, "--config", settings)
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1, port {taken}: Address already in use" in done.err


def test_a_certificate_that_cannot_be_used_is_told(mailferry: Program) -> None:
    rubbish = mailferry.directory / "rubbish.pem"
    rubbish.write_text("rubbish")
    settings = mailferry.directory / "settings.toml"
    settings.write_text(f'[tls]\ncertificate_file = "{rubbish}"\nkey_file = "{rubbish}"\n')
    done = mailferry("run", "--config", settings)
    assert (done.code, "rubbish.pem is no certificate" in done.err) == (2, True)


def test_a_failing_account_does_not_stop_the_others(
    mailferry: Program, start: Callable[[], Running], dovecot: Dovecot, user: User
) -> None:
    _add(mailferry, dovecot, user)
    done = mailferry.inside(
        *("account", "add", "bad", "--host", "localhost", "--port", "1", "--no-check"),
        *("--password-file", "-", "--ca-file", "/nowhere.pem"),
        typed="x",
    )
    assert done.code == 0, done.err
    running = start()
    _wait_for(_account_is_ready(mailferry))
    _log_in(running).logout()
    states = {one["name"]: one for one in _status(mailferry)["accounts"]}
    assert states["bad"]["state"] == "failed"
    assert "/nowhere.pem cannot be read" in states["bad"]["reason"]


def test_nobody_runs(mailferry: Program) -> None:
    assert mailferry("status").code == 3
    assert mailferry("journal", "--follow").code == 3
    assert mailferry("journal").code == 0
