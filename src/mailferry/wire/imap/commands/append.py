"""APPEND, whose messages go by as streams (RFC 9051 §6.3.12, RFC 3502 MULTIAPPEND)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailferry.wire.imap.scanner import CommandScanner


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendedMessage:
    """What comes before a message's data."""

    flags: tuple[str, ...] = ()
    internal_date: datetime | None = None
    length: int


@dataclass(frozen=True, slots=True)
class Append:
    """The whole command; the data of its messages has gone by, in this order."""

    mailbox: str
    messages: tuple[AppendedMessage, ...]


def parse_append(scanner: CommandScanner) -> Append:
    """Read what follows APPEND; the messages' literals were streamed."""
    #   append         = "APPEND" SP mailbox 1*append-message                     (RFC 3502 §6)
    #   append-message = [SP flag-list] [SP date-time] SP literal
    scanner.space()
    mailbox = scanner.mailbox()
    messages = [_parse_message(scanner)]
    while not scanner.at_end:
        messages.append(_parse_message(scanner))
    return Append(mailbox, tuple(messages))


def _parse_message(scanner: CommandScanner) -> AppendedMessage:
    scanner.space()
    flags: Sequence[str] = ()
    internal_date = None
    if scanner.starts_with(b"("):
        flags = scanner.parenthesised_or_empty(scanner.flag)
        scanner.space()
    if scanner.starts_with(b'"'):
        internal_date = scanner.date_time()
        scanner.space()
    return AppendedMessage(
        flags=tuple(flags),
        internal_date=internal_date,
        length=scanner.streamed_literal().length,
    )
