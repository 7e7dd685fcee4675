"""Lines of a server into responses (RFC 9051 §9, `response`).

Strict about what keeps the stream and the commands in step (tags, status, numbers of messages);
lenient, by named quirks, about all else: one unreadable response is left out, not the session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.fetch_parser import FETCH_FLAGS_ONLY, fetch_from_flags_only, parse_fetch
from mailferry.wire.imap.framing import Line, Literal
from mailferry.wire.imap.quirks import Quirk, QuirkLog
from mailferry.wire.imap.responses import (
    Capabilities,
    Continuation,
    Enabled,
    Exists,
    Expunged,
    ExtendedSearch,
    Flags,
    ListEntry,
    MailboxStatusItems,
    Namespace,
    Namespaces,
    Other,
    Recent,
    Response,
    ResponseCode,
    Search,
    ServerId,
    Status,
    StatusKind,
    Tagged,
    Untagged,
    Vanished,
)
from mailferry.wire.imap.sequence_set import Ranges, parse_ranges
from mailferry.wire.imap.tokens import Value, tokenize

RANGES_MAX: Final = 1_000_000  # In one set: a mailbox of two million with every second one gone.

#   resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text
_STATUS: Final = re.compile(rb"(OK|NO|BAD|BYE|PREAUTH)(?: (.*))?\Z", re.IGNORECASE | re.DOTALL)
#   resp-text = ["[" resp-text-code "]" SP] text
_CODE: Final = re.compile(
    rb'\[([A-Za-z0-9!-/:;<>?^_`|~.+-]+)(?: ((?:[^\]"]|"(?:[^"\\]|\\.)*")*))?\](?: ?)(.*)\Z',
    re.DOTALL,
)
_NUMBERED: Final = re.compile(rb"\* ([0-9]{1,10}) ([A-Za-z]+)(?: |\Z)")
_NAMED: Final = re.compile(rb"\* ([A-Za-z0-9.-]+)(?: |\Z)")


class ResponseParser:
    """Makes responses from lines and remembers the faults it met."""

    def __init__(self) -> None:
        self.quirks = QuirkLog()

    def parse(self, line: Line) -> Response:
        """Return the response that `line` is.

        Raises:
            RemoteProtocolError: it is no response at all.
        """
        text = line.text
        if text.startswith(b"* "):
            return self._untagged(line)
        if text.startswith(b"+"):
            if not text.startswith(b"+ "):
                self.quirks.note(Quirk.EMPTY_CONTINUATION)
            return Continuation(text[1:].strip(b" "))
        tag, _, rest = text.partition(b" ")
        status = self._status(rest, line.literals)
        if not tag or status is None:
            raise RemoteProtocolError("a line that is no response")
        return Tagged(tag, status)

    def _untagged(self, line: Line) -> Untagged:
        text, literals = line
        if not literals and (flags_only := FETCH_FLAGS_ONLY.fullmatch(text)):
            return fetch_from_flags_only(flags_only)
        status = self._status(text[2:], literals)
        if status is not None:
            return status
        if b'"' not in text and (text.endswith(b" ") or b"  " in text):
            self.quirks.note(Quirk.SUPERFLUOUS_SPACE)
        try:
            if numbered := _NUMBERED.match(text):
                return self._numbered(int(numbered[1]), numbered[2].upper(), line, numbered.end())
            if named := _NAMED.match(text):
                return self._named(named[1].upper(), line, named.end())
        except (RemoteProtocolError, _Unreadable):
            self.quirks.note(Quirk.UNREADABLE_RESPONSE)
        return Other(text[2:40].partition(b" ")[0].decode("ascii", "replace"))

    def _numbered(self, number: int, name: bytes, line: Line, start: int) -> Untagged:
        match name:
            case b"EXISTS":
                return Exists(number)
            case b"RECENT":
                return Recent(number)
            case b"EXPUNGE":
                return Expunged(number)
            case b"FETCH":
                return parse_fetch(number, tokenize(line.text, line.literals, start), self.quirks)
            case _:
                return Other(name.decode("ascii"))

    def _named(self, name: bytes, line: Line, start: int) -> Untagged:
        reader = _READERS.get(name)
        if reader is None:
            return Other(name.decode("ascii"))
        return reader(tokenize(line.text, line.literals, start), self.quirks)

    def _status(self, text: bytes, literals: Sequence[Literal]) -> Status | None:
        found = _STATUS.match(text)
        if found is None:
            return None
        kind = StatusKind(found[1].decode("ascii").upper())
        code, human = self._code(found[2] or b"", literals)
        if not human:
            self.quirks.note(Quirk.MISSING_TEXT)
        return Status(kind, human.decode("utf-8", "replace"), code)

    def _code(self, text: bytes, literals: Sequence[Literal]) -> tuple[ResponseCode | None, bytes]:
        found = _CODE.match(text)
        if found is None:
            return None, text
        try:
            values = tokenize(found[2] or b"", literals)
        except RemoteProtocolError:
            values = []
        code = ResponseCode(found[1].decode("ascii").upper(), tuple(values))
        if code.name == "HIGHESTMODSEQ" and code.number() == 0:
            self.quirks.note(Quirk.MODSEQ_ZERO)
        return code, found[3]


class _Unreadable(Exception):
    """An untagged response without what it must have."""


# One reader for each untagged response that begins with its name.


def _capability(values: list[Value], _quirks: QuirkLog) -> Untagged:
    return Capabilities(names_of(values))


def _enabled(values: list[Value], _quirks: QuirkLog) -> Untagged:
    return Enabled(names_of(values))


def _list(values: list[Value], _quirks: QuirkLog) -> Untagged:
    return _list_entry(values, lsub=False)


def _lsub(values: list[Value], _quirks: QuirkLog) -> Untagged:
    return _list_entry(values, lsub=True)


def _status_items(values: list[Value], quirks: QuirkLog) -> Untagged:
    if len(values) < 2 or not isinstance(values[1], list):
        raise _Unreadable
    items: dict[str, int | str] = {}
    for name, value in _pairs(values[1]):
        if isinstance(value, list):  # MAILBOXID (RFC 8474 §4.2)
            value = value[0] if len(value) == 1 else None
        if isinstance(value, int):
            items[name] = value
        elif isinstance(value, bytes) and name == "MAILBOXID":
            items[name] = value.decode("ascii", "replace")
        else:
            quirks.note(Quirk.NOT_A_NUMBER)
    return MailboxStatusItems(mailbox_octets(values[0]), items)


def _search(values: list[Value], _quirks: QuirkLog) -> Untagged:
    # A "(MODSEQ n)" at the end (RFC 7162 §3.1.5) says nothing that the sync needs.
    return Search(tuple(value for value in values if isinstance(value, int)))


def _esearch(values: list[Value], _quirks: QuirkLog) -> Untagged:
    tag: bytes | None = None
    rest = list(values)
    if rest and isinstance(rest[0], list):
        tag = next((v for n, v in _pairs(rest.pop(0)) if n == "TAG" and isinstance(v, bytes)), None)
    uid = bool(rest) and rest[0] in (b"UID", b"uid")
    found = dict(_pairs(rest[1:] if uid else rest))

    def number(name: str) -> int | None:
        value = found.get(name)
        return value if isinstance(value, int) else None

    everything = ranges_of(found["ALL"]) if "ALL" in found else ()
    return ExtendedSearch(
        tag=tag,
        uid=uid,
        all=everything,
        min=number("MIN"),
        max=number("MAX"),
        count=number("COUNT"),
    )


def _vanished(values: list[Value], _quirks: QuirkLog) -> Untagged:
    earlier = bool(values) and isinstance(values[0], list)
    return Vanished(ranges_of(values[-1] if values else None), earlier)


def _namespace(values: list[Value], _quirks: QuirkLog) -> Untagged:
    if len(values) != 3:
        raise _Unreadable
    return Namespaces(*(_namespaces(value) for value in values))


def _id(values: list[Value], _quirks: QuirkLog) -> Untagged:
    found = _pairs(values[0]) if values and isinstance(values[0], list) else []
    return ServerId({name.lower(): text_of(value) for name, value in found if value is not None})


def _flags(values: list[Value], _quirks: QuirkLog) -> Untagged:
    return Flags(flags_of(values[0] if values else None))


_READERS: Final[dict[bytes, Callable[[list[Value], QuirkLog], Untagged]]] = {
    b"CAPABILITY": _capability,
    b"ENABLED": _enabled,
    b"LIST": _list,
    b"LSUB": _lsub,
    b"STATUS": _status_items,
    b"SEARCH": _search,
    b"ESEARCH": _esearch,
    b"VANISHED": _vanished,
    b"NAMESPACE": _namespace,
    b"ID": _id,
    b"FLAGS": _flags,
}


def ranges_of(value: Value) -> Ranges:
    """Read a set without "*": `2,4:7`.

    Raises:
        RemoteProtocolError: it is not one, or has too many ranges.
    """
    octets = b"%d" % value if isinstance(value, int) else value
    if not isinstance(octets, bytes) or octets.count(b",") >= RANGES_MAX:
        raise RemoteProtocolError("not a set of numbers")
    return parse_ranges(octets)


def names_of(values: Sequence[Value]) -> frozenset[str]:
    """Read capability names, in upper case."""
    return frozenset(text_of(value).upper() for value in values)


def flags_of(value: Value) -> frozenset[str]:
    """Read a list of flags or attributes."""
    return frozenset(map(text_of, value)) if isinstance(value, list) else frozenset()


def text_of(value: Value) -> str:
    """Read an atom or string as text; what is neither is ""."""
    if isinstance(value, int):
        return str(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def mailbox_octets(value: Value) -> bytes:
    """Read a mailbox name: the tokenizer takes one called 12 or NIL for a value of that kind."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return b"%d" % value
    if value is None:
        return b"NIL"
    raise _Unreadable


def _list_entry(values: list[Value], *, lsub: bool) -> ListEntry:
    if len(values) < 3:
        raise _Unreadable
    attributes, delimiter, name, *extended = values
    old_name = None
    for key, value in _pairs(extended[0]) if extended and isinstance(extended[0], list) else []:
        if key == "OLDNAME" and isinstance(value, list) and value:
            old_name = mailbox_octets(value[0])
    return ListEntry(
        name=mailbox_octets(name),
        delimiter=delimiter if isinstance(delimiter, bytes) and delimiter else None,
        attributes=flags_of(attributes),
        lsub=lsub,
        old_name=old_name,
    )


def _namespaces(value: Value) -> tuple[Namespace, ...]:
    if not isinstance(value, list):
        return ()
    found = []
    for entry in value:
        if isinstance(entry, list) and len(entry) >= 2:
            delimiter = entry[1] if isinstance(entry[1], bytes) and entry[1] else None
            found.append(Namespace(mailbox_octets(entry[0]), delimiter))
    return tuple(found)


def _pairs(values: Value) -> list[tuple[str, Value]]:
    """Names in upper case and their values."""
    if not isinstance(values, list):
        return []
    names = map(text_of, values[::2])
    return [(name.upper(), value) for name, value in zip(names, values[1::2], strict=False)]
