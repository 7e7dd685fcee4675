"""The demonstration: a mail program works through a node while the line behind it is being cut.

1. The node copies the mail over a slow line.
2. The mail program works; meanwhile the line is cut, held and restored, again and again.
3. The line stays up until everything that waits is at the server.
4. The verdict: what was answered, what is at the server, what the node shows.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from rich.console import Console
from rich.live import Live

from mailferry.demo.ledger import Contents, Ledger, first_ledger
from mailferry.demo.letters import letters
from mailferry.demo.mail_program import Access, MailProgram
from mailferry.demo.stage import LineShape, Stage, stage
from mailferry.demo.verdict import Verdict, judge
from mailferry.demo.view import Board
from mailferry.net.badline import Cut
from mailferry.node.control_messages import AskJournal

LOOK_INTERVAL_S: Final = 0.25
COPY_TIMEOUT_S: Final = 300.0
SETTLE_TIMEOUT_S: Final = 300.0
"""For what waits to be at the server, once the line stays up: much longer than it takes."""
UP_S: Final = 2.5
DOWN_S: Final = 3.0


class DemoFailed(Exception):
    """The demonstration could not be carried through; the text says at which point."""


async def show(
    console: Console, shape: LineShape, after: Callable[[Stage, Verdict], Awaitable[None]]
) -> Verdict:
    """Show everything; return the verdict.

    `after` gets the stage and the verdict while all is still running.

    Raises:
        DemoFailed: it did not come to a verdict.
    """
    async with stage(shape) as scene:
        ledger = first_ledger(letters())
        board = Board(ledger, scene.line, console, live=console.is_terminal)
        async with _drawn(board, scene):
            board.phase = "1. Copying the mail over a slow line"
            await _wait_for(scene, "ready", COPY_TIMEOUT_S, "the mail was not copied")
            board.phase = "2. A mail program works while the line is cut again and again"
            await _work(scene, board)
            board.phase = "3. The line is up: what waits is done at the server"
            await _wait_for(scene, "settled", SETTLE_TIMEOUT_S, "not everything was done")
            board.phase = "4. Comparing both sides"
            shown = await asyncio.to_thread(_look, await scene.access(), ledger)
            verdict = await judge(ledger, scene.server.source, shown)
        await after(scene, verdict)
        return verdict


async def _work(scene: Stage, board: Board) -> None:
    """Let the mail program work in a thread, and the line be cut meanwhile."""
    access, stop = await scene.access(), threading.Event()
    loop = asyncio.get_running_loop()

    def told(what: str) -> None:
        loop.call_soon_threadsafe(board.tell, "mail program", what)

    def work() -> None:
        program = MailProgram(access, board.ledger, told, stop)
        program.work()
        program.close()

    try:
        async with asyncio.TaskGroup() as tasks:
            cutting = tasks.create_task(_cut(scene, board))
            await asyncio.to_thread(work)
            cutting.cancel()
    finally:
        stop.set()  # Or the thread would go on when this is cancelled.
        scene.line.come_up()
        board.line_state = "up"


async def _cut(scene: Stage, board: Board) -> None:
    """Cut the line in three ways in turn, until cancelled."""
    line = scene.line
    while True:
        await asyncio.sleep(UP_S)
        board.line_state = "cut"
        board.tell("line", "is cut, and nobody can connect")
        line.go_down(Cut.RESET)
        await asyncio.sleep(DOWN_S)
        line.come_up()
        board.line_state = "up"
        board.tell("line", "is up again")
        await asyncio.sleep(2 * UP_S)
        board.tell("line", "breaks for a moment")
        line.cut(Cut.RESET)
        await asyncio.sleep(UP_S)
        board.line_state = "stalled"
        board.tell("line", "stalls: nothing passes")
        line.hold()
        await asyncio.sleep(DOWN_S)
        line.come_up()
        board.line_state = "up"
        board.tell("line", "goes on")


async def _wait_for(scene: Stage, what: str, timeout_s: float, failure: str) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                account = await scene.account_status()
                if account.state == "ready" and not (what == "settled" and account.pending):
                    return
                await asyncio.sleep(LOOK_INTERVAL_S)
    except TimeoutError:
        raise DemoFailed(f"{failure} within {timeout_s:.0f} s") from None


def _look(access: Access, ledger: Ledger) -> Contents:
    program = MailProgram(access, ledger, lambda what: None, threading.Event())
    contents = program.look()
    program.close()
    return contents


@asynccontextmanager
async def _drawn(board: Board, scene: Stage) -> AsyncIterator[None]:
    """Keep the board up to date, and drawn, while the block lasts."""
    with ExitStack() as stack:
        live = None
        if board.live:
            live = stack.enter_context(
                Live(board.picture(), console=board.console, auto_refresh=False)
            )
        async with asyncio.TaskGroup() as tasks:
            drawing = tasks.create_task(_keep_up(board, scene, live))
            yield
            drawing.cancel()


async def _keep_up(board: Board, scene: Stage, live: Live | None) -> None:
    while True:
        board.account = await scene.account_status()
        board.applied = (await _states(scene))["applied"]
        if live is not None:
            live.update(board.picture(), refresh=True)
        await asyncio.sleep(LOOK_INTERVAL_S)


async def _states(scene: Stage) -> Counter[str]:
    """Count the operations of the node's journal by their state."""
    return Counter([line.state async for line in scene.answering.journal(AskJournal())])
