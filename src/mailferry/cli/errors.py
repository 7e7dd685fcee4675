"""What went wrong, in words and as an exit code; a traceback only with --debug."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import typer
from rich.markup import escape

from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import errors
from mailferry.config import ConfigError
from mailferry.mail.errors import (
    AuthenticationFailed,
    MailError,
    SourceUnavailable,
    StorageDamaged,
    StorageFull,
)
from mailferry.net.tls_context import CertificateUnusable
from mailferry.node.accounts import AccountError, VaultError
from mailferry.node.control import NodeRefused, NodeUnreachable
from mailferry.node.directory import DirectoryInUse, DirectoryUnusable
from mailferry.node.errors import ListenerFailed


class CommandFailed(Exception):
    """What was asked cannot be done; the text says why and what to do."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


class InputMissing(CommandFailed):
    """Something is needed that nobody gave, and there is nobody to ask."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


# The first class that fits counts.
_CODES: Final[tuple[tuple[type[Exception], ExitCode], ...]] = (
    (ConfigError, ExitCode.USAGE),
    (DirectoryInUse, ExitCode.IN_USE),
    (DirectoryUnusable, ExitCode.STORAGE),
    (StorageFull, ExitCode.STORAGE),
    (StorageDamaged, ExitCode.STORAGE),
    (VaultError, ExitCode.STORAGE),
    (AuthenticationFailed, ExitCode.LOGIN_REFUSED),
    (SourceUnavailable, ExitCode.UNREACHABLE),
    (NodeUnreachable, ExitCode.NOT_RUNNING),
    (ListenerFailed, ExitCode.FAILED),
    (CertificateUnusable, ExitCode.USAGE),
    (AccountError, ExitCode.FAILED),
    (NodeRefused, ExitCode.FAILED),
    (MailError, ExitCode.FAILED),
)


@contextmanager
def told_in_words(*, debug: bool) -> Iterator[None]:
    """Turn every error into a message and an exit code.

    Raises:
        typer.Exit: with the code.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.FAILED) from None
    except Exception as exc:  # noqa: BLE001 - the top of every command
        if debug:
            traceback.print_exc()
        _tell(_innermost(exc))


def _tell(exc: Exception) -> NoReturn:
    if isinstance(exc, CommandFailed):
        _say(str(exc))
        raise typer.Exit(exc.code)
    for known, code in _CODES:
        if isinstance(exc, known):
            _say(str(exc))
            raise typer.Exit(code)
    if isinstance(exc, OSError) and exc.strerror:
        place = f"{exc.filename}: " if exc.filename else ""
        _say(f"{place}{exc.strerror}")
        raise typer.Exit(ExitCode.FAILED)
    _say(
        f"a fault in mailferry itself ({type(exc).__name__}); nothing that was answered is lost. "
        "The same command with --debug shows where; please report it."
    )
    raise typer.Exit(ExitCode.OWN_FAULT)


def _innermost(exc: Exception) -> Exception:
    """Return the one error of a group; task groups wrap what goes wrong inside."""
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _say(message: str) -> None:
    errors.print(f"[bold red]mailferry:[/] {escape(message)}", highlight=False, soft_wrap=True)
