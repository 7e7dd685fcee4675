"""`status`: how the running node is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import typer
from rich.markup import escape
from rich.table import Table

from mailferry.cli.account import AsJson
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import errors, output
from mailferry.node.control import NodeUnreachable, ask
from mailferry.node.control_messages import AccountStatus, AskStatus, ListenerStatus, NodeStatus
from mailferry.node.directory import DataDirectory

_STYLES = {"ready": "green", "failed": "bold red"}


@about_a_node
def status(node: Surroundings, as_json: AsJson = False) -> None:
    """Show what the running node does: what is here, what is waiting, what went wrong."""
    try:
        told = ask_status(node.directory)
    except NodeUnreachable:
        errors.print(f"No node runs on {node.directory.path}. Start it with: mailferry run")
        raise typer.Exit(ExitCode.NOT_RUNNING) from None
    if as_json:
        output.print_json(msgspec.json.encode(told).decode())
        return
    up = datetime.now(UTC) - told.started_at
    output.print(f"mailferry {told.version}, process {told.pid}, up {_duration(up)}")
    output.print(f"Data directory: {escape(told.data_directory)}")
    output.print(_listeners(told.listeners))
    if told.accounts:
        output.print(_accounts(told.accounts))
        for account in told.accounts:
            if account.reason:
                output.print(f"[bold]{escape(account.name)}[/]: {escape(account.reason)}")
    else:
        output.print("There are no accounts yet: mailferry account add you@example.org")


def ask_status(directory: DataDirectory) -> NodeStatus:
    """Return what the running node says of itself.

    Raises:
        NodeUnreachable: there is none.
    """
    for answer in ask(directory.control_socket, AskStatus()):
        if isinstance(answer, NodeStatus):
            return answer
    raise NodeUnreachable("the running mailferry does not answer")


def _listeners(listeners: Sequence[ListenerStatus]) -> Table:
    table = Table("Listening", "Port", "Security", "Connections")
    for one in listeners:
        name = f"{one.protocol.upper()} on {one.host}"
        table.add_row(name, str(one.port), one.security, str(one.connections))
    return table


def _accounts(accounts: Sequence[AccountStatus]) -> Table:
    table = Table(
        "Account", "Server", "State", "Mailboxes", "Messages", "Bodies", "Waiting", "Refused"
    )
    for account in accounts:
        style = _STYLES.get(account.state, "yellow")
        table.add_row(
            escape(account.name),
            escape(account.server),
            f"[{style}]{account.state}[/]",
            f"{account.mailboxes:,}",
            _share(account.messages_listed, account.messages),
            _share(account.bodies, account.messages),
            f"{account.pending:,}",
            f"[red]{account.refused:,}[/]" if account.refused else "0",
        )
    return table


def _share(part: int, whole: int) -> str:
    return f"{whole:,}" if part >= whole else f"{part:,} of {whole:,}"


def _duration(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"
