"""FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 7162 §3.1.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeAlias

from mailferry.wire.imap import serialize
from mailferry.wire.imap.commands.message import parse_messages
from mailferry.wire.imap.scanner import CommandScanner, SyntaxFault
from mailferry.wire.imap.sequence_set import SequenceSet

PART_DEPTH_MAX: Final = 100  # "1.1.1...": deeper than any scanner of MIME goes.


class FetchAttribute(Enum):
    """What is fetched under its own name."""

    ENVELOPE = "ENVELOPE"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    RFC822_SIZE = "RFC822.SIZE"
    BODY = "BODY"
    """BODYSTRUCTURE without its extension data."""
    BODYSTRUCTURE = "BODYSTRUCTURE"
    UID = "UID"
    MODSEQ = "MODSEQ"
    EMAILID = "EMAILID"
    THREADID = "THREADID"


class SectionText(Enum):
    """Which part of a part."""

    ALL = ""
    HEADER = "HEADER"
    HEADER_FIELDS = "HEADER.FIELDS"
    HEADER_FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class BodySection:
    """BODY[...], BODY.PEEK[...], and RFC822 and its kin, which are older names for the same."""

    part: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    """Names of header fields, as the client wrote them; the answer repeats them."""
    partial: tuple[int, int] | None = None
    """The first octet and how many at most."""
    peek: bool = False
    """Does not set the flag Seen."""
    older_name: str = ""
    """RFC822, RFC822.HEADER or RFC822.TEXT when it was asked for by that name."""

    @property
    def specifier(self) -> str:
        """The section as RFC 9051 §6.4.5 writes it, without field names: "1.2.MIME"."""
        words = [str(number) for number in self.part]
        if self.text is not SectionText.ALL:
            words.append(self.text.value)
        return ".".join(words)

    def response_name(self) -> bytes:
        """Return the name of the item in a FETCH response: b"BODY[HEADER.FIELDS (DATE)]<0>"."""
        if self.older_name:
            return self.older_name.encode()
        fields = b""
        if self.fields:
            fields = b" " + serialize.parenthesised(map(serialize.astring, self.fields))
        origin = b"" if self.partial is None else b"<%d>" % self.partial[0]
        return b"BODY[%b%b]%b" % (self.specifier.encode(), fields, origin)


FetchItem: TypeAlias = FetchAttribute | BodySection


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """FETCH or UID FETCH; the items in the order asked, each once."""

    messages: SequenceSet
    by_uid: bool
    items: tuple[FetchItem, ...]
    changed_since: int | None = None
    vanished: bool = False


_FAST: Final = (FetchAttribute.FLAGS, FetchAttribute.INTERNALDATE, FetchAttribute.RFC822_SIZE)
_MACROS: Final[dict[str, tuple[FetchItem, ...]]] = {
    "FAST": _FAST,
    "ALL": (*_FAST, FetchAttribute.ENVELOPE),
    "FULL": (*_FAST, FetchAttribute.ENVELOPE, FetchAttribute.BODY),
}
_OLDER: Final = {
    "RFC822": BodySection(older_name="RFC822"),
    "RFC822.HEADER": BodySection(text=SectionText.HEADER, peek=True, older_name="RFC822.HEADER"),
    "RFC822.TEXT": BodySection(text=SectionText.TEXT, older_name="RFC822.TEXT"),
}
_WITH_FIELDS: Final = {SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}


def parse_fetch(scanner: CommandScanner, *, by_uid: bool) -> Fetch:
    """Read what follows FETCH."""
    #   fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att /
    #           "(" fetch-att *(SP fetch-att) ")") [fetch-modifiers]             (RFC 4466 §6)
    messages = parse_messages(scanner)
    scanner.space()
    items: tuple[FetchItem, ...]
    if scanner.starts_with(b"("):
        items = tuple(scanner.parenthesised(lambda: _parse_item(scanner, scanner.dotted())))
    else:
        name = scanner.dotted()
        items = _MACROS.get(name) or (_parse_item(scanner, name),)
    fetch = Fetch(messages=messages, by_uid=by_uid, items=tuple(dict.fromkeys(items)))
    return fetch if scanner.at_end else _parse_modifiers(scanner, fetch)


def _parse_modifiers(scanner: CommandScanner, fetch: Fetch) -> Fetch:
    #   fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"         (RFC 4466 §6)
    changed_since: int | None = None
    vanished = False

    def modifier() -> None:
        nonlocal changed_since, vanished
        match scanner.keyword():
            case "CHANGEDSINCE":
                scanner.space()
                # 0 is not in the grammar; iOS sends it and means "all".
                changed_since = scanner.number64()
            case "VANISHED":
                vanished = True
            case word:
                raise SyntaxFault(f"a modifier is unknown: {word[:40]}")

    scanner.space()
    scanner.parenthesised(modifier)
    if vanished and (changed_since is None or not fetch.by_uid):
        raise SyntaxFault("VANISHED needs UID FETCH and CHANGEDSINCE")  # RFC 7162 §3.2.6.
    return replace(fetch, changed_since=changed_since, vanished=vanished)


def _parse_item(scanner: CommandScanner, name: str) -> FetchItem:
    #   fetch-att = "ENVELOPE" / ... / "BODY" section ["<" number "." nz-number ">"] /
    #               "BODY.PEEK" section ["<" number "." nz-number ">"]
    if scanner.starts_with(b"[") and name in {"BODY", "BODY.PEEK"}:
        section = _parse_section(scanner)
        return replace(section, partial=_parse_partial(scanner), peek=name == "BODY.PEEK")
    if name in _OLDER:
        return _OLDER[name]
    try:
        return FetchAttribute(name)
    except ValueError:
        raise SyntaxFault(f"an item is unknown: {name[:40]}") from None


def _parse_section(scanner: CommandScanner) -> BodySection:
    #   section      = "[" [section-spec] "]"
    #   section-spec = section-msgtext / (section-part ["." section-text])
    scanner.expect(b"[")
    if scanner.take(b"]"):
        return BodySection()
    part, text = _parse_specifier(scanner.dotted())
    fields: tuple[bytes, ...] = ()
    if text in _WITH_FIELDS:
        scanner.space()
        fields = tuple(scanner.parenthesised(scanner.astring))
        if b"" in fields:
            raise SyntaxFault("a header field without a name")
    scanner.expect(b"]")
    return BodySection(part, text, fields)


def _parse_specifier(specifier: str) -> tuple[tuple[int, ...], SectionText]:
    words = specifier.split(".")
    count = 0
    while count < len(words) and words[count].isdigit():
        count += 1
    if count > PART_DEPTH_MAX or any(len(word) > 9 or word[0] == "0" for word in words[:count]):
        raise SyntaxFault("no such part")
    if "" in words:
        raise SyntaxFault("a dot too many in a section")
    try:
        text = SectionText(".".join(words[count:]))
    except ValueError:
        raise SyntaxFault(f"a section is unknown: {specifier[:40]}") from None
    # "MIME" is about a part: "[MIME]" alone does not exist.
    if (text is SectionText.MIME and not count) or (text is SectionText.ALL and not count):
        raise SyntaxFault("a section is unknown")
    return tuple(map(int, words[:count])), text


def _parse_partial(scanner: CommandScanner) -> tuple[int, int] | None:
    if not scanner.take(b"<"):
        return None
    first = scanner.number64()
    scanner.expect(b".")
    length = scanner.number64()
    if not length:
        raise SyntaxFault("0 is not allowed here")
    scanner.expect(b">")
    return first, length
