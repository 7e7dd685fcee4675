"""Commands about mailboxes as a whole (RFC 9051 §6.3, §6.4.1, §6.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailferry.wire.imap.scanner import CommandScanner, SyntaxFault
from mailferry.wire.imap.sequence_set import SequenceSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Qresync:
    """What the client remembers of a mailbox (RFC 7162 §3.2.5)."""

    uid_validity: int
    modseq: int
    known_uids: SequenceSet | None = None
    matches: tuple[SequenceSet, SequenceSet] | None = None
    """Some sequence numbers and the UIDs that belonged to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """SELECT, or EXAMINE when `read_only` (RFC 9051 §6.3.2, §6.3.3)."""

    mailbox: str
    read_only: bool
    condstore: bool = False
    qresync: Qresync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """RFC 9051 §6.3.4; `special_uses` as written (RFC 6154 §3)."""

    mailbox: str
    special_uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """RFC 9051 §6.3.5."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RFC 9051 §6.3.6."""

    mailbox: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """RFC 9051 §6.3.7."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """RFC 9051 §6.3.8."""

    mailbox: str


class StatusItem(Enum):
    """What STATUS can be asked for (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 8474 §4.3)."""

    MESSAGES = "MESSAGES"
    RECENT = "RECENT"
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    DELETED = "DELETED"
    SIZE = "SIZE"
    HIGHESTMODSEQ = "HIGHESTMODSEQ"
    MAILBOXID = "MAILBOXID"


@dataclass(frozen=True, slots=True)
class Status:
    """RFC 9051 §6.3.11; the items in the order asked."""

    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """RFC 3501 §6.4.1."""


@dataclass(frozen=True, slots=True)
class Close:
    """RFC 9051 §6.4.1."""


@dataclass(frozen=True, slots=True)
class Unselect:
    """RFC 9051 §6.4.2."""


def parse_mailbox(scanner: CommandScanner) -> str:
    """Read the one mailbox that follows a command's name."""
    scanner.space()
    return scanner.mailbox()


def parse_select(scanner: CommandScanner, *, read_only: bool) -> Select:
    """Read what follows SELECT or EXAMINE."""
    #   select       = "SELECT" SP mailbox [select-params]                        (RFC 4466 §6)
    #   select-params = SP "(" select-param *(SP select-param) ")"
    condstore = False
    qresync = None

    def parameter() -> None:
        nonlocal condstore, qresync
        match scanner.keyword():
            case "CONDSTORE":
                condstore = True
            case "QRESYNC":
                scanner.space()
                qresync = _parse_qresync(scanner)
            case word:
                raise SyntaxFault(f"a parameter is unknown: {word[:40]}")

    mailbox = parse_mailbox(scanner)
    if not scanner.at_end:
        scanner.space()
        scanner.parenthesised(parameter)
    return Select(mailbox=mailbox, read_only=read_only, condstore=condstore, qresync=qresync)


def _parse_qresync(scanner: CommandScanner) -> Qresync:
    #   "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
    #   seq-match-data = "(" known-sequence-set SP known-uid-set ")"
    scanner.expect(b"(")
    uid_validity = scanner.positive_number()
    scanner.space()
    modseq = scanner.number64()
    known_uids = matches = None
    if scanner.starts_with(b" ") and not scanner.starts_with(b" ("):
        scanner.space()
        known_uids = scanner.sequence_set()
    if scanner.take(b" ("):
        numbers = scanner.sequence_set()
        scanner.space()
        matches = (numbers, scanner.sequence_set())
        scanner.expect(b")")
    scanner.expect(b")")
    return Qresync(uid_validity=uid_validity, modseq=modseq, known_uids=known_uids, matches=matches)


def parse_create(scanner: CommandScanner) -> Create:
    """Read what follows CREATE."""
    #   create       = "CREATE" SP mailbox [create-params]                        (RFC 4466 §6)
    #   create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"                 (RFC 6154 §6)
    special_uses: list[str] = []

    def parameter() -> None:
        word = scanner.keyword()
        if word != "USE":
            raise SyntaxFault(f"a parameter is unknown: {word[:40]}")
        scanner.space()
        special_uses.extend(scanner.parenthesised_or_empty(scanner.flag))

    mailbox = parse_mailbox(scanner)
    if not scanner.at_end:
        scanner.space()
        scanner.parenthesised(parameter)
    return Create(mailbox, tuple(special_uses))


def parse_rename(scanner: CommandScanner) -> Rename:
    """Read what follows RENAME."""
    #   rename = "RENAME" SP mailbox SP mailbox
    return Rename(parse_mailbox(scanner), parse_mailbox(scanner))


def parse_status(scanner: CommandScanner) -> Status:
    """Read what follows STATUS."""
    #   status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
    mailbox = parse_mailbox(scanner)
    scanner.space()
    return Status(mailbox, parse_status_items(scanner))


def parse_status_items(scanner: CommandScanner) -> tuple[StatusItem, ...]:
    """Read the items of STATUS or of LIST's STATUS return option, each named once."""
    items = scanner.parenthesised(lambda: scanner.choice(StatusItem, "a status item"))
    return tuple(dict.fromkeys(items))
