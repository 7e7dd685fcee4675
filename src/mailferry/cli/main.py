"""The program: what a person types after `mailferry`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from mailferry.cli import account, key, settings
from mailferry.cli.demo import demo
from mailferry.cli.doctor import doctor
from mailferry.cli.erase import erase
from mailferry.cli.journal import journal
from mailferry.cli.run import run
from mailferry.cli.salvage import salvage_journal
from mailferry.cli.status import status
from mailferry.cli.terminal import output

app = typer.Typer(
    name="mailferry",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "First steps: [bold]mailferry account add you@example.org[/], then [bold]mailferry run[/].  "
        "When something is wrong: [bold]mailferry doctor[/]."
    ),
)
app.add_typer(account.app, name="account")
app.command("run")(run)
app.command("status")(status)
app.command("journal")(journal)
app.command("doctor")(doctor)
app.command("erase")(erase)
app.command("salvage")(salvage_journal)
app.command("demo")(demo)
app.add_typer(settings.app, name="config")
app.add_typer(key.app, name="key")


def _show_version(wanted: bool) -> None:
    if wanted:
        output.print(f"mailferry {version('mailferry')}")
        raise typer.Exit


@app.callback()
def about(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Mail for people whose line drops, is slow and costs money by the byte.

    mailferry stands between your mail program and your mail server, keeps a copy of your mail here,
    answers from it while the line is down, and does at the server later what you did meanwhile.
    """


def main() -> None:
    """Run the program; ends by raising SystemExit."""
    app()
