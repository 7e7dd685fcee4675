"""`journal`: every operation in words, with what became of it and when."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.markup import escape

from mailferry.cli.account import AsJson
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.errors import CommandFailed
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import output
from mailferry.node.accounts import open_accounts
from mailferry.node.control import NodeUnreachable, ask
from mailferry.node.control_messages import Answer, AskJournal, JournalLine
from mailferry.node.journal_file import read_journal

_STYLES: Final = {"applied": "green", "refused": "bold red", "withdrawn": "yellow"}


@about_a_node
def journal(
    node: Surroundings,
    account: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account's operations.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on and show what happens, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show every operation of the mail programs: asked, answered and done when, or why not.

    Operations are shown in the order in which they were asked for.  With --follow a line is
    shown again when something has become of it.
    """
    for line in _lines(node, account, follow=follow):
        if as_json:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
            sys.stdout.flush()
        else:
            output.print(in_words(line, datetime.now().astimezone()), soft_wrap=True)


def _lines(node: Surroundings, account: str | None, *, follow: bool) -> Iterator[JournalLine]:
    if account is not None:
        with open_accounts(node.directory, node.environ) as accounts:
            accounts.get(account)  # Raises when there is no such account.
    try:
        yield from _only_lines(
            ask(node.directory.control_socket, AskJournal(account=account, follow=follow))
        )
    except NodeUnreachable:
        if follow:
            raise CommandFailed("the node has ended", ExitCode.NOT_RUNNING) from None
        yield from read_journal(node.directory, node.environ, account)


def _only_lines(answers: Iterator[Answer]) -> Iterator[JournalLine]:
    return (answer for answer in answers if isinstance(answer, JournalLine))


def in_words(line: JournalLine, now: datetime) -> str:
    """Return one line of the journal; times are local, with the date where it is not today's."""
    style = _STYLES.get(line.state, "cyan")
    asked = _time(line.asked_at, now)
    reason = f": {escape(line.reason)}" if line.reason else ""
    return (
        f"[dim]{asked}[/] [bold]{escape(line.account)}[/] {escape(line.what)}, "
        f"[{style}]{_fate(line, now)}[/]{reason}"
    )


def _fate(line: JournalLine, now: datetime) -> str:
    answered = f"answered {_time(line.answered_at, now)}" if line.answered_at else "not answered"
    match line.state:
        case "staged":
            return "not answered yet"
        case "committed":
            return f"{answered}, waiting for the server"
        case "applying":
            return f"{answered}, being done at the server"
        case "applied":
            return f"{answered}, done {_time(line.done_at, now)}"
        case "refused":
            return f"{answered}, refused by the server {_time(line.done_at, now)}"
        case "withdrawn":
            return "not answered: not sent"
        case _:
            return f"{answered}, {line.state}"


def _time(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "?"
    local = moment.astimezone(now.tzinfo)
    return f"{local:%H:%M:%S}" if local.date() == now.date() else f"{local:%Y-%m-%d %H:%M:%S}"
