"""mbsync over a bad line: straight to the mail server, against through a mailferry node.

    .venv/bin/python -m bench.first_sync [--mails 300] [--line geostationary]

See bench/README.md.  Needs what `make test` sets up: Dovecot and mbsync.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.lab import corpus
from tests.lab.dovecot import Dovecot
from tests.lab.dovecot_config import Settings
from tests.system.endpoint import Endpoint
from tests.system.filling import Letter, fill, letters
from tests.system.mbsync import run_mbsync
from tests.system.node_process import NodeProcess

from bench.line import PROFILES, Measured, Meter, metered_line


def chosen(count: int) -> list[Letter]:
    """Return some mails, as many from each mailbox."""
    by_mailbox: dict[tuple[str, ...], list[Letter]] = defaultdict(list)
    for letter in letters():
        by_mailbox[letter.mailbox].append(letter)
    return list(islice(_in_turns(list(by_mailbox.values())), count))


def _in_turns(piles: list[list[Letter]]) -> Iterator[Letter]:
    for number in range(max(map(len, piles))):
        for pile in piles:
            if number < len(pile):
                yield pile[number]


def straight(server: Endpoint, meter: Meter, directory: Path) -> Iterator[tuple[str, Measured]]:
    """Yield what mbsync alone needs."""
    for step in ("straight: first sync", "straight: nothing changed"):
        meter.start()
        run_mbsync(server.through(meter.port), directory)
        yield step, meter.stop()


def through_node(server: Endpoint, meter: Meter, directory: Path) -> Iterator[tuple[str, Measured]]:
    """Yield what the node needs, and mbsync in front of it."""
    with NodeProcess(directory) as node:
        account = node.add_account(server, port=meter.port)
        meter.start()
        node.start()
        account.wait_until_copied()
        yield "node: copies everything", meter.stop()
        for step in ("node: first sync of mbsync", "node: nothing changed"):
            meter.start()
            run_mbsync(account.endpoint, directory)
            yield step, meter.stop()
        node.stop()
        meter.start()
        node.start()
        account.wait_for_state("ready")
        yield "node: started again, nothing changed", meter.stop()


def main() -> None:
    """Run it and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mails", type=int, default=300)
    arguments.add_argument("--line", choices=PROFILES, default="geostationary")
    given = arguments.parse_args()
    mails = chosen(given.mails)
    octets = sum(len(mail.content) for mail in mails)
    table = Table("Step", "Time", "Up", "Down", "Round trips")
    dovecot = Dovecot(Settings(extra="mail_fsync = never"))
    dovecot.start()
    try:
        user = dovecot.new_user()
        server = Endpoint(port=dovecot.port, user=user.name, password=user.password)
        fill(server, mails)
        with (
            metered_line(dovecot.port, PROFILES[given.line]) as meter,
            tempfile.TemporaryDirectory() as one,
            tempfile.TemporaryDirectory() as other,
        ):
            for side in (
                straight(server, meter, Path(one)),
                through_node(server, meter, Path(other)),
            ):
                for step, cost in side:
                    table.add_row(
                        step,
                        f"{cost.seconds:.1f} s",
                        f"{cost.up:,}",
                        f"{cost.down:,}",
                        str(cost.round_trips),
                    )
    finally:
        dovecot.remove()
    console = Console()
    console.print(
        f"{len(mails)} mails of {corpus.description()}, {octets:,} octets; line: {given.line}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
