from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailferry.node.control import NodeRefused, NodeUnreachable, ask, serve_control
from mailferry.node.control_messages import (
    Answer,
    AskErase,
    AskJournal,
    AskReload,
    AskStatus,
    Failure,
    JournalLine,
    NodeStatus,
    Request,
)

NOW = datetime(2026, 11, 1, 10, 2, 11, tzinfo=UTC)
STATUS = NodeStatus(
    version="1",
    pid=1,
    started_at=NOW,
    data_directory="/d",
    certificate_sha256="ab",
    listeners=(),
    accounts=(),
)


def _line(sequence: int) -> JournalLine:
    return JournalLine(
        sequence=sequence,
        account="mina",
        login="mina",
        what="marked read 1 message in INBOX",
        state="applied",
        asked_at=NOW,
        answered_at=NOW,
        done_at=None,
    )


class _Node:
    def __init__(self) -> None:
        self.following = asyncio.Event()
        self.left = asyncio.Event()

    async def answer(self, request: Request) -> AsyncGenerator[Answer, None]:
        match request:
            case AskStatus():
                yield STATUS
            case AskJournal(since=since, follow=False):
                for sequence in range(since + 1, 4):
                    yield _line(sequence)
            case AskJournal():
                try:
                    yield _line(1)
                    self.following.set()
                    await asyncio.Event().wait()
                finally:
                    self.left.set()
            case AskErase():
                yield Failure("no")
            case _:
                raise RuntimeError("a bug")


def _all(path: Path, request: Request) -> list[Answer]:
    return list(ask(path, request))


async def test_requests_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "control.socket"
    async with serve_control(path, _Node().answer):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(_all, path, AskStatus()) == [STATUS]
        lines = await asyncio.to_thread(_all, path, AskJournal(since=1))
        assert lines == [_line(2), _line(3)]
        with pytest.raises(NodeRefused, match=r"^no$"):
            await asyncio.to_thread(_all, path, AskErase(account="mina"))
    assert not path.exists()


async def test_a_failing_request_ends_with_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_control(tmp_path / "s", _Node().answer):
        with pytest.raises(NodeRefused, match="its log says more"):
            await asyncio.to_thread(_all, tmp_path / "s", AskReload())
        assert "a bug" in caplog.text
        assert await asyncio.to_thread(_all, tmp_path / "s", AskStatus()) == [STATUS]


async def test_a_follower_may_leave_at_any_time(tmp_path: Path) -> None:
    node = _Node()
    async with serve_control(tmp_path / "s", node.answer):
        answers = ask(tmp_path / "s", AskJournal(follow=True))
        assert await asyncio.to_thread(next, answers, None) == _line(1)
        await node.following.wait()
        await asyncio.to_thread(answers.close)  # type: ignore[attr-defined]
        await node.left.wait()


async def test_followers_end_with_the_node(tmp_path: Path) -> None:
    node = _Node()
    async with serve_control(tmp_path / "s", node.answer):
        following = asyncio.create_task(
            asyncio.to_thread(_all, tmp_path / "s", AskJournal(follow=True))
        )
        await node.following.wait()
    assert await following == [_line(1)]


@pytest.mark.parametrize(
    "rubbish", [b"\n", b"{}\n", b"[" * 100 + b"\n", b"\xff\n", b"x" * 2_000_000]
)
async def test_rubbish_is_refused(tmp_path: Path, rubbish: bytes) -> None:
    async with serve_control(tmp_path / "s", _Node().answer):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(rubbish)
        answer = await reader.readline()
        assert json.loads(answer)["type"] == "failure"
        writer.close()
        assert await asyncio.to_thread(_all, tmp_path / "s", AskStatus()) == [STATUS]


async def test_the_directory_may_have_a_long_name(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    async with serve_control(directory / "control.socket", _Node().answer):
        answers = await asyncio.to_thread(_all, directory / "control.socket", AskStatus())
        assert answers == [STATUS]


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.socket"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with pytest.raises(NodeUnreachable, match="no mailferry runs"):
        _all(path, AskStatus())
    async with serve_control(path, _Node().answer):
        assert await asyncio.to_thread(_all, path, AskStatus()) == [STATUS]


def test_nobody_there(tmp_path: Path) -> None:
    for path in (tmp_path / "control.socket", tmp_path / "missing" / "control.socket"):
        with pytest.raises(NodeUnreachable):
            _all(path, AskStatus())


def test_an_answer_of_another_version_is_said_so(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    answers = ask(tmp_path / "s", AskStatus())

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b'{"type":"hologram"}\n')

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(NodeUnreachable, match="another version"):
        next(answers)
    thread.join()
    listening.close()
