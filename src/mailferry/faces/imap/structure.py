"""BODY out of BODYSTRUCTURE: the same tree without its extension data (RFC 9051 §7.5.2)."""

from __future__ import annotations

from typing import Final

from mailferry.wire.imap.framing import Line, ResponseFramer
from mailferry.wire.imap.serialize import nstring
from mailferry.wire.imap.tokens import Value, tokenize

_BASIC_LENGTH: Final = 7  # type, subtype, parameters, id, description, encoding, octets


def without_extension(body_structure: bytes) -> bytes:
    """Return the BODY of a BODYSTRUCTURE, both in IMAP's own form."""
    framer = ResponseFramer()
    framer.feed(body_structure + b"\r\n")
    line = framer.next_event()
    if not isinstance(line, Line):
        return body_structure
    [tree] = tokenize(line.text, line.literals)
    return _written(_cut(tree))


def _cut(body: Value) -> Value:
    if not isinstance(body, list) or not body:
        return body
    if isinstance(body[0], list):
        parts = [part for part in body if isinstance(part, list)]
        count = next((n for n, part in enumerate(body) if not isinstance(part, list)), len(parts))
        return [*(_cut(part) for part in body[:count]), *body[count : count + 1]]
    kind, subtype = body[0], body[1]
    if kind == b"NIL" or not isinstance(kind, bytes) or not isinstance(subtype, bytes):
        return body
    if kind.lower() == b"text":
        return body[: _BASIC_LENGTH + 1]
    if kind.lower() == b"message" and subtype.lower() == b"rfc822" and len(body) > 9:
        return [*body[: _BASIC_LENGTH + 1], _cut(body[_BASIC_LENGTH + 1]), body[_BASIC_LENGTH + 2]]
    return body[:_BASIC_LENGTH]


def _written(value: Value) -> bytes:
    if isinstance(value, list):
        # Only the parts of a multipart and the addresses of a list stand without spaces between them.
        count = next((n for n, each in enumerate(value) if not isinstance(each, list)), len(value))
        closed = b"".join(_written(each) for each in value[:count])
        spaced = [_written(each) for each in value[count:]]
        return b"(%b)" % b" ".join([closed, *spaced] if closed else spaced)
    if isinstance(value, int):
        return b"%d" % value
    return nstring(value if isinstance(value, bytes) else None)
