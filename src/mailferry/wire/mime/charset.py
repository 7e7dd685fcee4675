"""Octets of mail as text: transfer encodings and charsets, in pieces, never failing.

Labels are read as mail programs use them rather than as their standards have it: Shift_JIS as
Microsoft's code page 932, ISO-8859-1 as 1252, and so on.  Text without a label, or with "us-ascii"
or an unknown one, is ISO-2022-JP when it has an escape (old Japanese mail) and UTF-8 otherwise.
What cannot be decoded becomes U+FFFD.
"""

from __future__ import annotations

import binascii
import codecs
import re
from typing import Final, Protocol

_UNDECLARED: Final = frozenset({"", "us-ascii", "ascii", "unknown-8bit", "x-unknown"})
_ISO_2022_JP: Final = "iso2022_jp_ext"
_IN_USE: Final = {
    "iso-2022-jp": _ISO_2022_JP,  # With half-width katakana, as many programs send.
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "cp950",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "unicode-1-1-utf-7": "utf-7",
}
# Python knows these as text, but no mail is written in them, and they can be slow or fail.
_NOT_FOR_MAIL: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
)

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64: Final = bytes(set(range(256)) - set(_BASE64))
_NO_ESCAPE: Final = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")


class TransferDecoder(Protocol):
    """Undoes a Content-Transfer-Encoding (RFC 2045 §6)."""

    def feed(self, octets: bytes) -> bytes:
        """Return what is certain so far."""
        ...

    def close(self) -> bytes:
        """Return the rest."""
        ...


class Identity:
    """7bit, 8bit, binary, and whatever nobody knows."""

    def feed(self, octets: bytes) -> bytes:
        """Return the octets."""
        return octets

    def close(self) -> bytes:
        """Return nothing: nothing was held back."""
        return b""


class Base64:
    """Base64 (RFC 2045 §6.8); what is not of its alphabet is passed over."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        """Decode whole groups of four."""
        *ended, last = (self._held + octets.translate(None, _NOT_BASE64)).split(b"=")
        whole = len(last) - len(last) % 4
        self._held = last[whole:]
        return b"".join(map(_ended_base64, ended)) + binascii.a2b_base64(last[:whole])

    def close(self) -> bytes:
        """Decode a last group, whose padding may be missing."""
        return _ended_base64(self._held)


class QuotedPrintable:
    """Quoted-printable (RFC 2045 §6.7); what is no escape stands for itself."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        """Decode up to an escape that is not here as a whole."""
        octets = self._held + octets
        cut = octets.find(b"=", max(0, len(octets) - 2))
        if cut < 0:
            cut = len(octets)
        self._held = octets[cut:]
        return _unquoted(octets[:cut])

    def close(self) -> bytes:
        """Decode the rest."""
        return _unquoted(self._held)


class TextDecoder:
    """Makes text of octets in one charset."""

    def __init__(self, charset: str) -> None:
        """Take a charset as it is labelled in mail."""
        self._codec = codec_name(charset)
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, octets: bytes) -> str:
        """Return what is certain so far."""
        if self._decoder is None:
            if not self._codec and octets.isascii() and b"\x1b" not in octets:
                return octets.decode("ascii")
            codec = self._codec or undeclared_codec(octets)
            self._decoder = codecs.getincrementaldecoder(codec)("replace")
        try:
            return self._decoder.decode(octets)
        except UnicodeError:
            # UTF-16 or UTF-32 without its byte order mark is big-endian (RFC 2781 §4.3).
            held, _ = self._decoder.getstate()
            self._decoder = codecs.getincrementaldecoder(f"{self._codec}-be")("replace")
            return self._decoder.decode(held + octets)

    def close(self) -> str:
        """Return the rest."""
        return self._decoder.decode(b"", final=True) if self._decoder else ""


def transfer_decoder(encoding: bytes) -> TransferDecoder:
    """Return a decoder for a Content-Transfer-Encoding."""
    match encoding.lower():
        case b"base64":
            return Base64()
        case b"quoted-printable":
            return QuotedPrintable()
        case _:
            return Identity()


def codec_name(charset: str) -> str:
    """Return the codec for a charset as mail labels it; empty when the label says nothing."""
    label = charset.strip().lower()
    if label in _UNDECLARED:
        return ""
    try:
        name = codecs.lookup(_IN_USE.get(label, label)).name
        b"x".decode(name, "replace")  # Refuses codecs that are not for text, such as "base64".
    except (LookupError, ValueError):
        return ""
    return "" if name.replace("-", "_") in _NOT_FOR_MAIL else name


def undeclared_codec(octets: bytes) -> str:
    """Return the codec for text whose charset nobody told, by a sample of it."""
    return _ISO_2022_JP if b"\x1b" in octets else "utf-8"


def decode(octets: bytes, charset: str) -> str:
    """Return octets that are here as a whole as text."""
    decoder = TextDecoder(charset)
    return decoder.feed(octets) + decoder.close()


def _ended_base64(group: bytes) -> bytes:
    """Decode base64 that ends here; a lone last character says nothing."""
    group = group[: len(group) - (len(group) % 4 == 1)]
    return binascii.a2b_base64(group + b"=" * (-len(group) % 4))


def _unquoted(octets: bytes) -> bytes:
    return binascii.a2b_qp(_NO_ESCAPE.sub(b"=3D", octets))
