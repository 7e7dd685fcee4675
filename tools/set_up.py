"""Make the virtual environment `.venv`: what requirements.lock names, and mailferry itself, editable.

    python3 tools/set_up.py

Runs with any Python from 3.11 on and nothing else.  Does nothing, quickly, when all is done already.
Debian keeps pip and ensurepip in packages of their own (python3-venv); where they are missing, pip
comes out of Debian's package python3-pip-whl, which is downloaded and unpacked, not installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
ENVIRONMENT = PROJECT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".mailferry"
LOCK = PROJECT / "requirements.lock"
VERSION_MIN = (3, 11)


class SetUpFailed(Exception):
    """Something is missing; the text says what to do."""


def main() -> int:
    """Set up; return the exit status."""
    wanted = _wanted()
    if STAMP.exists() and PYTHON.exists() and STAMP.read_text() == wanted:
        return 0
    try:
        _set_up()
    except SetUpFailed as exc:
        sys.stderr.write(f"mailferry cannot be set up: {exc}\n")
        return 1
    STAMP.write_text(wanted)
    return 0


def _wanted() -> str:
    """Return what tells whether the environment is the one that these files ask for."""
    digest = hashlib.sha256(str(sys.version_info[:2]).encode())
    for file in (LOCK, PROJECT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return f"{digest.hexdigest()} {PROJECT}\n"


def _set_up() -> None:
    if sys.version_info < VERSION_MIN:
        raise SetUpFailed(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}")
    _say(f"setting up .venv with Python {sys.version.split()[0]}")
    if not _has_pip():
        _make_environment()
    pip = [str(PYTHON), "-m", "pip", "-qq", "--disable-pip-version-check", "install"]
    _say("installing what requirements.lock names")
    _run([*pip, "--require-hashes", "-r", str(LOCK)])
    _say("installing mailferry itself")
    _run([*pip, "--no-deps", "-e", str(PROJECT)])


def _has_pip() -> bool:
    """Whether there is an environment of this version of Python, with pip, made for this place."""
    if STAMP.exists() and not STAMP.read_text().endswith(f" {PROJECT}\n"):
        return False  # The project was moved; the programs in bin/ name the old place.
    version = f"import sys, pip; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    return PYTHON.exists() and _succeeds([str(PYTHON), "-c", version])


def _make_environment() -> None:
    if _succeeds([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)]):
        return
    _say("this Python has no ensurepip: taking pip from Debian's package python3-pip-whl")
    if not _succeeds([sys.executable, "-m", "venv", "--clear", "--without-pip", str(ENVIRONMENT)]):
        raise SetUpFailed(
            "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"
        )
    with tempfile.TemporaryDirectory() as folder:
        wheel = _pip_wheel(Path(folder))
        site_packages = sysconfig.get_path(
            "purelib", "venv", {"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}
        )
        shutil.unpack_archive(wheel, site_packages, "zip")


def _pip_wheel(folder: Path) -> Path:
    """Download and unpack Debian's package with pip in it; needs no root."""
    advice = "install pip and venv yourself; on Debian: apt-get install python3-venv"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise SetUpFailed(f"there is neither ensurepip nor apt-get here; {advice}")
    for needed in ("lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    options = {
        "Dir::State::lists": f"{folder}/lists",
        "Dir::Cache": f"{folder}/cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    _succeeds([*apt, "update"])  # If the source that matters fails, the next step fails.
    _run([*apt, "download", "python3-pip-whl"], cwd=folder, advice=advice)
    (package,) = folder.glob("*.deb")
    _run(["dpkg", "-x", str(package), str(folder / "unpacked")], advice=advice)
    (wheel,) = (folder / "unpacked").rglob("pip-*.whl")
    return wheel


def _run(command: list[str], *, cwd: Path | None = None, advice: str = "") -> None:
    done = subprocess.run(command, check=False, cwd=cwd, env=_environment())  # noqa: S603  our own
    if done.returncode != 0:
        raise SetUpFailed(advice or f"this failed: {' '.join(command)}")


def _succeeds(command: list[str]) -> bool:
    done = subprocess.run(  # noqa: S603  our own
        command, check=False, capture_output=True, env=_environment()
    )
    return done.returncode == 0


def _environment() -> dict[str, str]:
    """Return an environment in which only the new environment's own packages count."""
    return {
        k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
