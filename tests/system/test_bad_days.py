"""Full disks, damaged files, wrong passwords, certificates that nobody vouches for: words, and no loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import pytest

from mailferry.cli.exit_code import ExitCode
from tests.lab.dovecot import Dovecot
from tests.system.endpoint import Endpoint, imaplib_session, ok
from tests.system.equality import Path, assert_equal, look
from tests.system.filling import FAST, INBOX, fill, wanted, wire_name
from tests.system.large_mail import LargeMail
from tests.system.node_process import CommandFailed, NodeAccount, NodeProcess
from tests.system.small_disk import NoNamespaces, small_disk
from tests.system.streaming_imap import quoted
from tests.system.uids import uids

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

LOG: Path = ("Logbuch", "天気")
MB = 1_000_000
DISK = 24 * MB
SALVAGE = re.compile(r"mailferry ([a-z -]*salvage[^\n\"'`]*)")


@pytest.fixture
def server(dovecots: Callable[..., Dovecot]) -> Endpoint:
    dovecot = dovecots(extra=FAST)
    user = dovecot.new_user()
    endpoint = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(endpoint, wanted(INBOX, 60))
    fill(endpoint, wanted(LOG, 20))
    return endpoint


@pytest.fixture
def node(tmp_path: FilePath) -> Iterator[NodeProcess]:
    with NodeProcess(tmp_path) as node:
        yield node


@pytest.fixture
def account(server: Endpoint, node: NodeProcess) -> NodeAccount:
    """Return an account that is copied; the node is stopped."""
    account = node.add_account(server)
    node.start()
    account.wait_until_copied()
    node.stop()
    return account


def scribble(file: FilePath, at: float) -> None:
    """Overwrite three pages, from the place `at` (0 to 1) of the file."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(int(size * at) // 4096 * 4096)
        opened.write(b"\xa5" * 3 * 4096)


@pytest.mark.parametrize("damage", ["head", "middle", "all but the head", "cut", "gone"])
def test_a_damaged_replica_is_rebuilt_with_the_same_uids(account: NodeAccount, damage: str) -> None:
    node = account.node
    node.start()
    before = uids(account.endpoint)
    node.stop()
    for file in node.data.glob("replica-*.sqlite-*"):
        file.unlink()
    (replica,) = node.data.glob("replica-*.sqlite")
    match damage:
        case "head":
            scribble(replica, 0)
        case "middle":
            scribble(replica, 0.5)
        case "all but the head":
            for place in range(1, 19):
                scribble(replica, place / 20)
        case "cut":
            replica.write_bytes(replica.read_bytes()[: replica.stat().st_size // 2])
        case _:
            replica.unlink()

    node.start()
    account.wait_until_copied()
    assert_equal(look(account.endpoint), look(account.server))
    assert uids(account.endpoint) == before


def test_a_damaged_replica_keeps_what_the_server_does_not_have(
    own_dovecot: Callable[..., Dovecot], tmp_path: FilePath
) -> None:
    """Operations and appended mail are in the journal, not in the replica."""
    dovecot = own_dovecot()
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(server, wanted(INBOX, 20))
    fill(server, wanted(LOG, 2))
    with NodeProcess(tmp_path) as node:
        account = node.add_account(server)
        node.start()
        account.wait_until_copied()
        dovecot.stop()
        fill(account.endpoint, wanted(LOG, 5, subject="Offline"))
        with imaplib_session(account.endpoint) as session:
            ok(session.select("INBOX"))
            ok(session.store("1:5", "+FLAGS", r"(\Flagged $Kept)"))
            ok(session.copy("6:8", quoted(wire_name(LOG))))
            ok(session.noop())
        before, shown = uids(account.endpoint), look(account.endpoint)
        node.stop()
        (replica,) = node.data.glob("replica-*.sqlite")
        scribble(replica, 0)
        node.start()
        dovecot.start()
        account.wait_for_state("ready")
        account.settle()
        account.wait_until_copied()
        assert_equal(look(server), shown)
        assert uids(account.endpoint) == before


@pytest.mark.parametrize("place", [0, 0.3, 0.6])
def test_a_damaged_journal_stops_the_node_and_can_be_salvaged(
    account: NodeAccount, place: float
) -> None:
    node = account.node
    journal = node.data / "journal.sqlite"
    for file in node.data.glob("journal.sqlite-*"):
        file.unlink()
    scribble(journal, place)
    with pytest.raises(CommandFailed) as failed:
        node.start()
    assert failed.value.exit_code == ExitCode.STORAGE
    named = SALVAGE.search(failed.value.wrote)
    assert named is not None, failed.value.wrote
    node.command(*named[1].split())

    node.start()
    if node.status()["accounts"]:
        account.wait_until_copied()
        assert_equal(look(account.endpoint), look(account.server))


def test_a_full_disk_refuses_in_words_and_loses_nothing(
    own_dovecot: Callable[..., Dovecot], tmp_path: FilePath
) -> None:
    dovecot = own_dovecot()
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(server, wanted(INBOX, 20))
    (tmp_path / "data").mkdir()
    try:
        with (
            small_disk(tmp_path / "data", DISK) as disk,
            NodeProcess(tmp_path, prefix=disk.prefix) as node,
        ):
            account = node.add_account(server)
            node.start()
            account.wait_until_copied()
            dovecot.stop()
            disk.take_room(disk.free() - 6 * MB)
            kept = _append_until_refused(account.endpoint)
            assert kept
            shown = look(account.endpoint)
            with imaplib_session(account.endpoint) as session:
                ok(session.select("INBOX"))
                assert len(ok(session.search(None, "ALL"))[0].split()) == 20 + kept
            disk.give_room()
            with imaplib_session(account.endpoint) as session:
                ok(session.select("INBOX"))
                ok(session.store("1:20", "+FLAGS", r"(\Flagged)"))
            shown = look(account.endpoint)
            dovecot.start()
            account.wait_for_state("ready")
            account.settle()
            assert_equal(look(server), shown)
    except NoNamespaces as why:
        pytest.skip(f"no disk can be made small here: {why}")


def _append_until_refused(endpoint: Endpoint) -> int:
    """Append mails of 1 MB until the node says that there is no room; return how many it took."""
    for number in range(20):
        content = b"".join(LargeMail(seed=100 + number, chunk_count=16).chunks())
        with imaplib_session(endpoint) as session:
            answer, words = session.append("INBOX", "", "", content)
        if answer != "OK":
            assert answer == "NO"
            assert re.search(rb"room|full|space|disk", words[0], re.IGNORECASE), words
            return number
    raise AssertionError("the disk never was full")


def test_wrong_password(server: Endpoint, node: NodeProcess) -> None:
    wrong = Endpoint(port=server.port, user=server.user, password="not-this-one")
    with pytest.raises(CommandFailed, match=r"(?i)refused.*(user name|password|login)") as failed:
        node.add_account(wrong)
    assert failed.value.exit_code == ExitCode.LOGIN_REFUSED
    assert "not-this-one" not in failed.value.wrote


def test_nobody_there(server: Endpoint, node: NodeProcess) -> None:
    with pytest.raises(CommandFailed, match=r"127\.0\.0\.1") as failed:
        node.add_account(server, port=1)
    assert failed.value.exit_code == ExitCode.UNREACHABLE


def test_a_certificate_that_nobody_vouches_for(
    dovecots: Callable[..., Dovecot], server: Endpoint, node: NodeProcess
) -> None:
    dovecot = dovecots(extra=FAST)
    with pytest.raises(CommandFailed, match=r"(?i)certificate") as failed:
        node.add_account(server, port=dovecot.tls_port, security="tls")
    assert failed.value.exit_code == ExitCode.UNREACHABLE
    assert re.search(r"CA file|fingerprint", failed.value.wrote), failed.value.wrote

    account = node.add_account(
        server, "--ca-file", dovecot.ca_file, port=dovecot.tls_port, security="tls"
    )
    upgraded = node.add_account(
        server, "--ca-file", dovecot.ca_file, name="again", port=dovecot.port, security="starttls"
    )
    node.start()
    account.wait_until_copied()
    upgraded.wait_until_copied()
    assert_equal(look(account.endpoint), look(server))
    assert_equal(look(upgraded.endpoint), look(server))


def test_a_password_that_was_changed_at_the_server(
    own_dovecot: Callable[..., Dovecot], tmp_path: FilePath
) -> None:
    """What is here can be read on; the account says what is wrong; the new password mends it."""
    dovecot = own_dovecot()
    user = dovecot.new_user()
    server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
    fill(server, wanted(INBOX, 10))
    with NodeProcess(tmp_path) as node:
        account = node.add_account(server)
        node.start()
        account.wait_until_copied()
        before = look(server)
        dovecot.stop()
        dovecot.password = "changed-meanwhile"
        dovecot.start()
        now = account.wait_for(lambda now: re.search(r"refused.*password", now["reason"]))
        assert now["state"] in ("waiting", "failed")
        assert_equal(look(account.endpoint), before)
        with imaplib_session(account.endpoint) as session:
            ok(session.select("INBOX"))
            ok(session.store("1:3", "+FLAGS", r"(\Flagged)"))
        node.command(
            "account", "update", "boat", "--password-file", "-", secret="changed-meanwhile\n"
        )
        account.wait_for_state("ready")
        account.settle()
        changed = Endpoint(port=server.port, user=server.user, password="changed-meanwhile")
        assert_equal(look(account.endpoint), look(changed))
