"""The Content-* fields of a part as values (RFC 2045, RFC 2183, RFC 3282), read leniently.

Where a field is broken the choices are those of Dovecot, so that a tree made here and one told by a
server agree: an encoding with anything after it counts as absent, a type without a subtype has an
empty one, parameters are read past garbage as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Final

from mailferry.wire.mime.header import unfold
from mailferry.wire.mime.lexer import ATOM, TOKEN, Lexer, Unterminated
from mailferry.wire.mime.part import PLAIN_TEXT, Content, Parameters

CONTENT_FIELDS: Final = frozenset(
    {
        b"content-type",
        b"content-transfer-encoding",
        b"content-id",
        b"content-description",
        b"content-md5",
        b"content-disposition",
        b"content-language",
        b"content-location",
    }
)

#   parameter "*" section [ "*" ]                                    (RFC 2231 §7)
_SECTION: Final = re.compile(rb"([^*]*)\*(\d*)(\*?)")
_SPACE_OR_SEMICOLON: Final = re.compile(rb"[^; \t\r\n]*")
_SECTION_NUMBER_MAX: Final = 10_000  # No header has room for more continuations of one parameter.


def parse_content(fields: Mapping[bytes, bytes]) -> Content:
    """Return what the fields say; `fields` maps names in lower case to values, folds included."""
    if not fields:
        return PLAIN_TEXT
    type_, subtype, parameters = _content_type(fields.get(b"content-type"))
    disposition, disposition_parameters = _disposition(fields.get(b"content-disposition"))
    return Content(
        type=type_,
        subtype=subtype,
        parameters=parameters,
        encoding=_encoding(fields.get(b"content-transfer-encoding")),
        id=_text(fields.get(b"content-id")),
        description=_text(fields.get(b"content-description")),
        md5=_text(fields.get(b"content-md5")),
        disposition=disposition,
        disposition_parameters=disposition_parameters,
        language=_language(fields.get(b"content-language")),
        location=_text(fields.get(b"content-location")),
    )


def _text(value: bytes | None) -> bytes | None:
    return None if value is None else unfold(value)


def _content_type(value: bytes | None) -> tuple[bytes, bytes, Parameters]:
    """Return type, subtype and parameters.

    content := "Content-Type" ":" type "/" subtype *(";" parameter)      (RFC 2045 §5.1)
    """
    if value is None:
        return PLAIN_TEXT.type, PLAIN_TEXT.subtype, ()
    lexer = Lexer(value)
    type_ = subtype = b""
    try:
        lexer.skip()
        type_ = lexer.take(TOKEN)
        lexer.skip()
        if lexer.accept(b"/"):
            lexer.skip()
            subtype = lexer.take(TOKEN)
            lexer.skip()
            return type_, subtype, _parameters(lexer)
    except Unterminated:
        pass
    return type_, subtype, ()


def _disposition(value: bytes | None) -> tuple[bytes | None, Parameters]:
    if value is None:
        return None, ()
    lexer = Lexer(value)
    disposition = b""
    try:
        lexer.skip()
        disposition = lexer.take(TOKEN)
        lexer.skip()
    except Unterminated:
        return disposition, ()
    return disposition, _parameters(lexer)


def _encoding(value: bytes | None) -> bytes:
    if value is None:
        return PLAIN_TEXT.encoding
    lexer = Lexer(value)
    try:
        lexer.skip()
        encoding = lexer.take(TOKEN)
        lexer.skip()
    except Unterminated:
        return PLAIN_TEXT.encoding
    return encoding if encoding and not lexer.next else PLAIN_TEXT.encoding


def _language(value: bytes | None) -> tuple[bytes, ...]:
    """Return the language tags: Content-Language = 1#Language-Tag (RFC 3282 §2)."""
    if value is None:
        return ()
    lexer = Lexer(value)
    languages: list[bytes] = []
    try:
        lexer.skip()
        while tag := lexer.take(ATOM):
            languages.append(tag)
            lexer.skip()
            if not lexer.accept(b","):
                break
            lexer.skip()
    except Unterminated:
        pass
    return tuple(languages)


def _parameters(lexer: Lexer) -> Parameters:
    """Read parameters to the end of the field, past whatever is broken; join continuations."""
    plain: list[tuple[bytes, bytes]] = []
    sections: list[tuple[bytes, int, bool, bytes]] = []
    while lexer.next:
        parameter = _parameter(lexer)
        if parameter is None:
            lexer.position += 1
            continue
        name, value = parameter
        match = _SECTION.fullmatch(name)
        if match is None:
            plain.append(parameter)
        else:
            extended = bool(match[3]) or not match[2]
            number = min(int(match[2][:9] or 0), _SECTION_NUMBER_MAX)
            sections.append((match[1], number, extended, value))
    return (*plain, *_joined(sections))


def _parameter(lexer: Lexer) -> tuple[bytes, bytes] | None:
    """Read ";" name "=" value; None when that is not what stands here."""
    if not lexer.accept(b";"):
        return None
    value = b""
    try:
        lexer.skip()
        name = lexer.take(TOKEN)
        lexer.skip()
        if not lexer.accept(b"="):
            return None
        lexer.skip()
        if lexer.next == b'"':
            value = lexer.quoted_string()
        elif lexer.next == b"=":
            # A raw encoded word: name==?utf-8?b?...?=
            value = lexer.take(_SPACE_OR_SEMICOLON)
        else:
            value = lexer.take(TOKEN)
        lexer.skip()
    except Unterminated:
        return None
    return name, value


def _joined(sections: list[tuple[bytes, int, bool, bytes]]) -> Parameters:
    """Join the sections of each RFC 2231 parameter: name*0, name*1* ... become name or name*.

    When a section is missing, those that are there stay as they were.
    """
    out: list[tuple[bytes, bytes]] = []
    sections.sort(key=lambda section: (section[0], section[1]))
    for _, same_name in groupby(sections, key=lambda section: section[0].lower()):
        group = list(same_name)
        if [number for _, number, _, _ in group] != list(range(len(group))):
            out.extend(_as_written(name, number, ext, v) for name, number, ext, v in group)
            continue
        extended = any(section_extended for _, _, section_extended, _ in group)
        value = b"".join(_escaped(v) if extended and not ext else v for _, _, ext, v in group)
        if extended and not group[0][2]:
            value = b"''" + value  # No charset, no language.
        out.append((group[0][0] + (b"*" if extended else b""), value))
    return tuple(out)


def _as_written(name: bytes, number: int, extended: bool, value: bytes) -> tuple[bytes, bytes]:
    return b"%b*%d%b" % (name, number, b"*" if extended else b""), value


def _escaped(value: bytes) -> bytes:
    return value.replace(b"%", b"%25")
