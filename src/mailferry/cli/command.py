"""What every command has: the options that name a node, and errors in words."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, ParamSpec, get_type_hints

import typer

from mailferry.cli.errors import told_in_words
from mailferry.config import Config, find_data_directory, find_file, load_config
from mailferry.node.directory import DataDirectory

P = ParamSpec("P")

_PANEL: Final = "Which node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The node that a command is about."""

    config: Config
    config_file: Path | None
    """None: there is none, the defaults count."""
    directory: DataDirectory
    debug: bool

    @property
    def environ(self) -> os._Environ[str]:
        """The environment, for the vault's key."""
        return os.environ


def about_a_node(
    command: Callable[Concatenate[Surroundings, P], None],
) -> Callable[..., None]:
    """Give a command the options --data, --config and --debug, and what they name as first argument."""
    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]

    @functools.wraps(command)
    def with_surroundings(
        *,
        data: Path | None,
        config: Path | None,
        debug: bool,
        **arguments: Any,
    ) -> None:
        with told_in_words(debug=debug):
            surroundings = _surroundings(data, config, debug=debug)
            command(surroundings, **arguments)  # type: ignore[call-arg]  # typer checked them

    parameters = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
    ]
    with_surroundings.__signature__ = inspect.Signature([*parameters, *_NODE_OPTIONS])  # type: ignore[attr-defined]
    with_surroundings.__annotations__ = {}
    return with_surroundings


def _surroundings(data: Path | None, config_option: Path | None, *, debug: bool) -> Surroundings:
    file = find_file(config_option, os.environ)
    config = load_config(file)
    directory = find_data_directory(data, config, os.environ)
    return Surroundings(
        config=config,
        config_file=file,
        directory=DataDirectory(directory.expanduser().absolute()),
        debug=debug,
    )


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


_NODE_OPTIONS: Final = (
    _option(
        "data",
        Annotated[
            Path | None,
            typer.Option(
                "--data",
                metavar="DIRECTORY",
                help="The data directory (also: MAILFERRY_DATA).",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    _option(
        "config",
        Annotated[
            Path | None,
            typer.Option(
                "--config",
                metavar="FILE",
                help="The settings file (also: MAILFERRY_CONFIG).",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    _option(
        "debug",
        Annotated[
            bool,
            typer.Option(
                "--debug", help="Show where in the program an error arose.", rich_help_panel=_PANEL
            ),
        ],
        False,
    ),
)
