"""`key`: the key that the stored passwords are sealed with."""

from __future__ import annotations

import typer

from mailferry.cli.account import confirm
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.terminal import errors
from mailferry.node.accounts import rotate_key

app = typer.Typer(no_args_is_help=True, help="The key that stored passwords are sealed with.")


@app.command("rotate")
@about_a_node
def rotate(
    node: Surroundings,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do it without asking."),
) -> None:
    """Seal all stored passwords with a new key, and drop the old one.

    Copies of the journal from before can then be opened with copies of the old key only.
    """
    confirm("Replace the key? Older backups of the journal need the older key.", yes=yes)
    count = rotate_key(node.directory, node.environ)
    errors.print(f"The passwords of {count} accounts are sealed with a new key.")
