"""A node within the process: what keeps it running, and what ends it."""

from __future__ import annotations

import asyncio
import imaplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailferry.config import Config, ImapListener, Limits, ListenerSecurity
from mailferry.demo.mail_server import HOST, USER, mail_server
from mailferry.mail.errors import StorageDamaged
from mailferry.node.accounts import AccountSettings, ServerSecurity, open_accounts
from mailferry.node.answering import Answering
from mailferry.node.control import ask
from mailferry.node.control_messages import AskStatus
from mailferry.node.directory import DataDirectory
from mailferry.node.errors import ListenerFailed
from mailferry.node.local_login import verifier_of
from mailferry.node.node import Node
from mailferry.store import database
from mailferry.store.database import TranslatingConnection

PASSWORD = "typed-in"
ONE_LISTENER = (ImapListener(port=0, security=ListenerSecurity.STARTTLS),)


def _node(tmp_path: Path, **limits: float) -> Node:
    config = Config(imap=ONE_LISTENER, limits=Limits.model_validate(limits))
    return Node(config, DataDirectory(tmp_path), {})


@asynccontextmanager
async def _running(node: Node) -> AsyncIterator[Answering]:
    ready: asyncio.Future[Answering] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(node.run(ready.set_result))
        yield await ready
        node.stop()


def _add_account(tmp_path: Path, port: int, password: str, name: str = "boat") -> None:
    with open_accounts(DataDirectory(tmp_path), {}) as accounts:
        accounts.add(
            name=name,
            settings=AccountSettings(
                host=HOST, port=port, security=ServerSecurity.PLAIN, user=USER
            ),
            secret=password,
            local_login=name,
            local_verifier=verifier_of(PASSWORD),
        )


async def test_it_runs_without_accounts_and_ends(tmp_path: Path) -> None:
    async with _running(_node(tmp_path)) as answering:
        status = await answering.status()
        assert status.accounts == ()
        assert [one.port > 0 for one in status.listeners] == [True]
        socket = tmp_path / "control.socket"
        [told] = await asyncio.to_thread(lambda: list(ask(socket, AskStatus())))
        assert told == status
    assert not (tmp_path / "control.socket").exists()


async def test_it_can_be_stopped_before_it_is_ready(tmp_path: Path) -> None:
    node = _node(tmp_path)
    node.stop()
    await node.run(lambda answering: None)


async def test_a_damaged_journal_ends_it_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[TranslatingConnection] = []
    opened = database.open_reader

    def open_reader(path: Path, file_format: database.FileFormat) -> TranslatingConnection:
        readers.append(opened(path, file_format))
        return readers[-1]

    monkeypatch.setattr("mailferry.store.journal.open_reader", open_reader)

    def damage(answering: Answering) -> None:
        del answering
        found = readers[0].on_damage
        assert found is not None
        found(StorageDamaged("damaged: run mailferry salvage"))

    with pytest.raises(StorageDamaged, match="mailferry salvage"):
        await _node(tmp_path).run(damage)


async def test_a_port_that_is_taken_is_told_and_everything_is_closed(tmp_path: Path) -> None:
    async with _running(_node(tmp_path / "one")) as answering:
        taken = (await answering.status()).listeners[0].port
        config = Config(imap=(ImapListener(port=taken),))
        other = Node(config, DataDirectory(tmp_path / "two"), {})
        with pytest.raises(ListenerFailed, match=f"port {taken}"):
            await other.run(lambda answering: None)
    async with _running(_node(tmp_path / "two")):
        pass  # The directory is free again.


async def _until_ready(answering: Answering) -> int:
    """Wait until the one account is ready; return the port to log in at."""
    async with asyncio.timeout(15):
        while [one.state for one in (await answering.status()).accounts] != ["ready"]:
            await asyncio.sleep(0.02)
    return (await answering.status()).listeners[0].port


def _log_in(port: int, login: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4(HOST, port)
    client.login(login, PASSWORD)
    return client


async def test_sessions_are_told_goodbye(tmp_path: Path) -> None:
    async with mail_server() as server:
        await asyncio.to_thread(_add_account, tmp_path, server.port, server.password)
        node = _node(tmp_path)
        async with _running(node) as answering:
            port = await _until_ready(answering)
            client = await asyncio.to_thread(_log_in, port, "boat")
            node.stop()
            last = await asyncio.to_thread(client.readline)
            assert last.startswith(b"* BYE")
            await asyncio.to_thread(client.shutdown)


async def test_one_that_hangs_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    async with mail_server() as server:
        await asyncio.to_thread(_add_account, tmp_path, server.port, server.password)
        node = _node(tmp_path, stop_timeout_s=1)
        async with _running(node) as answering:
            port = await _until_ready(answering)
            client = await asyncio.to_thread(_log_in, port, "boat")
            # A command of which the second half never comes.
            await asyncio.to_thread(client.send, b"a1 APPEND INBOX {100}\r\nhalf")
            node.stop()
            node.stop()  # Twice: at once.
        await asyncio.to_thread(client.shutdown)


async def test_accounts_that_are_added_run(tmp_path: Path) -> None:
    async with mail_server() as server, _running(_node(tmp_path)) as answering:
        await asyncio.to_thread(_add_account, tmp_path, server.port, server.password)
        port = await _until_ready(answering)
        client = await asyncio.to_thread(_log_in, port, "boat")
        kind, _ = await asyncio.to_thread(client.select)
        assert kind == "OK"
        await asyncio.to_thread(client.logout)
