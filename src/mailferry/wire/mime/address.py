"""Address lists of header fields (RFC 5322 §3.4), read leniently.

    address-list = address *("," address)
    address      = mailbox / group
    mailbox      = name-addr / addr-spec
    name-addr    = [display-name] "<" [route ":"] addr-spec ">"
    group        = display-name ":" [mailbox-list] ";"

What does not fit is shown rather than hidden, in Dovecot's words: MISSING_MAILBOX, MISSING_DOMAIN,
INVALID_ROUTE, and SYNTAX_ERROR as the domain of an angle address that breaks off.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mailferry.wire.mime.lexer import ATOM, DOTTED, Lexer, Unterminated

MISSING_MAILBOX: Final = b"MISSING_MAILBOX"
MISSING_DOMAIN: Final = b"MISSING_DOMAIN"
INVALID_ROUTE: Final = b"INVALID_ROUTE"
SYNTAX_ERROR: Final = b"SYNTAX_ERROR"


class _Broken(Exception):
    """The grammar does not hold here; the cursor stands where that was seen."""


@dataclass(slots=True)
class Address:
    """One address as an ENVELOPE has it (RFC 9051 §7.5.2).

    A group begins with an address without a host whose mailbox is its name and ends with one
    that has nothing.
    """

    name: bytes | None = None
    route: bytes | None = None
    mailbox: bytes | None = None
    host: bytes | None = None


def parse_addresses(value: bytes) -> list[Address]:
    """Return the addresses of a field, folds and comments included in `value`."""
    lexer = Lexer(value)
    out: list[Address] = []
    if not _skip_to_more(lexer):
        return out
    while True:
        _address(lexer, out)
        if not lexer.accept(b","):
            return out  # The end, or garbage that nobody can make sense of.
        try:
            lexer.skip()
        except Unterminated:
            out.append(_completed(Address()))
            return out
        if not lexer.next:
            return out


def _skip_to_more(lexer: Lexer) -> bool:
    """Go past white space and comments; say whether anything follows."""
    try:
        lexer.skip()
    except Unterminated:
        return False
    return bool(lexer.next)


def _address(lexer: Lexer, out: list[Address]) -> None:
    start = lexer.position
    name = _phrase(lexer)
    if name is not None and lexer.accept(b":"):
        _group(lexer, name, out)
    else:
        lexer.position = start
        out.append(_mailbox(lexer))


def _group(lexer: Lexer, name: bytes, out: list[Address]) -> None:
    out.append(Address(mailbox=name))
    if _skip_to_more(lexer) and lexer.next != b";":
        out.append(_mailbox(lexer))
        while lexer.accept(b",") and _skip_to_more(lexer):
            out.append(_mailbox(lexer))
    if lexer.accept(b";"):
        _skip_to_more(lexer)
    out.append(Address())


def _mailbox(lexer: Lexer) -> Address:
    start = lexer.position
    name = _phrase(lexer)
    if name is not None and lexer.next == b"<":
        address = _angle_address(lexer)
        address.name = name or None
    else:
        lexer.position = start
        address = _bare_address(lexer)
    return _completed(address)


def _completed(address: Address) -> Address:
    """Fill in what is missing, so that nobody takes the address for a group."""
    if address.mailbox is None:
        address.mailbox = MISSING_MAILBOX
    if not address.host:
        address.host = MISSING_DOMAIN
    return address


def _phrase(lexer: Lexer) -> bytes | None:
    """Read words up to something else and join them with spaces; None when nothing else comes.

    The phrase may be empty: "<a@b>" has an empty display name.
    """
    words, ended = _words(lexer)
    return b" ".join(words) if ended else None


def _words(lexer: Lexer) -> tuple[list[bytes], bool]:
    """Read words; say whether something else follows them, rather than nothing or a fault.

    word       = atom / quoted-string
    obs-phrase = word *(word / "." / CFWS)
    """
    words: list[bytes] = []
    if lexer.next == b".":
        return words, False
    try:
        while True:
            words.append(lexer.quoted_string() if lexer.next == b'"' else lexer.take(DOTTED))
            lexer.skip()
            if lexer.next != b'"' and not DOTTED.match(lexer.data, lexer.position):
                return words, bool(lexer.next)
    except Unterminated:
        return words, False


def _angle_address(lexer: Lexer) -> Address:
    """Read "<" [route ":"] [local-part ["@" domain]] ">"."""
    address = Address()
    try:
        lexer.accept(b"<")
        _skip_inside(lexer)
        if lexer.next == b"@":
            address.route = _route(lexer)
            _skip_inside(lexer)
        if lexer.next != b">":
            address.mailbox = _local_part(lexer)
            if lexer.next == b"@":
                address.host = _domain(lexer)
        _close_angle(lexer)
    except (_Broken, Unterminated):
        address.host = SYNTAX_ERROR
    return address


def _close_angle(lexer: Lexer) -> None:
    if not lexer.accept(b">"):
        raise _Broken
    lexer.skip()


def _skip_inside(lexer: Lexer) -> None:
    if not _skip_to_more(lexer):
        raise _Broken


def _route(lexer: Lexer) -> bytes:
    """Read an obsolete route with its colon: "@" domain *("," "@" domain) ":"."""
    hops: list[bytes] = []
    try:
        while lexer.next == b"@":
            hops.append(b"@" + _domain(lexer))
            while lexer.accept(b","):
                _skip_inside(lexer)
    except _Broken:
        return INVALID_ROUTE
    return b",".join(hops) if lexer.accept(b":") else INVALID_ROUTE


def _bare_address(lexer: Lexer) -> Address:
    """Read local-part "@" domain; a comment is taken for the name: "a@b (Name)"."""
    lexer.comment = b""
    start = lexer.position
    address = Address()
    has_domain = False
    try:
        with suppress(_Broken):
            address.mailbox = _local_part(lexer)
        has_domain = lexer.next == b"@"
        if has_domain:
            address.host = _domain(lexer)
    except _Broken:
        pass
    if lexer.comment:
        address.name = lexer.comment
    elif not has_domain:
        _take_for_name(lexer, address, start)
    return address


def _take_for_name(lexer: Lexer, address: Address, start: int) -> None:
    """Decide what words without a domain are: several, or a quoted one, are a name."""
    if address.mailbox is None:
        lexer.position = start
    words, _ = _words(lexer)
    more = b" ".join(words)
    if more:
        address.name = more if address.mailbox is None else address.mailbox + b" " + more
        address.mailbox = None
    elif lexer.data.startswith(b'"', start):
        address.name, address.mailbox = address.mailbox, None


def _local_part(lexer: Lexer) -> bytes:
    """Read local-part = dot-atom / quoted-string, and the white space after it.

    Dots may stand anywhere (".a", "a..b" and "a." are in use); white space may stand before one but
    not after: "John Q. Public" is no local part.
    """
    try:
        if lexer.next == b'"':
            text = lexer.quoted_string()
            lexer.skip()
            return text
        text = lexer.take(DOTTED)
        lexer.skip()
        while text and lexer.next == b".":
            text += lexer.take(DOTTED)
            lexer.skip()
    except Unterminated:
        raise _Broken from None
    if not text or (text.endswith(b".") and lexer.next not in (b"@", b"")):
        raise _Broken
    return text


def _domain(lexer: Lexer) -> bytes:
    """Read "@" and domain = dot-atom / domain-literal, and the white space after it."""
    lexer.accept(b"@")
    _skip_inside(lexer)
    if lexer.next != b"[":
        return _dot_atom(lexer)
    try:
        text = lexer.domain_literal()
        lexer.skip()
    except Unterminated:
        raise _Broken from None
    return text


def _dot_atom(lexer: Lexer) -> bytes:
    """Read atoms joined by dots; white space around the dots, as RFC 5322 allowed, is dropped.

    A dot at the end stays: "example.com." is a name that a server may know.
    """
    text = b""
    try:
        if ATOM.match(lexer.data, lexer.position):
            text = lexer.take(DOTTED)
            lexer.skip()
        while lexer.next == b"." or (
            text.endswith(b".") and ATOM.match(lexer.data, lexer.position)
        ):
            text += lexer.take(DOTTED)
            lexer.skip()
    except Unterminated:
        raise _Broken from None
    if not text or text.startswith(b"."):
        raise _Broken
    return text
