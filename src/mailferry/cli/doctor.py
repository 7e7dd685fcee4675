"""`doctor`: what is wrong, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.status import Status

from mailferry.cli.account import AsJson
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import errors, output
from mailferry.node.doctor import Finding, Verdict, examine

_MARKS: Final = {
    Verdict.GOOD: "[green]good[/]",
    Verdict.NOTE: "[yellow]note[/]",
    Verdict.BAD: "[bold red]bad [/]",
}


@about_a_node
def doctor(
    node: Surroundings,
    no_servers: Annotated[
        bool, typer.Option("--no-servers", help="Do not log in at the mail servers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at everything that can be wrong, and say what to do about it.

    Ends with exit code 1 when something is bad.
    """
    with errors.status("Looking") as status:
        findings = asyncio.run(_examine(node, status, with_servers=not no_servers))
    if as_json:
        told = [asdict(one) | {"verdict": one.verdict.value} for one in findings]
        output.print_json(json.dumps(told))
    else:
        for one in findings:
            output.print(_in_words(one), soft_wrap=True)
    if any(one.verdict is Verdict.BAD for one in findings):
        raise typer.Exit(ExitCode.FAILED)


async def _examine(node: Surroundings, status: Status, *, with_servers: bool) -> list[Finding]:
    return [
        finding
        async for finding in examine(
            node.config,
            node.directory,
            node.environ,
            with_servers=with_servers,
            told=lambda step: status.update(escape(step)),
        )
    ]


def _in_words(finding: Finding) -> str:
    advice = f"\n      [bold]->[/] {escape(finding.advice)}" if finding.advice else ""
    subject, words = escape(finding.subject), escape(finding.words)
    return f"{_MARKS[finding.verdict]}  [bold]{subject}[/]: {words}{advice}"
