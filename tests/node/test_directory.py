from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailferry.node.directory import DataDirectory, DirectoryInUse, DirectoryUnusable


def test_a_new_directory_is_closed_to_others(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "a" / "b")
    directory.create()
    assert directory.mode() == 0o700
    directory.create()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryUnusable, match="cannot be made"):
        DataDirectory(tmp_path / "file" / "data").create()
    with pytest.raises(DirectoryUnusable, match="cannot be made"):
        DataDirectory(tmp_path / "file").create()


def test_one_has_it_for_oneself(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    in_use = pytest.raises(DirectoryInUse, match=r"process \d+")
    with directory.locked(), in_use, directory.locked():
        pytest.fail("two have it")
    with DataDirectory(tmp_path).locked():
        pass


def test_a_killed_node_gives_it_back(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, time\n"
        "from mailferry.node.directory import DataDirectory\n"
        "with DataDirectory(pathlib.Path(sys.argv[1])).locked():\n"
        "    print('mine', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(DirectoryInUse, match=str(other.pid)), DataDirectory(tmp_path).locked():
            pytest.fail("two have it")
        other.kill()
        other.wait()
    with DataDirectory(tmp_path).locked():
        pass
