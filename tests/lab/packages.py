"""Debian's packages, unpacked into a folder without installing them; needs no root.

Theory of operation.  apt keeps its state where it is told to, so anybody can download with it: the
index first, then the packages with what they depend on and this machine lacks.  `dpkg -x` unpacks
them below the laboratory's folder, and LD_LIBRARY_PATH lets the programs find their libraries.

Dovecot has the places of its parts compiled in.  They are patched into others of the same length:
below a link in /tmp, whose name is made from the laboratory's folder and which leads back there.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

DOWNLOAD_S = 300.0  # For one call of apt, on a slow mirror.
PROJECT = Path(__file__).parents[2]

_ELF: Final = b"\x7fELF"
_COMPLETE: Final = ".complete"


class UnpackingFailed(RuntimeError):
    """The packages could not be fetched or unpacked; the text says why."""


def laboratory() -> Path:
    """Return the folder for all that is unpacked: `.lab`, which git ignores.

    Root's servers run as "nobody", who has to get there: where the project is in a closed folder
    such as /root, it is /var/tmp/mailferry-lab.
    """
    inside = PROJECT / ".lab"
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in PROJECT.parents) and (
        PROJECT.stat().st_mode & 0o001
    )
    if os.geteuid() != 0 or open_to_all:
        return inside
    return Path("/var/tmp/mailferry-lab")  # noqa: S108  root's own, made by root


def tree(name: str) -> Path | None:
    """Return the folder that the program `name` was unpacked into, if it was."""
    folder = laboratory() / name
    return folder if (folder / _COMPLETE).exists() else None


def unpack(name: str, packages: Sequence[str]) -> Path:
    """Download and unpack packages with what they need; return the folder.

    Raises:
        UnpackingFailed: no apt here, no network, or no such package.
    """
    if (unpacked := tree(name)) is not None:
        return unpacked
    folder = laboratory() / name
    shutil.rmtree(folder, ignore_errors=True)
    for archive in _download(packages):
        _run("dpkg", "-x", str(archive), str(folder))
    if name == "dovecot":
        _relocate_dovecot(folder)
    (folder / _COMPLETE).touch()
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Return what programs in `folder` need to find their libraries and modules."""
    triplet = f"{platform.machine()}-linux-gnu"
    libraries = (folder / part for part in (f"usr/lib/{triplet}", f"lib/{triplet}", "usr/lib"))
    return {
        "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
        "SASL_PATH": str(folder / f"usr/lib/{triplet}/sasl2"),
    }


def relink_dovecot(folder: Path) -> None:
    """Make the link that the patched Dovecot looks for; /tmp forgets it over a restart."""
    link = _dovecot_link(folder)
    if not link.is_symlink():
        link.symlink_to(folder / "mailferry")
    elif link.readlink() != folder / "mailferry":
        raise UnpackingFailed(f"{link} belongs to somebody else; remove it and {folder}")


def _download(packages: Sequence[str]) -> Iterator[Path]:
    command = _apt()
    archives = laboratory() / "apt/cache/archives"
    for archive in archives.glob("*.deb"):
        archive.unlink()
    # Installed ones too, should somebody want them unpacked all the same.
    _run(
        *command, "--yes", "--no-install-recommends", "--reinstall", "--download-only", "install",
        *packages,
    )  # fmt: skip
    yield from archives.glob("*.deb")


@functools.cache
def _apt() -> Sequence[str]:
    """Return the command that runs apt on a state of our own, its index brought up to date."""
    if shutil.which("apt-get") is None:
        raise UnpackingFailed("there is no apt-get here")
    state = laboratory() / "apt"
    for needed in ("lists/partial", "cache/archives/partial"):
        (state / needed).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": f"{state}/lists",
        "Dir::Cache": f"{state}/cache",
        "Debug::NoLocking": "1",  # The locks of the machine's own apt need root and are not in our way.
        "APT::Sandbox::User": "",
    }
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    # A source that fails may be one that is not needed; if it is, the next step says so.
    subprocess.run([*command, "update"], check=False, timeout=DOWNLOAD_S, capture_output=True)
    return command


def _relocate_dovecot(folder: Path) -> None:
    link = _dovecot_link(folder)
    places: Mapping[bytes, bytes] = {
        b"/usr/lib/dovecot": f"{link}/lib".encode(),
        b"/usr/bin/doveconf": f"{link}/conf".encode(),
    }
    pattern = re.compile(b"|".join(map(re.escape, places)))
    for file in folder.rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        content = file.read_bytes()
        if content.startswith(_ELF) and pattern.search(content):
            file.write_bytes(pattern.sub(lambda match: places[match[0]], content))
    target = folder / "mailferry"
    target.mkdir()
    (target / "lib").symlink_to(folder / "usr/lib/dovecot")
    (target / "conf").symlink_to(folder / "usr/bin/doveconf")
    relink_dovecot(folder)


def _dovecot_link(folder: Path) -> Path:
    """Return twelve characters, so that "/lib" after it is as long as "/usr/lib/dovecot"."""
    digest = hashlib.sha256(bytes(folder)).digest()
    return Path("/tmp") / f"m{base64.b32encode(digest)[:6].decode().lower()}"  # noqa: S108  checked in relink


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, timeout=DOWNLOAD_S, capture_output=True, text=True)
    if done.returncode != 0:
        raise UnpackingFailed(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
