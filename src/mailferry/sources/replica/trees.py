"""Whether our parse of a message is the server's: then sections can be cut from what is here.

What counts is where sections begin and end: types, nesting and sizes of the parts.  Parameters and
such may be written differently.
"""

from __future__ import annotations

from typing import TypeAlias

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.framing import Line, ResponseFramer
from mailferry.wire.imap.tokens import Value, tokenize
from mailferry.wire.mime.part import Part
from mailferry.wire.mime.structure import body_structure

Shape: TypeAlias = tuple[object, ...]

_SIZE: int = 6  # type, subtype, parameters, id, description, encoding, octets
_INNER: int = 8  # ... of a message/rfc822 part: envelope, structure


def agree(ours: Part, theirs: bytes) -> bool:
    """Whether our tree has the parts of the server's BODYSTRUCTURE."""
    mine, other = shape(body_structure(ours)), shape(theirs)
    return mine is not None and mine == other


def shape(structure: bytes) -> Shape | None:
    """Return types, nesting and sizes of a BODYSTRUCTURE; None when it is not one."""
    framer = ResponseFramer()
    framer.feed(b"* " + structure + b"\r\n")
    event = framer.next_event()
    if not isinstance(event, Line):
        return None
    try:
        values = tokenize(event.text, event.literals, 2)
        return _shape(values[0]) if len(values) == 1 else None
    except (RemoteProtocolError, TypeError, IndexError):
        return None


def _shape(value: Value) -> Shape:
    if not isinstance(value, list):
        raise TypeError("a structure is a list")
    if isinstance(value[0], list):
        count = next((at for at, part in enumerate(value) if not isinstance(part, list)), 0)
        return ("multipart", _word(value[count]), *map(_shape, value[:count]))
    kind, subtype = _word(value[0]), _word(value[1])
    if (kind, subtype) == (b"message", b"rfc822") and isinstance(value[_INNER], list):
        return (kind, subtype, value[_SIZE], _shape(value[_INNER]))
    return (kind, subtype, value[_SIZE])


def _word(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("a type is a string")
    return value.lower()
