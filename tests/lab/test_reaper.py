from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import processes

pytestmark = pytest.mark.system

PROJECT = Path(__file__).parents[2]
STARTS_A_SERVER = """
from tests.lab.dovecot import Dovecot
server = Dovecot()
server.start()
print(server.directory, server._process.pid, flush=True)
input()
"""


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        folder, pid = run.stdout.readline().split()
        reapers = [child for child in processes.tree(run.pid) if _is_reaper(child)]
        assert len(reapers) == 1
        assert processes.is_alive(int(pid))
        # Nobody's child here any more; its descriptor becomes readable when it ends.
        with os.fdopen(os.pidfd_open(reapers[0])) as reaper:
            run.kill()
            assert select.select([reaper], [], [], 15)[0]
    assert not processes.is_alive(int(pid))
    assert not Path(folder).exists()


def _is_reaper(pid: int) -> bool:
    return b"tests.lab.reaper" in Path(f"/proc/{pid}/cmdline").read_bytes()
