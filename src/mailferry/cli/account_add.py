"""`account add`: find the server, check the login, keep the account, show what to type.

Everything can be given as an option; then nothing is asked.  On a terminal, what is missing is
asked for, and a server that only unprotected DNS names is shown before it gets the password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mailferry.cli.account_options import settings_from
from mailferry.cli.errors import CommandFailed, InputMissing
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.secret_input import ask_secret
from mailferry.cli.terminal import errors, is_attended
from mailferry.discovery.candidate import Candidate
from mailferry.mail.errors import AuthenticationFailed, MailError
from mailferry.node.accounts import AccountSettings

if TYPE_CHECKING:
    from mailferry.node.server_check import ServerReport

ATTEMPTS_MAX: Final = 3  # To type a password; servers lock out who tries more often.


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the person has said so far."""

    address: str | None
    settings: dict[str, Any]
    """Fields of AccountSettings; None: not given."""
    password: str | None = field(repr=False)
    check: bool
    ask: bool
    """Whether there is somebody who may be asked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Settings and a secret that the server has accepted."""

    settings: AccountSettings
    password: str = field(repr=False)
    report: ServerReport | None
    """None when the check was not wanted."""


def find_and_check(wanted: Wanted) -> Checked:
    """Return settings that work.

    Raises:
        CommandFailed: no server was found or is of use, or something is missing.
        AuthenticationFailed: the server refused the user name or password.
    """
    address = wanted.address or wanted.settings["user"]
    if address is None:
        if not wanted.ask:
            raise InputMissing("which account? give the mail address, or --host and --user")
        address = typer.prompt("Mail address", err=True).strip()
    if wanted.settings["host"] is not None:
        choices = [settings_from(wanted.settings | _user(wanted, address))]
    else:
        choices = _choices(address, wanted)
    password = wanted.password or ask_secret("Password at the mail server", "--password")
    if not wanted.check:
        return Checked(choices[0], password, None)
    return _first_that_works(choices, password, wanted)


def _user(wanted: Wanted, address: str) -> dict[str, str]:
    return {"user": wanted.settings["user"] or address}


def _choices(address: str, wanted: Wanted) -> list[AccountSettings]:
    """Return settings for the servers that may be used, the most likely first."""
    domain = address.rpartition("@")[2]
    if "@" not in address or not domain:
        raise InputMissing(f'"{address}" is no mail address: name the server with --host')
    from mailferry.discovery.find import (
        find_servers,
    )  # Half of the program's start, if it were above.

    with _progress() as progress:
        progress.add_task(f"Looking for the IMAP server of {domain}")
        found = asyncio.run(find_servers(address))
    candidates = _allowed(found, domain, wanted)
    if not candidates:
        raise CommandFailed(_not_found(found, domain), ExitCode.UNREACHABLE)
    return [_settings_of(candidate, wanted) for candidate in candidates]


def _allowed(found: Sequence[Candidate], domain: str, wanted: Wanted) -> list[Candidate]:
    """Leave out servers elsewhere that nobody vouches for, unless the person says yes."""
    allowed: list[Candidate] = []
    for candidate in found:
        if candidate.is_vouched_for(domain):
            allowed.append(candidate)
        elif wanted.ask and not allowed:
            question = (
                f"DNS names {candidate.host} as the server of {domain}. "
                "Is that your provider, and shall it get your password?"
            )
            if typer.confirm(question, err=True):
                allowed.append(candidate)
    return allowed


def _not_found(found: Sequence[Candidate], domain: str) -> str:
    if found:
        return (
            f"DNS names {found[0].host} as the server of {domain}, which could be anybody: "
            f"if it is right, say so with --host {found[0].host} --port {found[0].port}"
        )
    return (
        f"the IMAP server of {domain} was not found: name it with --host (its provider's help "
        "pages call it IMAP or incoming server)"
    )


def _settings_of(candidate: Candidate, wanted: Wanted) -> AccountSettings:
    if candidate.oauth2 and wanted.settings["mechanism"] is None:
        raise CommandFailed(
            f"{candidate.host} takes no passwords, only OAuth2 access tokens: give one with "
            "--mechanism xoauth2 --password-file, or make an app password at the provider and "
            "name the server with --host"
        )
    found = {
        "host": candidate.host,
        "port": candidate.port,
        "security": candidate.security,
        "user": candidate.user,
    }
    given = {name: value for name, value in wanted.settings.items() if value is not None}
    return settings_from(found | given)


def _first_that_works(choices: Sequence[AccountSettings], password: str, wanted: Wanted) -> Checked:
    """Try the servers in turn; who refuses the password ends it: it goes to nobody else."""
    failure: MailError | None = None
    for settings in choices:
        try:
            return _login(settings, password, wanted)
        except AuthenticationFailed:
            raise
        except MailError as exc:
            failure = exc
            if len(choices) > 1:
                errors.print(f"{settings.host}:{settings.port}: {escape(str(exc))}", style="yellow")
    if failure is None:
        raise ValueError("no server to try")
    # Not only what cannot be reached: also who cannot prove who it is, or offers no way in.
    raise CommandFailed(str(failure), ExitCode.UNREACHABLE) from failure


def _login(settings: AccountSettings, password: str, wanted: Wanted) -> Checked:
    may_retype = wanted.ask and wanted.password is None
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return Checked(settings, password, _check(settings, password))
        except AuthenticationFailed as exc:
            if not may_retype or attempt == ATTEMPTS_MAX:
                raise
            errors.print(f"[yellow]{escape(str(exc))}[/]")
            password = ask_secret("Password at the mail server", "--password")
    raise ValueError("no attempt was made")


def _check(settings: AccountSettings, password: str) -> ServerReport:
    from mailferry.node.server_check import check_server  # As above.

    with _progress() as progress:
        task = progress.add_task(f"Connecting to {settings.host}")
        return asyncio.run(
            check_server(
                settings, password, lambda step: progress.update(task, description=escape(step))
            )
        )


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not is_attended(),
    )
