"""SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 7162 §3.1.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final, TypeAlias, TypeVar

from mailferry.wire.imap.scanner import CommandScanner, SyntaxFault
from mailferry.wire.imap.sequence_set import SequenceSet

Argument = TypeVar("Argument")

NESTING_MAX: Final = 100  # "OR a OR b OR c ...": clients look for some dozens of Message-IDs so.

SEARCH_CHARSETS: Final = (
    "US-ASCII", "UTF-8", "ISO-8859-1", "ISO-8859-2", "ISO-8859-5", "ISO-8859-7", "ISO-8859-9",
    "ISO-8859-15", "WINDOWS-1250", "WINDOWS-1251", "WINDOWS-1252", "KOI8-R", "KOI8-U",
    "ISO-2022-JP", "SHIFT_JIS", "EUC-JP", "EUC-KR", "GB2312", "GBK", "GB18030", "BIG5",
)  # fmt: skip
"""A closed list: a client must not choose among all of Python's codecs."""


class UnknownCharset(SyntaxFault):
    """The charset of a SEARCH is none of SEARCH_CHARSETS: to be answered NO [BADCHARSET]."""


class Field(Enum):
    """Which date of a message."""

    INTERNAL_DATE = "the date of arrival"
    SENT_DATE = "the Date field"


class Relation(Enum):
    """How a date compares."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@dataclass(frozen=True, slots=True)
class AllMessages:
    """ALL."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the keys: "(a b)"."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class EitherOf:
    """OR."""

    left: SearchKey
    right: SearchKey


@dataclass(frozen=True, slots=True)
class NotKey:
    """NOT."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class FlagKey:
    r"""ANSWERED, DELETED, ..., KEYWORD: the flag is set (`\Answered`, `\Recent` too)."""

    flag: str


@dataclass(frozen=True, slots=True)
class NumbersKey:
    """A bare set: sequence numbers, also in UID SEARCH."""

    messages: SequenceSet


@dataclass(frozen=True, slots=True)
class UidKey:
    """UID."""

    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """FROM, TO, CC, BCC, SUBJECT and HEADER: the field has the text; "" asks for the field alone."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyKey:
    """BODY."""

    text: str


@dataclass(frozen=True, slots=True)
class TextKey:
    """TEXT: header or body."""

    text: str


@dataclass(frozen=True, slots=True)
class DateKey:
    """BEFORE, ON, SINCE, SENTBEFORE, SENTON, SENTSINCE."""

    field: Field
    relation: Relation
    day: date


@dataclass(frozen=True, slots=True)
class LargerKey:
    """LARGER."""

    octets: int


@dataclass(frozen=True, slots=True)
class SmallerKey:
    """SMALLER."""

    octets: int


@dataclass(frozen=True, slots=True)
class ModseqKey:
    """MODSEQ; the entry that RFC 7162 §3.1.5 lets a client name makes no difference."""

    modseq: int


SearchKey: TypeAlias = (
    AllMessages
    | AllOf
    | EitherOf
    | NotKey
    | FlagKey
    | NumbersKey
    | UidKey
    | HeaderKey
    | BodyKey
    | TextKey
    | DateKey
    | LargerKey
    | SmallerKey
    | ModseqKey
)


class SearchReturn(Enum):
    """What is told about the messages found (RFC 4731 §3.1)."""

    MIN = "MIN"
    MAX = "MAX"
    ALL = "ALL"
    COUNT = "COUNT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """SEARCH or UID SEARCH."""

    by_uid: bool
    key: SearchKey
    returns: frozenset[SearchReturn] | None = None
    """None: answered with SEARCH, as of old; else with ESEARCH ("RETURN ()" asks for ALL)."""


def parse_search(scanner: CommandScanner, *, by_uid: bool) -> Search:
    """Read what follows SEARCH.

    Raises:
        UnknownCharset: a charset that is not one of SEARCH_CHARSETS.
    """
    #   search         = "SEARCH" [search-return-opts] SP search-program
    #   search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
    returns = None
    if scanner.take_keyword(" RETURN"):
        scanner.space()
        options = scanner.parenthesised_or_empty(
            lambda: scanner.choice(SearchReturn, "a return option")
        )
        returns = frozenset(options or [SearchReturn.ALL])
    charset = "UTF-8"  # Without a name US-ASCII is meant; UTF-8 is what comes.
    if scanner.take_keyword(" CHARSET"):
        scanner.space()
        charset = scanner.astring().decode("ascii", "replace").upper()
        if charset not in SEARCH_CHARSETS:
            raise UnknownCharset("the charset is not known here")
    key = _KeyParser(scanner, charset).program()
    return Search(by_uid=by_uid, key=key, returns=returns)


_FLAG_KEYS: Final[Mapping[str, SearchKey]] = {
    "ALL": AllMessages(),
    **{name.upper(): FlagKey(f"\\{name}") for name in ("Answered", "Deleted", "Draft", "Flagged")},
    **{
        f"UN{name.upper()}": NotKey(FlagKey(f"\\{name}"))
        for name in ("Answered", "Deleted", "Draft", "Flagged", "Seen")
    },
    "SEEN": FlagKey("\\Seen"),
    "RECENT": FlagKey("\\Recent"),
    "OLD": NotKey(FlagKey("\\Recent")),
    "NEW": AllOf((FlagKey("\\Recent"), NotKey(FlagKey("\\Seen")))),
}
_FIELD_KEYS: Final = {"BCC": "Bcc", "CC": "Cc", "FROM": "From", "SUBJECT": "Subject", "TO": "To"}
_DATE_KEYS: Final = {
    prefix + relation.value: (field, relation)
    for prefix, field in (("", Field.INTERNAL_DATE), ("SENT", Field.SENT_DATE))
    for relation in Relation
}


class _KeyParser:
    """Reads search keys; knows the charset of their texts and how deep they nest."""

    def __init__(self, scanner: CommandScanner, charset: str) -> None:
        self._scanner = scanner
        self._charset = charset
        self._depth = 0
        self._words: Mapping[str, Callable[[], SearchKey]] = {
            "NOT": lambda: NotKey(self._argument(self._key)),
            "OR": lambda: EitherOf(self._argument(self._key), self._argument(self._key)),
            "UID": lambda: UidKey(self._argument(scanner.sequence_set)),
            "KEYWORD": lambda: FlagKey(self._argument(scanner.flag)),
            "UNKEYWORD": lambda: NotKey(FlagKey(self._argument(scanner.flag))),
            "HEADER": lambda: HeaderKey(self._field_name(), self._text()),
            "BODY": lambda: BodyKey(self._text()),
            "TEXT": lambda: TextKey(self._text()),
            "LARGER": lambda: LargerKey(self._argument(scanner.number64)),
            "SMALLER": lambda: SmallerKey(self._argument(scanner.number64)),
            "MODSEQ": self._modseq,
        }

    def program(self) -> SearchKey:
        """Read one key or more, to the end."""
        keys = [self._argument(self._key)]
        while not self._scanner.at_end:
            keys.append(self._argument(self._key))
        return keys[0] if len(keys) == 1 else AllOf(tuple(keys))

    def _key(self) -> SearchKey:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise SyntaxFault("the search nests too deep")
        key = self._one_key()
        self._depth -= 1
        return key

    def _one_key(self) -> SearchKey:
        scanner = self._scanner
        if scanner.starts_with(b"("):
            keys = scanner.parenthesised(self._key)
            return keys[0] if len(keys) == 1 else AllOf(tuple(keys))
        if scanner.at_number:
            return NumbersKey(scanner.sequence_set())
        word = scanner.keyword()
        if word in _FLAG_KEYS:
            return _FLAG_KEYS[word]
        if word in _FIELD_KEYS:
            return HeaderKey(_FIELD_KEYS[word], self._text())
        if word in _DATE_KEYS:
            return DateKey(*_DATE_KEYS[word], self._argument(scanner.date))
        if word in self._words:
            return self._words[word]()
        raise SyntaxFault(f"a search key is unknown: {word[:40]}")

    def _argument(self, read: Callable[[], Argument]) -> Argument:
        self._scanner.space()
        return read()

    def _text(self) -> str:
        octets = self._argument(self._scanner.astring)
        try:
            return octets.decode(self._charset)
        except UnicodeDecodeError:
            raise SyntaxFault(f"a text is not {self._charset}") from None

    def _field_name(self) -> str:
        return self._argument(self._scanner.astring).decode("ascii", "replace")

    def _modseq(self) -> ModseqKey:
        #   search-modseq = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer
        self._scanner.space()
        if self._scanner.starts_with(b'"'):
            self._scanner.string()
            self._scanner.space()
            if self._scanner.keyword() not in {"PRIV", "SHARED", "ALL"}:
                raise SyntaxFault("the type of a metadata item is unknown")
            self._scanner.space()
        return ModseqKey(self._scanner.number64())
