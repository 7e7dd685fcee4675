"""`mailferry` run as a program of its own, with a data directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from mailferry.cli.main import app

COMMAND_S = 60.0
"""No command of these tests takes longer, on a busy machine either."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


class Program:
    """Runs commands on one data directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MAILFERRY_")
        } | {
            "MAILFERRY_DATA": str(self.data),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }

    def arguments(self, *arguments: str | Path) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "mailferry", *map(str, arguments)]

    def __call__(
        self, *arguments: str | Path, typed: str = "", pass_fds: Sequence[int] = ()
    ) -> Done:
        """Run a command with `typed` as its standard input."""
        done = subprocess.run(
            self.arguments(*arguments),
            input=typed,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            pass_fds=pass_fds,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def inside(self, *arguments: str | Path, typed: str = "") -> Done:
        """Run a command within this process, which is quicker."""
        done = CliRunner().invoke(
            app, [str(one) for one in arguments], input=typed, env=self.environment
        )
        return Done(done.exit_code, done.stdout, done.stderr)

    def everything_kept(self) -> bytes:
        """Return the octets of all files in the data directory."""
        return b"\0".join(
            path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file()
        )
