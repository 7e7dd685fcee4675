"""`account`: add, list, show, update and remove accounts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mailferry.cli import account_options as options
from mailferry.cli.account_add import Checked, Wanted, find_and_check
from mailferry.cli.client_settings import client_settings
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.errors import InputMissing
from mailferry.cli.secret_input import read_secret
from mailferry.cli.terminal import errors, is_attended, output
from mailferry.config import Config
from mailferry.node.accounts import (
    Account,
    AccountChange,
    AccountSettings,
    open_accounts,
    remove_account,
    tell_node,
)
from mailferry.node.control_messages import ListenerStatus
from mailferry.node.directory import DataDirectory
from mailferry.node.local_login import free_login, new_password, verifier_of

app = typer.Typer(no_args_is_help=True, help="Mail accounts: the servers behind this node.")

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
NoCheck = Annotated[
    bool, typer.Option("--no-check", help="Keep it without trying the login at the server.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command("add")
@about_a_node
def add(
    node: Surroundings,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[ADDRESS]",
            help="The mail address.  With --host it may be any name for the account.",
        ),
    ] = None,
    host: options.Host = None,
    port: options.ServerPort = None,
    security: options.Security = None,
    user: options.User = None,
    password_file: options.PasswordFile = None,
    password_fd: options.PasswordDescriptor = None,
    mechanism: options.Auth = None,
    ca_file: options.CaFile = None,
    fingerprint: options.PinnedFingerprint = None,
    bodies: options.Bodies = None,
    body_size_limit: options.BodySizeLimit = None,
    poll_interval: options.PollInterval = None,
    local_login: options.LocalLogin = None,
    local_password_file: options.LocalPasswordFile = None,
    local_password_fd: options.LocalPasswordDescriptor = None,
    no_check: NoCheck = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Add an account: find its server, check the login, show what to type into a mail program.

    [bold]mailferry account add you@example.org[/] asks for the rest.  In scripts give everything
    as options; passwords come from files or descriptors, never from the command line:

    [bold]mailferry account add work --host imap.example.org --user you --password-file secret[/]
    """
    password = read_secret("the password", "--password", password_file, password_fd)
    local_password = read_secret(
        "the local password", "--local-password", local_password_file, local_password_fd
    )
    given = {
        "host": host,
        "port": port,
        "security": security,
        "user": user,
        "mechanism": mechanism,
        "ca_file": ca_file,
        "certificate_sha256": fingerprint,
        "bodies": bodies,
        "body_size_limit_octets": body_size_limit,
        "poll_interval_s": poll_interval,
    }
    checked = find_and_check(
        Wanted(
            address=name,
            settings=given,
            password=password,
            check=not no_check,
            ask=is_attended() and not yes,
        )
    )
    _keep(node, checked, name, local_login, local_password, as_json=as_json)


def _keep(
    node: Surroundings,
    checked: Checked,
    name: str | None,
    local_login: str | None,
    given_password: str | None,
    *,
    as_json: bool,
) -> None:
    """Write the account, and show the local password once."""
    password = given_password or new_password()
    with open_accounts(node.directory, node.environ) as accounts:
        taken = {account.local_login for account in accounts.all()}
        account = accounts.add(
            name=name or checked.settings.user,
            settings=checked.settings,
            secret=checked.password,
            local_login=local_login or free_login(checked.settings.user, taken),
            local_verifier=verifier_of(password),
        )
    running = tell_node(node.directory)
    if as_json:
        told: dict[str, Any] = {"name": account.name, "local_login": account.local_login}
        if given_password is None:
            told["local_password"] = password
        output.print_json(json.dumps(told))
        return
    _show_added(node, account, checked, password if given_password is None else None)
    if not running:
        errors.print("\nThe node is not running yet. Start it with: [bold]mailferry run[/]")


def _show_added(
    node: Surroundings, account: Account, checked: Checked, password: str | None
) -> None:
    report = checked.report
    if report is not None:
        errors.print(
            f"{escape(checked.settings.host)} accepted the login: {report.mailboxes:,} mailboxes, "
            f"{report.messages:,} messages."
        )
    errors.print(f"The account [bold]{escape(account.name)}[/] has been added.\n")
    _print_settings(node.config, node.directory, account, password or "(the one that you gave)")
    if password is not None:
        errors.print(
            "\nThis password is shown once and is not kept. "
            "A new one: mailferry account update ACCOUNT --new-local-password"
        )


def _print_settings(
    config: Config, directory: DataDirectory, account: Account, password: str
) -> None:
    from mailferry.node.served_certificate import served_certificate  # Starts the rest sooner.

    served = served_certificate(config, directory)
    output.print(
        client_settings(
            [
                ListenerStatus(
                    protocol="imap", host=one.host, port=one.port, security=one.security.value
                )
                for one in config.imap
            ],
            login=account.local_login,
            password=password,
            fingerprint=served.fingerprint if served.own else None,
        )
    )


@app.command("list")
@about_a_node
def list_accounts(node: Surroundings, as_json: AsJson = False) -> None:
    """List the accounts of this node."""
    with open_accounts(node.directory, node.environ) as opened:
        accounts = opened.all()
    if as_json:
        output.print_json(json.dumps([_as_json(account) for account in accounts]))
        return
    if not accounts:
        errors.print("There are no accounts yet: mailferry account add you@example.org")
        return
    table = Table("Account", "Local login", "Server", "User", "Bodies copied")
    for account in accounts:
        settings = account.settings
        table.add_row(
            escape(account.name),
            escape(account.local_login),
            f"{settings.host}:{settings.port} ({settings.security})",
            escape(settings.user),
            settings.bodies.value,
        )
    output.print(table)


@app.command("show")
@about_a_node
def show(node: Surroundings, name: AccountName, as_json: AsJson = False) -> None:
    """Show the settings of an account, and what to type into a mail program."""
    with open_accounts(node.directory, node.environ) as accounts:
        account = accounts.get(name)
    if as_json:
        output.print_json(json.dumps(_as_json(account)))
        return
    table = Table("Setting", "Value", title=escape(account.name), title_justify="left")
    for field, value in account.settings.model_dump(mode="json").items():
        table.add_row(field, "-" if value is None else escape(str(value)))
    output.print(table)
    shown = "(shown when the account was added)"
    _print_settings(node.config, node.directory, account, shown)


@app.command("update")
@about_a_node
def update(
    node: Surroundings,
    name: AccountName,
    new_name: Annotated[
        str | None, typer.Option("--name", help="Another name for the account.")
    ] = None,
    host: options.Host = None,
    port: options.ServerPort = None,
    security: options.Security = None,
    user: options.User = None,
    password_file: options.PasswordFile = None,
    password_fd: options.PasswordDescriptor = None,
    mechanism: options.Auth = None,
    ca_file: options.CaFile = None,
    fingerprint: options.PinnedFingerprint = None,
    bodies: options.Bodies = None,
    body_size_limit: options.BodySizeLimit = None,
    poll_interval: options.PollInterval = None,
    local_login: options.LocalLogin = None,
    local_password_file: options.LocalPasswordFile = None,
    local_password_fd: options.LocalPasswordDescriptor = None,
    new_local_password: Annotated[
        bool,
        typer.Option(
            "--new-local-password", help="Make a new password for mail programs and show it once."
        ),
    ] = False,
) -> None:
    """Change an account: what is not given stays as it is.  The login is not tried; `doctor` does.

    A new password or token takes effect at the next login at the server, without a restart.
    """
    password = read_secret("the password", "--password", password_file, password_fd)
    local_password = read_secret(
        "the local password", "--local-password", local_password_file, local_password_fd
    )
    made = new_password() if new_local_password else None
    given = {
        "host": host,
        "port": port,
        "security": security,
        "user": user,
        "mechanism": mechanism,
        "ca_file": ca_file,
        "certificate_sha256": fingerprint,
        "bodies": bodies,
        "body_size_limit_octets": body_size_limit,
        "poll_interval_s": poll_interval,
    }
    local = made or local_password
    with open_accounts(node.directory, node.environ) as accounts:
        account = accounts.get(name)
        account = accounts.update(
            account,
            AccountChange(
                name=new_name,
                settings=_changed(given, account.settings),
                secret=password,
                local_login=local_login,
                local_verifier=None if local is None else verifier_of(local),
            ),
        )
    tell_node(node.directory)
    errors.print(f"The account [bold]{escape(account.name)}[/] has been changed.")
    if made is not None:
        _print_settings(node.config, node.directory, account, made)


def _changed(given: dict[str, Any], base: AccountSettings) -> AccountSettings | None:
    """Return the new settings; None when nothing about them was given."""
    if all(value is None for value in given.values()):
        return None
    return options.settings_from(given, base)


@app.command("remove")
@about_a_node
def remove(node: Surroundings, name: AccountName, yes: Yes = False) -> None:
    """Forget an account: its settings, the mail that is here, and what waits for its server.

    The mail at the server stays as it is.
    """
    with open_accounts(node.directory, node.environ) as accounts:
        account = accounts.get(name)
    question = f"Forget {account.name}, with its mail here and what still waits for its server?"
    confirm(question, yes=yes)
    remove_account(node.directory, account, node.environ)
    errors.print(f"The account [bold]{escape(account.name)}[/] has been removed.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        InputMissing: there is nobody to ask, and no --yes.
        typer.Abort: the person says no.
    """
    if yes:
        return
    if not is_attended():
        raise InputMissing("this cannot be undone: say --yes to do it without being asked")
    typer.confirm(question, abort=True, err=True)


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "local_login": account.local_login,
        "created_at": account.created_at.isoformat(),
        **account.settings.model_dump(mode="json"),
    }
