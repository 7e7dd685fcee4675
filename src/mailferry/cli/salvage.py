"""`salvage`: a new journal out of a damaged one."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from mailferry.cli.account import Yes
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.terminal import errors, output
from mailferry.mail.errors import StorageDamaged
from mailferry.node.accounts import open_accounts
from mailferry.node.salvage import SalvageReport, salvage

_NAMES = {
    "account": "Accounts",
    "mailbox": "Mailboxes known",
    "message": "Messages known",
    "operation": "Operations",
    "blob": "Mail waiting to be filed at a server",
}


@about_a_node
def salvage_journal(node: Surroundings, force: Yes = False) -> None:
    """Make a new journal with everything that can be read in a damaged one.

    Stop the node first.  A journal that is whole is left alone, unless --yes.  The damaged file
    stays beside the new one.  What is lost: messages may get new UIDs, so mail programs load them
    again; operations that cannot be read are not carried out; mail that is here only is written
    into files.
    """
    directory = node.directory
    with directory.locked():
        if not force and _is_whole(node):
            errors.print(f"{directory.journal} is whole: there is nothing to salvage.")
            return
        report = salvage(directory.journal)
    _tell(report)


def _is_whole(node: Surroundings) -> bool:
    try:
        with open_accounts(node.directory, node.environ) as accounts:
            return not accounts.damage()
    except StorageDamaged:
        return False


def _tell(report: SalvageReport) -> None:
    table = Table("Salvaged", "How many", "Damage met")
    for one in report.tables:
        if one.table in _NAMES:
            damage = "no" if one.complete else "[red]yes: some may be lost[/]"
            table.add_row(_NAMES[one.table], f"{one.rows:,}", damage)
    output.print(table)
    for path in report.messages:
        errors.print(f"Mail that nothing would have brought to a server: {escape(str(path))}")
    errors.print(f"The damaged file is kept: {escape(str(report.damaged))}")
    errors.print("Start the node again with: [bold]mailferry run[/]")
