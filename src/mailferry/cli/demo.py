"""`demo`: everything in one process, to be looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from mailferry.cli.client_settings import client_settings
from mailferry.cli.errors import CommandFailed, told_in_words
from mailferry.cli.exit_code import ExitCode
from mailferry.cli.terminal import output

if TYPE_CHECKING:
    from mailferry.demo.stage import Stage
    from mailferry.demo.verdict import Verdict


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the verdict, with exit code 1 if it is bad.")
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", metavar="KBIT/S", help="How fast the line is, downwards.")
    ] = 512.0,
    delay: Annotated[
        float, typer.Option("--delay", metavar="MS", help="How long an octet travels, one way.")
    ] = 150.0,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where in the program an error arose.")
    ] = False,
) -> None:
    """Show a mail program at work through mailferry while the line to the mail server is being cut.

    Nothing is installed or kept: mail server, line, node and mail program all run in this one
    process, with a few hundred made-up mails.  After the verdict it stays up, so that you can
    connect with your own mail program, until Ctrl-C.
    """
    with told_in_words(debug=debug):
        if not asyncio.run(_show(once, rate * 1000, delay / 1000)):
            raise typer.Exit(ExitCode.FAILED)


async def _show(once: bool, bits_per_s: float, delay_s: float) -> bool:
    from mailferry.demo.show import DemoFailed, show  # The other commands start sooner without it.
    from mailferry.demo.stage import LineShape
    from mailferry.demo.view import verdict_table

    async def tell(scene: Stage, verdict: Verdict) -> None:
        output.print(verdict_table(verdict))
        if not once:
            await _invite(scene)
            await asyncio.Event().wait()

    shape = LineShape(delay_s=delay_s, down_bits_per_s=bits_per_s, up_bits_per_s=bits_per_s / 4)
    try:
        verdict = await show(output, shape, tell)
    except DemoFailed as exc:
        raise CommandFailed(str(exc)) from exc
    return verdict.good


async def _invite(scene: Stage) -> None:
    status = await scene.node_status()
    output.print(
        client_settings(
            status.listeners,
            login=scene.login,
            password=scene.password,
            fingerprint=status.certificate_sha256,
        )
    )
    starttls = status.listeners[0]
    login = scene.login.replace("@", "%40")
    output.print(
        "Look with your own mail program, for instance with mutt:\n"
        f"  mutt -f imap://{login}@{starttls.host}:{starttls.port}/INBOX\n"
        "Everything is deleted when you end this with Ctrl-C."
    )
