"""`erase`: remove the mail of an account from this machine."""

from __future__ import annotations

from mailferry.cli.account import AccountName, Yes, confirm
from mailferry.cli.command import Surroundings, about_a_node
from mailferry.cli.terminal import errors
from mailferry.node.accounts import erase_replica, open_accounts


@about_a_node
def erase(node: Surroundings, name: AccountName, yes: Yes = False) -> None:
    """Erase the copy of an account's mail from this machine.

    What waits for the mail server stays and will be done.  A running node, or the next start,
    fetches the mail again; to forget the account for good: [bold]mailferry account remove[/].
    """
    with open_accounts(node.directory, node.environ) as accounts:
        account = accounts.get(name)
    confirm(f"Erase the mail of {account.name} that is copied here?", yes=yes)
    erase_replica(node.directory, account)
    errors.print(
        f"The copy of {account.name} has been erased. The mail at the server is as it was."
    )
