"""Header fields as they stand in a message (RFC 5322 §2.2), and choosing among them.

A field is a line and the lines after it that begin with a space or a tab.  A line without a colon
is a field without a name: it is kept where the header is shown and looked at by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

_FOLD: Final = re.compile(rb"(?:\r\n|\r|\n)(?=[ \t])")
_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")
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
    """Return the value of a raw field that has a name, as `FieldFinder.find` gives it."""
    return _cleaned(raw[raw.find(b":") + 1 :].removesuffix(b"\n"))


class FieldFinder:
    """Finds the fields of certain names in a header, faster than by looking at all."""

    __slots__ = ("_pattern",)

    def __init__(self, names: Iterable[bytes]) -> None:
        words = b"|".join(map(re.escape, sorted(names)))
        # The line feed in front, rather than an anchor, is what makes the search fast.
        self._pattern = re.compile(rb"\n((?i:" + words + rb"))[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")

    def find(self, header: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield names in lower case and values, in order.

        A value has no white space before it, no last line end and no CR before LF; its folds are
        still there as LF and white space, and `unfold` takes them out.  A NUL, which no IMAP string
        can hold, becomes U+FFFD.
        """
        for match in self._pattern.finditer(b"\n" + header):
            yield match[1].lower(), _cleaned(match[2])


def _cleaned(value: bytes) -> bytes:
    if b"\r" in value:
        value = value.removesuffix(b"\r").replace(b"\r\n", b"\n")
    if b"\0" in value:
        value = value.replace(b"\0", NUL_REPLACEMENT)
    return value.lstrip(b" \t")


def unfold(value: bytes) -> bytes:
    """Return the value as one line (RFC 5322 §2.2.3); a line end that is no fold becomes a space."""
    if b"\n" not in value and b"\r" not in value:
        return value
    return _NEWLINE.sub(b" ", _FOLD.sub(b"", value))


def select_fields(header: bytes, names: Collection[bytes]) -> bytes:
    """Return the fields of those names, then an empty line: HEADER.FIELDS (RFC 9051 §6.4.5.1)."""
    wanted = {name.lower() for name in names}
    fields = b"".join(raw for raw in raw_fields(header) if field_name(raw) in wanted)
    if fields and not fields.endswith(b"\n"):
        fields += b"\r\n"
    return fields + b"\r\n"


def drop_fields(header: bytes, names: Collection[bytes]) -> bytes:
    """Return the rest of the header: HEADER.FIELDS.NOT; with the empty line if there is one."""
    unwanted = {name.lower() for name in names}
    length = 0
    kept: list[bytes] = []
    for raw in raw_fields(header):
        length += len(raw)
        if field_name(raw) not in unwanted:
            kept.append(raw)
    return b"".join(kept) + header[length:]


def _line_end(data: bytes, start: int) -> int:
    end = data.find(b"\n", start)
    return end + 1 if end >= 0 else len(data)
