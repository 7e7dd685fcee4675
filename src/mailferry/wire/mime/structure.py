"""ENVELOPE, BODY and BODYSTRUCTURE in IMAP's own form (RFC 9051 §7.5.2), from "(" to ")"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mailferry.wire.mime.address import Address, parse_addresses
from mailferry.wire.mime.header import unfold
from mailferry.wire.mime.part import Content, Parameters, Part

ENVELOPE_FIELDS: Final = frozenset(
    {
        b"date",
        b"subject",
        b"from",
        b"sender",
        b"reply-to",
        b"to",
        b"cc",
        b"bcc",
        b"in-reply-to",
        b"message-id",
    }
)

#   QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials
_QUOTABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_QUOTED_SPECIAL: Final = re.compile(rb'(["\\])')
_SPACES: Final = re.compile(rb"[ \t]+")
_NEWLINES: Final = re.compile(rb"[\r\n]+")

_DEFAULT_CHARSET: Final = (b"charset", b"us-ascii")  # RFC 2045 §5.2.
_NO_PART: Final = Part(header_start=0, body_start=0, end=0, lines=0)


def envelope(part: Part) -> bytes:
    """Return the ENVELOPE of a message: of the whole, or of one inside a message/rfc822 part.

    A part that is no message has one without any field.
    """
    return part.envelope or make_envelope({})


def body_structure(part: Part) -> bytes:
    """Return the BODYSTRUCTURE of a message, with its extension data."""
    return b"".join(_structure(part, extended=True))


def body(part: Part) -> bytes:
    """Return the BODY of a message: the structure without extension data."""
    return b"".join(_structure(part, extended=False))


def make_envelope(fields: Mapping[bytes, Sequence[bytes]]) -> bytes:
    """Return the ENVELOPE that these fields give.

    `fields` maps names in lower case to values in the order of the header, folds included.  Of
    several fields of one name (RFC 5322 §3.6 allows one) addresses are joined and of others the
    last counts, as at Dovecot.  Sender and Reply-To default to From (RFC 9051 §7.5.2).
    """
    from_ = _addresses(fields.get(b"from", ()))
    items = (
        _nstring(_last(fields.get(b"date", ()))),
        _nstring(_tidied(_last(fields.get(b"subject", ())))),
        from_ or b"NIL",
        _addresses(fields.get(b"sender", ())) or from_ or b"NIL",
        _addresses(fields.get(b"reply-to", ())) or from_ or b"NIL",
        _addresses(fields.get(b"to", ())) or b"NIL",
        _addresses(fields.get(b"cc", ())) or b"NIL",
        _addresses(fields.get(b"bcc", ())) or b"NIL",
        _nstring(_last(fields.get(b"in-reply-to", ()))),
        _nstring(_last(fields.get(b"message-id", ()))),
    )
    return b"(%b)" % b" ".join(items)


def _structure(part: Part, *, extended: bool) -> Iterable[bytes]:
    yield b"("
    if part.content.is_multipart:
        yield from _multipart(part, extended=extended)
    else:
        yield from _single(part, extended=extended)
    yield b")"


def _multipart(part: Part, *, extended: bool) -> Iterable[bytes]:
    """body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]."""
    content = part.content
    # The grammar wants a part where there is none.
    for child in part.parts or (_NO_PART,):
        yield from _structure(child, extended=extended)
    yield b" " + _string(content.subtype)
    if extended:
        yield b" " + _parameters(content.parameters)
        yield from _extension(content)


def _single(part: Part, *, extended: bool) -> Iterable[bytes]:
    """body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]."""
    content = part.content
    parameters = content.parameters
    if content.is_text and content.parameter(b"charset") is None:
        parameters = (*parameters, _DEFAULT_CHARSET)
    yield b" ".join(
        (
            _string(content.type),
            _string(content.subtype),
            _parameters(parameters),
            _nstring(content.id),
            _nstring(content.description),
            _string(content.encoding),
            b"%d" % part.size,
        )
    )
    if content.is_message:
        for child in part.parts:
            yield b" " + envelope(child) + b" "
            yield from _structure(child, extended=extended)
    if content.is_message or content.is_text:
        yield b" %d" % part.lines
    if extended:
        yield b" " + _nstring(content.md5)
        yield from _extension(content)


def _extension(content: Content) -> Iterable[bytes]:
    """Yield body-fld-dsp, body-fld-lang and body-fld-loc."""
    if content.disposition is None:
        yield b" NIL"
    else:
        parameters = _parameters(content.disposition_parameters)
        yield b" (%b %b)" % (_string(content.disposition), parameters)
    if content.language:
        yield b" (%b)" % b" ".join(map(_string, content.language))
    else:
        yield b" NIL"
    yield b" " + _nstring(content.location)


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join(_string(word) for pair in parameters for word in pair)


def _addresses(values: Sequence[bytes]) -> bytes:
    """Return the addresses as a parenthesised list; empty when there are none."""
    addresses = [address for value in values for address in parse_addresses(value)]
    return b"(%b)" % b"".join(map(_address, addresses)) if addresses else b""


def _address(address: Address) -> bytes:
    return b"(%b %b %b %b)" % (
        _nstring(_tidied(address.name)),
        _nstring(address.route),
        _nstring(address.mailbox),
        _nstring(address.host),
    )


def _last(values: Sequence[bytes]) -> bytes | None:
    return unfold(values[-1]) if values else None


def _tidied(value: bytes | None) -> bytes | None:
    """Return text for people: line ends out, runs of white space as one space."""
    if value is None:
        return None
    return _SPACES.sub(b" ", _NEWLINES.sub(b"", value)).strip(b" ")


def _nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else _string(value)


def _string(value: bytes) -> bytes:
    """Return a quoted string, or a literal where the octets do not allow one."""
    if not _QUOTABLE.fullmatch(value):
        return b"{%d}\r\n%b" % (len(value), value)
    return b'"%b"' % _QUOTED_SPECIAL.sub(rb"\\\1", value)
