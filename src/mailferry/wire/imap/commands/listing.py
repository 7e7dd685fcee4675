"""LIST and LSUB (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154; RFC 3501 §6.3.9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailferry.wire.imap.commands.mailbox import StatusItem, parse_status_items
from mailferry.wire.imap.scanner import CommandScanner, SyntaxFault


class ListSelection(Enum):
    """Which mailboxes are listed (RFC 9051 §6.3.9.1)."""

    SUBSCRIBED = "SUBSCRIBED"
    REMOTE = "REMOTE"
    RECURSIVE_MATCH = "RECURSIVEMATCH"
    SPECIAL_USE = "SPECIAL-USE"


class ListReturn(Enum):
    """What is told about each (RFC 9051 §6.3.9.2); STATUS also names its items."""

    SUBSCRIBED = "SUBSCRIBED"
    CHILDREN = "CHILDREN"
    SPECIAL_USE = "SPECIAL-USE"
    STATUS = "STATUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """LIST in its plain and extended forms.

    A plain `LIST "" ""` asks for the delimiter (RFC 9051 §6.3.9).
    """

    reference: str
    patterns: tuple[str, ...]
    selection: frozenset[ListSelection] = frozenset()
    returns: frozenset[ListReturn] = frozenset()
    status_items: tuple[StatusItem, ...] = ()
    extended: bool = False
    """Whether any part of the extended syntax was used (RFC 5258 §3)."""


@dataclass(frozen=True, slots=True)
class Lsub:
    """RFC 3501 §6.3.9."""

    reference: str
    pattern: str


def parse_lsub(scanner: CommandScanner) -> Lsub:
    """Read what follows LSUB."""
    #   lsub = "LSUB" SP mailbox SP list-mailbox
    reference = _parse_reference(scanner)
    scanner.space()
    return Lsub(reference, scanner.list_mailbox())


def parse_list(scanner: CommandScanner) -> List:
    """Read what follows LIST."""
    #   list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
    #   list-select-opts = "(" [(*(list-select-opt SP) list-select-base-opt *(SP list-select-opt)) / ...] ")"
    #   mbox-or-pat      = list-mailbox / patterns
    selection: frozenset[ListSelection] | None = None
    if scanner.starts_with(b" ("):
        scanner.space()
        selection = _parse_selection(scanner)
    reference = _parse_reference(scanner)
    scanner.space()
    many = scanner.starts_with(b"(")
    patterns = scanner.parenthesised(scanner.list_mailbox) if many else [scanner.list_mailbox()]
    returns: frozenset[ListReturn] | None = None
    items: tuple[StatusItem, ...] = ()
    if not scanner.at_end:
        scanner.space()
        returns, items = _parse_returns(scanner)
    return List(
        reference=reference,
        patterns=tuple(patterns),
        selection=selection or frozenset(),
        returns=returns or frozenset(),
        status_items=items,
        extended=many or selection is not None or returns is not None,
    )


def _parse_reference(scanner: CommandScanner) -> str:
    scanner.space()
    return scanner.list_mailbox()  # Lenient: "%" in a reference, as Dovecot takes it.


def _parse_selection(scanner: CommandScanner) -> frozenset[ListSelection]:
    options = frozenset(
        scanner.parenthesised_or_empty(lambda: scanner.choice(ListSelection, "a selection option"))
    )
    # "MUST NOT occur as the only selection option (or only with REMOTE)" (RFC 9051 §6.3.9.1).
    recursive = ListSelection.RECURSIVE_MATCH
    if recursive in options and options <= {recursive, ListSelection.REMOTE}:
        raise SyntaxFault("RECURSIVEMATCH needs another selection option")
    return options


def _parse_returns(
    scanner: CommandScanner,
) -> tuple[frozenset[ListReturn], tuple[StatusItem, ...]]:
    items: tuple[StatusItem, ...] = ()

    def option() -> ListReturn:
        nonlocal items
        chosen = scanner.choice(ListReturn, "a return option")
        if chosen is ListReturn.STATUS:
            scanner.space()
            items = parse_status_items(scanner)
        return chosen

    if scanner.keyword() != "RETURN":
        raise SyntaxFault("RETURN was expected")
    scanner.space()
    return frozenset(scanner.parenthesised_or_empty(option)), items
