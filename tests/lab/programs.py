"""The real programs that tests start: installed ones, or unpacked ones.

    python -m tests.lab.programs

unpacks from Debian's packages those that are not installed, into a folder that git ignores; `make
test` does that first.  A test that needs a program which is in neither place fails and says so.
With MAILFERRY_LAB=unpacked in the environment, installed ones do not count.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.lab import packages

UNPACKED_ONLY = os.environ.get("MAILFERRY_LAB") == "unpacked"


class ProgramMissing(RuntimeError):
    """A program is neither installed nor unpacked; the text says what to do."""


@dataclass(frozen=True)
class Program:
    """A program that can be started."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)
    """To be added to the environment."""


@dataclass(frozen=True)
class _Source:
    """Where a program comes from."""

    packages: tuple[str, ...]
    path: str
    needs: tuple[str, ...] = ()
    """Further files without which it is not wholly installed."""


_SOURCES: Final = {
    "dovecot": _Source(
        ("dovecot-core", "dovecot-imapd"), "usr/sbin/dovecot", ("usr/lib/dovecot/imap",)
    ),
    "mutt": _Source(("mutt",), "usr/bin/mutt"),
    "mbsync": _Source(("isync",), "usr/bin/mbsync"),
    "curl": _Source(("curl",), "usr/bin/curl"),
}


def find(name: str) -> Program:
    """Return a program, with the environment that it needs.

    Raises:
        ProgramMissing: it is neither installed nor unpacked.
    """
    source = _SOURCES[name]
    if _is_installed(source):
        return Program(Path("/") / source.path)
    folder = packages.tree(name)
    if folder is None:
        raise ProgramMissing(
            f"{name} is neither installed nor unpacked: run `make test`, or "
            f"`{sys.executable} -m tests.lab.programs`, or install {' '.join(source.packages)}"
        )
    if name == "dovecot":
        packages.relink_dovecot(folder)
    return Program(folder / source.path, packages.environment(folder))


def prepare() -> list[str]:
    """Unpack what is not installed; return a line about each program.

    Raises:
        packages.UnpackingFailed: no network, no apt here, or no such package.
    """
    lines = []
    for name, source in _SOURCES.items():
        if not _is_installed(source):
            packages.unpack(name, source.packages)
        lines.append(f"{name}: {find(name).path}")
    return lines


def _is_installed(source: _Source) -> bool:
    files = (source.path, *source.needs)
    return not UNPACKED_ONLY and all((Path("/") / file).exists() for file in files)


def main() -> int:
    """Prepare all programs; say where they are, or what is wrong."""
    try:
        lines = prepare()
    except packages.UnpackingFailed as exc:
        needed = sorted({package for source in _SOURCES.values() for package in source.packages})
        sys.stderr.write(
            f"The programs that the tests need could not be unpacked: {exc}\n"
            f"Install them yourself: {' '.join(needed)}\n"
        )
        return 1
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
