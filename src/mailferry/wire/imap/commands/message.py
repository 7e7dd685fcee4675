"""Commands that change messages in the selected mailbox (RFC 9051 §6.4.3, §6.4.6-§6.4.9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailferry.wire.imap.scanner import CommandScanner, SyntaxFault
from mailferry.wire.imap.sequence_set import SequenceSet


@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE, or UID EXPUNGE when `uids` is given (RFC 4315 §2.1)."""

    uids: SequenceSet | None = None


class StoreAction(Enum):
    """What STORE does with the flags (RFC 9051 §6.4.6)."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """STORE or UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3)."""

    messages: SequenceSet
    by_uid: bool
    action: StoreAction
    flags: tuple[str, ...]
    silent: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """COPY or UID COPY (RFC 9051 §6.4.7)."""

    messages: SequenceSet
    by_uid: bool
    mailbox: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """MOVE or UID MOVE (RFC 9051 §6.4.8)."""

    messages: SequenceSet
    by_uid: bool
    mailbox: str


def parse_uid_expunge(scanner: CommandScanner) -> Expunge:
    """Read what follows UID EXPUNGE."""
    #   uid-expunge = "UID" SP "EXPUNGE" SP sequence-set
    return Expunge(parse_messages(scanner))


def parse_messages(scanner: CommandScanner) -> SequenceSet:
    """Read the set of messages that follows a command's name."""
    scanner.space()
    return scanner.sequence_set()


def parse_copy(scanner: CommandScanner, *, by_uid: bool) -> Copy:
    """Read what follows COPY."""
    #   copy = "COPY" SP sequence-set SP mailbox
    messages = parse_messages(scanner)
    scanner.space()
    return Copy(messages=messages, by_uid=by_uid, mailbox=scanner.mailbox())


def parse_move(scanner: CommandScanner, *, by_uid: bool) -> Move:
    """Read what follows MOVE."""
    #   move = "MOVE" SP sequence-set SP mailbox
    messages = parse_messages(scanner)
    scanner.space()
    return Move(messages=messages, by_uid=by_uid, mailbox=scanner.mailbox())


def parse_store(scanner: CommandScanner, *, by_uid: bool) -> Store:
    """Read what follows STORE."""
    #   store           = "STORE" SP sequence-set [store-modifiers] SP store-att-flags
    #   store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))
    messages = parse_messages(scanner)
    scanner.space()
    unchanged_since = None
    if scanner.starts_with(b"("):
        unchanged_since = _parse_unchanged_since(scanner)
        scanner.space()
    name = scanner.keyword()
    silent = name.endswith(".SILENT")
    try:
        action = StoreAction(name.removesuffix(".SILENT"))
    except ValueError:
        raise SyntaxFault("FLAGS was expected") from None
    scanner.space()
    if scanner.starts_with(b"("):
        flags = scanner.parenthesised_or_empty(scanner.flag)
    else:
        flags = [scanner.flag()]
        while not scanner.at_end:
            scanner.space()
            flags.append(scanner.flag())
    return Store(
        messages=messages,
        by_uid=by_uid,
        action=action,
        flags=tuple(flags),
        silent=silent,
        unchanged_since=unchanged_since,
    )


def _parse_unchanged_since(scanner: CommandScanner) -> int:
    #   store-modifier = "UNCHANGEDSINCE" SP mod-sequence-valzer                  (RFC 7162 §7)
    scanner.expect(b"(")
    if scanner.keyword() != "UNCHANGEDSINCE":
        raise SyntaxFault("UNCHANGEDSINCE was expected")
    scanner.space()
    modseq = scanner.number64()
    scanner.expect(b")")
    return modseq
