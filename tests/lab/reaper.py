"""Ends what a test run started when the run itself was killed.

A process of its own that reads from a pipe what there is: "start PID FOLDER" and "end PID" lines.  The
pipe ends with the test run, however that ends; then what is left is killed, and its folders removed.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.lab import processes


def watch(pid: int, folder: Path) -> None:
    """Have the process with its descendants killed, and `folder` removed, should we die."""
    _tell(f"start {pid} {folder}")


def forget(pid: int) -> None:
    """The process ended as it should."""
    _tell(f"end {pid}")


def _tell(line: str) -> None:
    pipe = _reaper().stdin
    assert pipe is not None
    pipe.write(f"{line}\n")
    pipe.flush()


@functools.cache
def _reaper() -> subprocess.Popen[str]:
    reaper = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.reaper"],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C and the end of a terminal are not for it.
    )
    atexit.register(reaper.communicate)
    return reaper


def main() -> None:
    """Read until the other side is gone; then kill what is left."""
    left: dict[int, str] = {}
    for line in sys.stdin:
        what, pid, *folder = line.rstrip("\n").split(" ", 2)
        if what == "start":
            left[int(pid)] = folder[0]
        else:
            left.pop(int(pid), None)
    for one, path in left.items():
        processes.end_tree(one, signal.SIGKILL)
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
