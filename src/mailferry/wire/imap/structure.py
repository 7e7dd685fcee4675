"""ENVELOPE and BODYSTRUCTURE as a server sent them, written again in the one canonical form.

They travel through mailferry as octets in IMAP's own form (RFC 9051 §7.5.2) and are shown to mail
programs as they are, so what servers send wrongly is mended here, once:

- strings that came as atoms or numbers are quoted; superfluous spaces go;
- NIL where the grammar wants a string becomes an empty one (encoding: "7BIT");
- missing or negative numbers become 0; address lists that are not ones become NIL.

What cannot be mended gives None: then the message's own parse has to serve.
"""

from __future__ import annotations

from typing import Final

from mailferry.wire.imap.quirks import Quirk, QuirkLog
from mailferry.wire.imap.serialize import nstring, string
from mailferry.wire.imap.tokens import Value

_ENVELOPE_LENGTH: Final = 10
_ADDRESS_LENGTH: Final = 4
_FIRST_ADDRESSES, _LAST_ADDRESSES = 2, 7  # env-from .. env-bcc
_BASIC_LENGTH: Final = 7  # type, subtype, parameters, id, description, encoding, octets
_EXTENSION_LENGTH_MAX: Final = 16  # The grammar has 4; whatever follows is for the future.


def canonical_envelope(value: Value, quirks: QuirkLog) -> bytes | None:
    """Return an ENVELOPE from "(" to ")", None where it is not one.

    #   envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to
    #              SP env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")"
    """
    if not isinstance(value, list) or len(value) != _ENVELOPE_LENGTH:
        return None
    fields = [
        _addresses(field, quirks)
        if _FIRST_ADDRESSES <= index <= _LAST_ADDRESSES
        else nstring(_octets(field))
        for index, field in enumerate(value)
    ]
    return b"(%b)" % b" ".join(fields)


def canonical_body_structure(value: Value, quirks: QuirkLog) -> bytes | None:
    """Return a BODYSTRUCTURE (or BODY) from "(" to ")", None where it is not one.

    #   body = "(" (body-type-1part / body-type-mpart) ")"
    """
    if not isinstance(value, list) or not value:
        return None
    if isinstance(value[0], list):
        return _multipart(value, quirks)
    return _single_part(value, quirks)


def _addresses(value: Value, quirks: QuirkLog) -> bytes:
    """`NIL / "(" 1*address ")"`, the addresses without a space between them."""
    if not isinstance(value, list):
        if value is not None:
            quirks.note(Quirk.WRONG_ENVELOPE)
        return b"NIL"
    addresses = [
        b"(%b)" % b" ".join(nstring(_octets(field)) for field in address)
        for address in value
        if isinstance(address, list) and len(address) == _ADDRESS_LENGTH
    ]
    if len(addresses) != len(value):
        quirks.note(Quirk.WRONG_ENVELOPE)
    return b"(%b)" % b"".join(addresses) if addresses else b"NIL"


def _multipart(value: list[Value], quirks: QuirkLog) -> bytes | None:
    """`1*body SP media-subtype [SP body-ext-mpart]`."""
    count = next((n for n, part in enumerate(value) if not isinstance(part, list)), len(value))
    parts = [canonical_body_structure(part, quirks) for part in value[:count]]
    if count == len(value) or None in parts:
        return None
    rest = [_string(value[count])]
    rest += _extension(value[count + 1 :])
    return b"(%b %b)" % (b"".join(part for part in parts if part is not None), b" ".join(rest))


def _single_part(value: list[Value], quirks: QuirkLog) -> bytes | None:
    """`body-type-basic / body-type-msg / body-type-text`, then `body-ext-1part`."""
    if len(value) < _BASIC_LENGTH:
        return None
    media_type, subtype, parameters, part_id, description, encoding, octets = value[:_BASIC_LENGTH]
    if encoding is None:
        quirks.note(Quirk.NIL_ENCODING)
    fields = [
        _string(media_type),
        _string(subtype),
        _any(parameters) if isinstance(parameters, list) else b"NIL",
        nstring(_octets(part_id)),
        nstring(_octets(description)),
        string(b"7BIT") if encoding is None else _string(encoding),
        _number(octets, quirks),
    ]
    rest = value[_BASIC_LENGTH:]
    kind = (_octets(media_type) or b"").lower()
    if kind == b"text":
        fields.append(_number(rest[0] if rest else None, quirks))
        rest = rest[1:]
    elif kind == b"message" and len(rest) >= 3 and isinstance(rest[0], list):
        envelope = canonical_envelope(rest[0], quirks)
        body = canonical_body_structure(rest[1], quirks)
        if envelope is None or body is None:
            return None
        fields += [envelope, body, _number(rest[2], quirks)]
        rest = rest[3:]
    return b"(%b)" % b" ".join(fields + _extension(rest))


def _extension(values: list[Value]) -> list[bytes]:
    return [_any(value) for value in values[:_EXTENSION_LENGTH_MAX]]


def _any(value: Value) -> bytes:
    """`body-extension`: a number, a string, NIL, or a list of those."""
    if isinstance(value, list):
        return b"(%b)" % b" ".join(map(_any, value)) if value else b"NIL"
    if isinstance(value, int):
        return b"%d" % value
    return nstring(_octets(value))


def _octets(value: Value) -> bytes | None:
    """A string, whatever it came as; a literal that was too long to keep is NIL."""
    if isinstance(value, int):
        return b"%d" % value
    return value if isinstance(value, bytes) else None


def _string(value: Value) -> bytes:
    return string(_octets(value) or b"")


def _number(value: Value, quirks: QuirkLog) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    quirks.note(Quirk.NOT_A_NUMBER)
    return b"0"
