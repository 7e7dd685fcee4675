"""`run`: the node itself, until it is told to end."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from mailferry.cli.client_settings import SECURITY_WORDS, in_lines, shown_host
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.terminal import errors
from mailferry.node.control_messages import NodeStatus
from mailferry.observe import TRACE

if TYPE_CHECKING:
    from mailferry.node.answering import Answering

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


@about_a_node
def run(
    node: Surroundings,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="When ready, write one line of JSON with ports; then nothing."),
    ] = False,
    log_level: Annotated[
        str,
        typer.Option(
            "--log-level", metavar="LEVEL", help="debug, info, warning or error; to standard error."
        ),
    ] = "warning",
    trace: Annotated[
        bool,
        typer.Option(
            "--trace",
            help="Log what is said to mail servers and programs, without passwords and mail.",
        ),
    ] = False,
) -> None:
    """Run the node: serve mail programs, keep up with the mail servers.  Ctrl-C or SIGTERM ends it.

    Mail programs are told goodbye, mail servers get their LOGOUT, and nothing that was answered is
    lost; what still waits for a server is done after the next start.
    """
    _log(log_level, trace=trace)
    asyncio.run(_run(node, as_json=as_json))
    if not as_json:
        errors.print("Ended. What waits for a mail server is kept.")


async def _run(node: Surroundings, *, as_json: bool) -> None:
    from mailferry.node.node import Node  # The other commands start sooner without it.

    running = Node(node.config, node.directory, node.environ)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stop)
    async with asyncio.TaskGroup() as tasks:

        def ready(answering: Answering) -> None:
            tasks.create_task(_tell_ready(answering, as_json=as_json))

        await running.run(ready)


async def _tell_ready(answering: Answering, *, as_json: bool) -> None:
    status = await answering.status()
    if as_json:
        sys.stdout.write(json.dumps(_ready_line(status)) + "\n")
        sys.stdout.flush()
    else:
        _tell(status)


def _ready_line(status: NodeStatus) -> dict[str, object]:
    return {
        "ready": True,
        "pid": status.pid,
        "data_directory": status.data_directory,
        "certificate_sha256": status.certificate_sha256,
        "listeners": [
            {
                "protocol": one.protocol,
                "host": one.host,
                "port": one.port,
                "security": one.security,
            }
            for one in status.listeners
        ],
    }


def _tell(status: NodeStatus) -> None:
    errors.print(f"mailferry {status.version} is ready, with {len(status.accounts)} accounts.")
    for one in status.listeners:
        security = SECURITY_WORDS[one.security]
        errors.print(f"  IMAP on {shown_host(one.host)}, port [bold]{one.port}[/]: {security}")
    errors.print("The certificate's SHA-256, for the question that mail programs ask once:")
    errors.print(f"  {in_lines(status.certificate_sha256)}".replace("\n", "\n  "))
    if not status.accounts:
        errors.print("There are no accounts yet: [bold]mailferry account add you@example.org[/]")
    errors.print(
        f"Data in {escape(status.data_directory)}. How it is: [bold]mailferry status[/]. "
        "To end: Ctrl-C."
    )


def _log(level: str, *, trace: bool) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise typer.BadParameter("is debug, info, warning or error", param_hint="--log-level")
    logging.basicConfig(level=known[level.upper()], format=LOG_FORMAT, stream=sys.stderr)
    if trace:
        TRACE.setLevel(logging.DEBUG)
