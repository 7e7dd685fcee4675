"""What to type into a mail program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from mailferry.node.control_messages import ListenerStatus

SECURITY_WORDS: Final = {
    "tls": "SSL/TLS",
    "starttls": "STARTTLS",
    "plain": "none (this machine only)",
}
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def client_settings(
    listeners: Sequence[ListenerStatus], *, login: str, password: str, fingerprint: str | None
) -> Table:
    """Return the settings of one account for mail programs; one column for each listener."""
    table = Table(title="Settings for your mail program", title_justify="left", show_header=False)
    table.add_column(style="bold")
    for _ in listeners:
        table.add_column(overflow="fold")
    table.add_row("Type of server", *("IMAP" for _ in listeners))
    table.add_row("Server", *(shown_host(one.host) for one in listeners))
    table.add_row("Port", *(str(one.port) for one in listeners))
    table.add_row("Security", *(SECURITY_WORDS[one.security] for one in listeners))
    table.add_row("User name", *(login for _ in listeners))
    table.add_row("Password", *(password for _ in listeners))
    if fingerprint:
        protected = [one.security != "plain" for one in listeners]
        shown = in_lines(fingerprint)
        table.add_row("Certificate (SHA-256)", *(shown if yes else "-" for yes in protected))
    return table


def shown_host(host: str) -> str:
    """Return what a mail program on this machine, or elsewhere, calls the listener."""
    return "the address of this machine" if host in _EVERYWHERE else host


def in_lines(fingerprint: str) -> str:
    """Return a fingerprint as mail programs show it, in two lines."""
    pairs = [fingerprint[index : index + 2].upper() for index in range(0, len(fingerprint), 2)]
    half = len(pairs) // 2
    return ":".join(pairs[:half]) + ":\n" + ":".join(pairs[half:])
