"""The text of header fields: encoded words (RFC 2047) and parameter values (RFC 2231).

For looking in, never for sending on: a header is always shown as it came.
"""

from __future__ import annotations

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from mailferry.wire.mime.charset import Base64, decode
from mailferry.wire.mime.content import parse_content
from mailferry.wire.mime.header import field_name, field_value, raw_fields, unfold

#   encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
# Spaces in the text are not allowed and common.
_ENCODED_WORD: Final = re.compile(rb"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_WORDS_AND_OTHER: Final = re.compile(rb"(=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)")
_EXTENDED: Final = re.compile(rb"([^']*)'[^']*'(.*)", re.DOTALL)

_WITH_PARAMETERS: Final = frozenset({b"content-type", b"content-disposition"})


def decode_words(value: bytes) -> str:
    """Return the text of an unfolded field value.

    White space between encoded words goes (RFC 2047 §6.2).  Neighbours of one charset are decoded
    together, because some programs cut characters in two.
    """
    if b"=?" not in value:
        return decode(value, "")
    out: list[str] = []
    charset = b""
    octets = b""
    for index, piece in enumerate(_WORDS_AND_OTHER.split(value)):
        word = _ENCODED_WORD.fullmatch(piece) if index % 2 else None
        if word is None:
            if piece.strip():
                out.append(_decoded(octets, charset))
                octets = b""
                out.append(decode(piece, ""))
            elif not octets:
                out.append(decode(piece, ""))
            continue
        if word[1].lower() != charset:
            out.append(_decoded(octets, charset))
            octets = b""
            charset = word[1].lower()
        octets += _undone(word[2], word[3])
    out.append(_decoded(octets, charset))
    return "".join(out)


def decode_parameter(name: bytes, value: bytes) -> str:
    """Return the text of a parameter; a name that ends in "*" has a charset in its value."""
    extended = _EXTENDED.fullmatch(value) if name.endswith(b"*") else None
    if extended is None:
        return decode_words(value)
    return decode(unquote_to_bytes(extended[2]), extended[1].decode("ascii", "replace"))


def field_text(raw: bytes) -> str:
    """Return the text of a raw field's value; parameters with a charset are there decoded too."""
    name = field_name(raw)
    value = field_value(raw)
    text = decode_words(unfold(value))
    if name not in _WITH_PARAMETERS or b"*" not in value:
        return text
    content = parse_content({name: value})
    parameters = (*content.parameters, *content.disposition_parameters)
    extended = (decode_parameter(*pair) for pair in parameters if pair[0].endswith(b"*"))
    return " ".join((text, *extended))


def header_text(header: bytes) -> str:
    """Return the text of a header, a line a field, with the names of the fields."""
    lines: list[str] = []
    for raw in raw_fields(header):
        name = field_name(raw)
        text = field_text(raw) if name else decode(raw, "")
        lines.append(f"{name.decode('ascii', 'replace')}: {text}")
    return "\n".join(lines)


def _undone(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"bB":
        decoder = Base64()
        return decoder.feed(text) + decoder.close()
    return binascii.a2b_qp(text, header=True)


def _decoded(octets: bytes, charset: bytes) -> str:
    return decode(octets, charset.decode("ascii", "replace")) if octets else ""
