"""What the demonstration shows while it runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mailferry.demo.ledger import Ledger
from mailferry.demo.verdict import Verdict
from mailferry.net.badline import BadLine
from mailferry.node.control_messages import AccountStatus

EVENTS_SHOWN: Final = 12


@dataclass(slots=True)
class Board:
    """What is known at this moment, for the picture."""

    ledger: Ledger
    line: BadLine
    console: Console
    live: bool
    """Whether the picture is drawn again and again; else each event is a line of its own."""
    line_state: str = "up"
    phase: str = "starting"
    account: AccountStatus | None = None
    applied: int = 0
    """Operations done at the server, by the node's journal."""
    events: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))

    def tell(self, who: str, what: str) -> None:
        """Add an event."""
        self.events.append((who, what))
        if not self.live:
            self.console.print(f"[bold]{who}[/] {what}")

    def picture(self) -> Group:
        """Return what is shown now."""
        return Group(self._numbers(), self._events())

    def _numbers(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        account = self.account
        if account is not None:
            listed = f"{account.messages_listed:,} of {account.messages:,} messages listed"
            table.add_row("Copied here", f"{listed}, {account.bodies:,} with their body")
        waiting = account.pending if account is not None else 0
        table.add_row("Mail program", f"asked {self.ledger.asked}, answered {self.ledger.answered}")
        table.add_row("Mail server", f"waiting {waiting}, done there {self.applied}")
        style = "green" if self.line_state == "up" else "bold red"
        moved = f"{_kb(self.line.up.octets)} up, {_kb(self.line.down.octets)} down"
        table.add_row("Line", Text.assemble((self.line_state, style), f", {moved}"))
        return Panel(table, title=self.phase, title_align="left")

    def _events(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for who, what in self.events:
            table.add_row(who, what)
        for _ in range(EVENTS_SHOWN - len(self.events)):
            table.add_row("", "")
        return Panel(table, title="What happens", title_align="left")


def verdict_table(verdict: Verdict) -> Table:
    """Return the verdict as a table."""
    table = Table(title="Verdict", title_justify="left", show_header=False)
    table.add_row("Changes that the mail program asked for", str(verdict.asked))
    table.add_row("Of those, answered with OK", str(verdict.answered))
    table.add_row("Messages at the mail server in the end", str(verdict.at_server))
    for words, count in (
        ("Messages lost", verdict.lost),
        ("Messages doubled, or there though deleted", verdict.doubled),
        ("Messages with other flags", verdict.other_flags),
        ("Messages with another octet in them", verdict.other_content),
        ("Mailboxes too few or too many", verdict.mailboxes_wrong),
        ("Differences between mailferry and the server", verdict.sides_differ),
    ):
        table.add_row(words, f"[bold red]{count}[/]" if count else "[green]0[/]")
    table.add_row("", "[bold green]good[/]" if verdict.good else "[bold red]bad[/]")
    return table


def _kb(octets: int) -> str:
    return f"{octets / 1000:,.0f} kB"
