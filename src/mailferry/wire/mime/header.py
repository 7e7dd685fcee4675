"""Header fields as they stand in a message (RFC 5322 §2.2), and choosing among them.

A field is a line and the lines after it that begin with a space or a tab.  A line without a colon
is a field without a name: it is kept where the header is shown and looked at by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

_FOLD_LESS_NEWLINE: Final = re.compile(rb"[\r\n](?![ \t])")
_NEWLINE: Final = re.compile(rb"[\r\n]+")
NUL_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}".encode()  # IMAP strings cannot hold a NUL.


def raw_fields(header: bytes) -> Iterator[bytes]:
    """Yield each field octet for octet, with its line ends; the empty line is not one."""
    start = 0
    length = len(header)
    while start < length:
        end = _line_end(header, start)
        if header[start:end] in (b"\r\n", b"\n"):
            return
        while end < length and header[end] in b" \t":
            end = _line_end(header, end)
        yield header[start:end]
        start = end


def field_name(raw: bytes) -> bytes:
    """Return the name of a raw field in lower case; empty when its first line has no colon."""
    colon = raw.find(b":", 0, _line_end(raw, 0))
    return raw[:colon].rstrip(b" \t").lower() if colon >= 0 else b""


def field_value(raw: bytes) -> bytes:
    """Return the value of a raw field: no CR before LF, no last line end, no white space before it.

    Folds are still there as LF and white space; `unfold` takes them out.  A NUL, which no IMAP
    string can hold, becomes U+FFFD.
    """
    value = raw[raw.find(b":") + 1 :]
    if b"\r\n" in value:
        value = value.replace(b"\r\n", b"\n")
    if value.endswith(b"\n"):
        value = value[:-1]
    if b"\0" in value:
        value = value.replace(b"\0", NUL_REPLACEMENT)
    return value.lstrip(b" \t")


def unfold(value: bytes) -> bytes:
    """Return the value as one line (RFC 5322 §2.2.3); a bare CR or LF becomes a space."""
    if b"\n" not in value and b"\r" not in value:
        return value
    return _NEWLINE.sub(b"", _FOLD_LESS_NEWLINE.sub(b" ", value))


def select_fields(header: bytes, names: Collection[bytes]) -> bytes:
    """Return the fields of those names, then an empty line: HEADER.FIELDS (RFC 9051 §6.4.5.1)."""
    wanted = {name.lower() for name in names}
    return _joined(raw for raw in raw_fields(header) if field_name(raw) in wanted)


def drop_fields(header: bytes, names: Collection[bytes]) -> bytes:
    """Return the fields of other names, then an empty line: HEADER.FIELDS.NOT."""
    unwanted = {name.lower() for name in names}
    return _joined(raw for raw in raw_fields(header) if field_name(raw) not in unwanted)


def _joined(fields: Iterator[bytes]) -> bytes:
    text = b"".join(fields)
    if text and not text.endswith(b"\n"):
        text += b"\r\n"
    return text + b"\r\n"


def _line_end(data: bytes, start: int) -> int:
    end = data.find(b"\n", start)
    return end + 1 if end >= 0 else len(data)
