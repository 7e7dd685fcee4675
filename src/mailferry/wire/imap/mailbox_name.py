"""Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3) and the patterns of LIST.

"~peter/mail/&U,BTFw-/&ZeVnLIqe-"   is   "~peter/mail/台北/日本語"
"""

from __future__ import annotations

import binascii
import re
from enum import Enum
from typing import Final

from mailferry.wire.errors import LocalProtocolError, RemoteProtocolError

NAME_LENGTH_MAX: Final = 4096  # Octets on the wire: Dovecot's limit of a path; a pattern's cost.


class NameQuirk(Enum):
    """A leniency in reading names."""

    STRAY_AMPERSAND = "an ampersand that begins nothing valid stands for itself"
    """Typed by hand, or sent raw by Thunderbird after ENABLE UTF8=ACCEPT."""
    RAW_UTF8 = "octets above 127 are UTF-8, control characters are themselves"
    """Sent by clients that never heard of modified UTF-7, and by Courier with old names."""


STRICT: Final[frozenset[NameQuirk]] = frozenset()
LENIENT: Final = frozenset(NameQuirk)

_SHIFTED: Final = re.compile(rb"&([A-Za-z0-9+,]*)-")
# Everything but printable US-ASCII is shifted.
_TO_SHIFT: Final = re.compile(r"[^\x20-\x7e]+|&")


def decode(name: bytes, quirks: frozenset[NameQuirk] = LENIENT) -> str:
    """Return a name as Unicode.

    Raises:
        RemoteProtocolError: it cannot be read, or is longer than NAME_LENGTH_MAX.
    """
    if len(name) > NAME_LENGTH_MAX:
        raise RemoteProtocolError("the mailbox name is too long")
    parts = []
    position = 0
    while (at := name.find(b"&", position)) >= 0:
        parts.append(_decode_plain(name[position:at], quirks))
        found = _SHIFTED.match(name, at)
        text = _decode_shifted(found[1]) if found else None
        if found is not None and text is not None:
            parts.append(text)
            position = found.end()
        elif NameQuirk.STRAY_AMPERSAND in quirks:
            parts.append("&")
            position = at + 1
        else:
            raise RemoteProtocolError("the mailbox name is not modified UTF-7")
    parts.append(_decode_plain(name[position:], quirks))
    return "".join(parts)


def _decode_plain(octets: bytes, quirks: frozenset[NameQuirk]) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise RemoteProtocolError("the mailbox name is neither modified UTF-7 nor UTF-8") from exc
    if NameQuirk.RAW_UTF8 not in quirks and not (text.isascii() and text.isprintable()):
        raise RemoteProtocolError("the mailbox name is not modified UTF-7")
    return text


def _decode_shifted(base64: bytes) -> str | None:
    """Return the text of a shifted sequence; None when it is not one that anybody may write."""
    if not base64:
        return "&"
    padded = base64.replace(b",", b"/") + b"=" * (-len(base64) % 4)
    try:
        text = binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # There is one way to write each name: padding bits are zero, printable US-ASCII is not shifted.
    return text if _shift(text) == b"&%b-" % base64 and _TO_SHIFT.fullmatch(text) else None


def encode(name: str) -> bytes:
    """Return a Unicode name as modified UTF-7.

    Raises:
        LocalProtocolError: it holds a lone surrogate.
    """
    return _TO_SHIFT.sub(lambda found: _shift(found[0]).decode("ascii"), name).encode("ascii")


def _shift(text: str) -> bytes:
    if text == "&":
        return b"&-"
    try:
        octets = text.encode("utf-16-be")
    except UnicodeEncodeError as exc:
        raise LocalProtocolError("a lone surrogate in a mailbox name") from exc
    base64 = binascii.b2a_base64(octets, newline=False).rstrip(b"=").replace(b"/", b",")
    return b"&%b-" % base64


class ListPattern:
    """A pattern of LIST (RFC 9051 §6.3.9), reference included, on Unicode names.

    "*" matches anything, "%" anything but the delimiter.  INBOX is found in any case.
    """

    def __init__(self, pattern: str, delimiter: str) -> None:
        # "**" means "*"; "%*" and "*%" too.  Fewer wildcards, fewer positions to keep.
        self._pattern: Final = re.sub(r"[*%]*\*[*%]*", "*", re.sub(r"%+", "%", pattern))
        self._delimiter: Final = delimiter

    def matches(self, name: str) -> bool:
        """Whether the whole name matches.  Takes |pattern| x |name| steps at most."""
        pattern = self._pattern
        if pattern == "*":  # What is asked for most.
            return True
        first = name.partition(self._delimiter)[0] if self._delimiter else name
        inbox_end = 5 if first == "INBOX" else 0
        places = self._passed({0})
        for at, character in enumerate(name):
            after = set()
            for place in places:
                if place == len(pattern):
                    continue
                wanted = pattern[place]
                if wanted == "*" or (wanted == "%" and character != self._delimiter):
                    after.add(place)
                elif wanted == character or (at < inbox_end and wanted.upper() == character):
                    after.add(place + 1)
            if not after:
                return False
            places = self._passed(after)
        return len(pattern) in places

    def _passed(self, places: set[int]) -> set[int]:
        """Add the places after wildcards, which may match nothing."""
        passed = set(places)
        for place in places:
            following = place
            while following < len(self._pattern) and self._pattern[following] in "*%":
                following += 1
                passed.add(following)
        return passed
