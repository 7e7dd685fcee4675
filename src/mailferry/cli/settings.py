"""`config`: describe and check the settings file."""

from __future__ import annotations

import typer

from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.terminal import errors, output
from mailferry.config import config_text

app = typer.Typer(no_args_is_help=True, help="The settings file of the node.")


@app.command("describe")
def describe() -> None:
    """Write an annotated settings file with every setting and its default.

    To begin with it: [bold]mailferry config describe > ~/.config/mailferry/mailferry.toml[/]
    """
    output.out(config_text(), end="")


@app.command("check")
@about_a_node
def check(node: Surroundings) -> None:
    """Say whether the settings file can be used, and what follows from it."""
    where = node.config_file or "none: the defaults count"
    errors.print(f"Settings file: {where}")
    errors.print(f"Data directory: {node.directory.path}")
    for listener in node.config.imap:
        errors.print(f"IMAP on {listener.host}, port {listener.port}: {listener.security.value}")
