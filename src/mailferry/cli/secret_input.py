"""Secrets from a file, a descriptor, standard input or the keyboard.

Never from the command line or the environment: other users see the one in the process list, and
child processes inherit the other.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from mailferry.cli.errors import CommandFailed, InputMissing
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import is_attended

SECRET_LENGTH_MAX: Final = 64 * 1024  # Octets, as in the vault.


def read_secret(what: str, option: str, file: Path | None, descriptor: int | None) -> str | None:
    """Return the secret that `file` ("-": standard input) or `descriptor` gives; None: neither.

    One line end at its end does not belong to it.

    Raises:
        CommandFailed: both are given, or it cannot be read, is empty or too long.
    """
    if file is not None and descriptor is not None:
        raise CommandFailed(f"give either {option}-file or {option}-fd, not both", ExitCode.USAGE)
    if descriptor is not None:
        return _decoded(what, _read(what, descriptor))
    if file is None:
        return None
    if str(file) == "-":
        return _decoded(what, sys.stdin.buffer.read(SECRET_LENGTH_MAX + 1))
    try:
        return _decoded(what, _read(what, os.open(file, os.O_RDONLY | os.O_CLOEXEC)))
    except OSError as exc:
        raise CommandFailed(f"{what}: {file} cannot be read: {exc.strerror}") from exc


def ask_secret(what: str, option: str) -> str:
    """Ask for a secret at the keyboard, without showing it.

    Raises:
        InputMissing: there is nobody to ask.
    """
    if not is_attended():
        raise InputMissing(
            f"{what} is needed: give it with {option}-file FILE (- for standard input) "
            f"or {option}-fd NUMBER"
        )
    answer = ""
    while not answer:
        answer = getpass.getpass(f"{what}: ")
    return answer


def _read(what: str, descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as file:
            return file.read(SECRET_LENGTH_MAX + 1)
    except OSError as exc:
        raise CommandFailed(
            f"{what}: descriptor {descriptor} cannot be read: {exc.strerror}"
        ) from exc


def _decoded(what: str, content: bytes) -> str:
    try:
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandFailed(f"{what} is not text in UTF-8") from None
    if not secret or len(content) > SECRET_LENGTH_MAX or "\0" in secret:
        raise CommandFailed(f"{what} is empty, too long, or holds a NUL")
    return secret
