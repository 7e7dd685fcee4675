"""Where the real programs are that tests start."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path


class ProgramMissing(RuntimeError):
    """A program is neither installed nor unpacked; the text says what to do."""


@dataclass(frozen=True)
class Program:
    """A program that can be started."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)


def find(name: str) -> Program:
    """Return an installed program."""
    path = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise ProgramMissing(f"{name} is not installed")
    return Program(Path(path))
