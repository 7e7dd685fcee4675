"""Processes that the laboratory starts, and their ends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from pathlib import Path

HOST = "127.0.0.1"
STOP_S = 10.0


def free_port() -> int:
    """Return a free port below the range that the kernel gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    fields = _stat(pid)
    return fields is not None and fields[0] not in {"Z", "X"}


def tree(pid: int) -> list[int]:
    """Return the process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def end_tree(pid: int, how: signal.Signals) -> None:
    """Send the signal to the process and its descendants and wait until all are gone."""
    pids = tree(pid)
    for one in pids:
        _signal(one, how)
    deadline = time.monotonic() + STOP_S
    while any(is_alive(one) for one in pids):
        if time.monotonic() > deadline:
            for one in pids:
                _signal(one, signal.SIGKILL)
        time.sleep(0.01)


def wait_for_port(port: int, *, alive: int, timeout_s: float = 20.0) -> None:
    """Return when something accepts connections on the port; process `alive` has to live meanwhile."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            if not is_alive(alive):
                raise ChildProcessError(f"process {alive} ended before it listened") from None
            time.sleep(0.01)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port} after {timeout_s:.0f} s")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
