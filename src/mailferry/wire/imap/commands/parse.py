"""From a logical line to a typed command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.commands.append import Append, parse_append
from mailferry.wire.imap.commands.fetch import Fetch, parse_fetch
from mailferry.wire.imap.commands.listing import List, Lsub, parse_list, parse_lsub
from mailferry.wire.imap.commands.mailbox import (
    Check,
    Close,
    Create,
    Delete,
    Rename,
    Select,
    Status,
    Subscribe,
    Unselect,
    Unsubscribe,
    parse_create,
    parse_mailbox,
    parse_rename,
    parse_select,
    parse_status,
)
from mailferry.wire.imap.commands.message import (
    Copy,
    Expunge,
    Move,
    Store,
    parse_copy,
    parse_move,
    parse_store,
    parse_uid_expunge,
)
from mailferry.wire.imap.commands.search import (
    SEARCH_CHARSETS,
    Search,
    UnknownCharset,
    parse_search,
)
from mailferry.wire.imap.commands.session import (
    Authenticate,
    Capability,
    Compress,
    Enable,
    Id,
    Idle,
    Login,
    Logout,
    Namespace,
    Noop,
    StartTls,
    parse_authenticate,
    parse_compress,
    parse_enable,
    parse_id,
    parse_login,
)
from mailferry.wire.imap.framing import Literal
from mailferry.wire.imap.scanner import CommandScanner, LiteralNeeded, SyntaxFault

Command: TypeAlias = (
    Append
    | Authenticate
    | Capability
    | Check
    | Close
    | Compress
    | Copy
    | Create
    | Delete
    | Enable
    | Expunge
    | Fetch
    | Id
    | Idle
    | List
    | Login
    | Logout
    | Lsub
    | Move
    | Namespace
    | Noop
    | Rename
    | Search
    | Select
    | StartTls
    | Status
    | Store
    | Subscribe
    | Unselect
    | Unsubscribe
)


class InvalidCommand(RemoteProtocolError):
    """A line that is no command.

    `response` is what RFC 9051 wants to be said about it.
    """

    def __init__(self, tag: str | None, words: str, status: str = "BAD") -> None:
        super().__init__(words)
        self.tag = tag
        """None when not even the tag could be read."""
        self.words = words
        self.status = status
        """BAD, or NO with a response code in `words`."""

    @property
    def response(self) -> bytes:
        """The whole response line; untagged without a tag (RFC 9051 §7.1.3)."""
        return f"{self.tag or '*'} {self.status} {self.words}\r\n".encode("ascii", "replace")


_Parser: TypeAlias = Callable[[CommandScanner], Command]


def _bare(command: Command) -> _Parser:
    return lambda _scanner: command


def _parse_uid(scanner: CommandScanner) -> Command:
    #   uid = "UID" SP (copy / move / fetch / search / store / uid-expunge)
    scanner.space()
    return _named(_UID_PARSERS, scanner.keyword(), "UID ")(scanner)


_PARSERS: Final[Mapping[str, _Parser]] = {
    "APPEND": parse_append,
    "AUTHENTICATE": parse_authenticate,
    "CAPABILITY": _bare(Capability()),
    "CHECK": _bare(Check()),
    "CLOSE": _bare(Close()),
    "COMPRESS": parse_compress,
    "COPY": partial(parse_copy, by_uid=False),
    "CREATE": parse_create,
    "DELETE": lambda scanner: Delete(parse_mailbox(scanner)),
    "ENABLE": parse_enable,
    "EXAMINE": partial(parse_select, read_only=True),
    "EXPUNGE": _bare(Expunge()),
    "FETCH": partial(parse_fetch, by_uid=False),
    "ID": parse_id,
    "IDLE": _bare(Idle()),
    "LIST": parse_list,
    "LOGIN": parse_login,
    "LOGOUT": _bare(Logout()),
    "LSUB": parse_lsub,
    "MOVE": partial(parse_move, by_uid=False),
    "NAMESPACE": _bare(Namespace()),
    "NOOP": _bare(Noop()),
    "RENAME": parse_rename,
    "SEARCH": partial(parse_search, by_uid=False),
    "SELECT": partial(parse_select, read_only=False),
    "STARTTLS": _bare(StartTls()),
    "STATUS": parse_status,
    "STORE": partial(parse_store, by_uid=False),
    "SUBSCRIBE": lambda scanner: Subscribe(parse_mailbox(scanner)),
    "UID": _parse_uid,
    "UNSELECT": _bare(Unselect()),
    "UNSUBSCRIBE": lambda scanner: Unsubscribe(parse_mailbox(scanner)),
}
_UID_PARSERS: Final[Mapping[str, _Parser]] = {
    "COPY": partial(parse_copy, by_uid=True),
    "EXPUNGE": parse_uid_expunge,
    "FETCH": partial(parse_fetch, by_uid=True),
    "MOVE": partial(parse_move, by_uid=True),
    "SEARCH": partial(parse_search, by_uid=True),
    "STORE": partial(parse_store, by_uid=True),
}


def _named(parsers: Mapping[str, _Parser], name: str, prefix: str = "") -> _Parser:
    parser = parsers.get(name)
    if parser is None:
        raise SyntaxFault(f"unknown command {prefix}{name[:40]}")
    return parser


def parse_command(text: bytes, literals: Sequence[Literal] = ()) -> tuple[str, Command]:
    """Return the tag and the command of a logical line.

    Raises:
        InvalidCommand: it is not a command.
        LiteralNeeded: it is one so far, but a string's literal is only announced, not kept.
    """
    #   command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
    tag: str | None = None
    scanner = CommandScanner(text, literals)
    try:
        tag = scanner.tag()
        scanner.space()
        command = _named(_PARSERS, scanner.keyword())(scanner)
        scanner.end()
    except LiteralNeeded:
        raise
    except UnknownCharset as exc:
        known = " ".join(SEARCH_CHARSETS)
        raise InvalidCommand(tag, f"[BADCHARSET ({known})] {exc}", "NO") from exc
    except RemoteProtocolError as exc:
        raise InvalidCommand(tag, str(exc)) from exc
    return tag, command


def parse_tag(text: bytes) -> str | None:
    """Return the tag of a line whose rest is lost; None when there is none."""
    try:
        tag = CommandScanner(text).tag()
    except SyntaxFault:
        return None
    return tag if text[len(tag) : len(tag) + 1] in {b"", b" "} else None
