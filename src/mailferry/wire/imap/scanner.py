"""Read a command's logical line word by word (RFC 9051 §9).

Every method takes one thing off the front or raises; none looks back.

Strict but for two things that Dovecot takes, so that clients made with it at hand get by:

- superfluous spaces: more than one between arguments or list items, some at the end;
- raw octets above 127 in quoted strings: passwords and names as UTF-8.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Final, TypeVar

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap import dates, mailbox_name, sequence_set
from mailferry.wire.imap.framing import Literal, StreamedLiteral
from mailferry.wire.imap.sequence_set import SequenceSet

Item = TypeVar("Item")
Choice = TypeVar("Choice", bound=Enum)

TAG_LENGTH_MAX: Final = 255  # Octets: answers repeat it; clients use ten.
NUMBER64_MAX: Final = 0x7FFF_FFFF_FFFF_FFFF

#   tag          = 1*<any ASTRING-CHAR except "+">
#   ASTRING-CHAR = ATOM-CHAR / resp-specials ("]")
#   ATOM-CHAR    = any CHAR except "(" ")" "{" SP CTL "%" "*" DQUOTE "\" "]"
_TAG: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]++")
_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]++")
_ASTRING_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]++")
#   list-char    = ATOM-CHAR / list-wildcards / resp-specials
_LIST_ATOM: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){\"\\]++")
_QUOTED: Final = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*+)"')
_ESCAPED: Final = re.compile(rb"\\(.)")
_LITERAL: Final = re.compile(rb"~?\{[0-9]{1,20}\+?\}\r\n")
_SPACES: Final = re.compile(rb"\x20*+")
_NUMBER: Final = re.compile(rb"[0-9]{1,20}(?![0-9])")
_SEQUENCE_SET: Final = re.compile(rb"[0-9*][0-9*:,]*+")
# The names of what can be fetched: an atom would run on into the section, "BODY[HEADER.FIELDS".
_DOTTED: Final = re.compile(rb"[A-Za-z0-9.]++")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]*+")
_SET_BEGINNINGS: Final = frozenset(b"%c" % octet for octet in b"0123456789*")
_FLAG: Final = re.compile(rb"\\?[^\x00-\x20\x7f-\xff(){%*\"\\\]]++")


class SyntaxFault(RemoteProtocolError):
    """A command that is not written as the grammar wants; the text can be shown to its author."""


class LiteralNeeded(RemoteProtocolError):
    """The value wanted here is a literal whose data was not kept."""


def decode_base64(octets: bytes) -> bytes:
    """Return what is written in base64.

    Raises:
        SyntaxFault: it is not base64.
    """
    try:
        return binascii.a2b_base64(octets, strict_mode=True)
    except binascii.Error:
        raise SyntaxFault("not base64") from None


class CommandScanner:
    """The text of a logical line and its literals, read from the front."""

    __slots__ = ("_literals", "_position", "_text")

    def __init__(self, text: bytes, literals: Sequence[Literal] = ()) -> None:
        # No string ends the line in a space: a quoted one ends in a quote, a literal in a marker.
        self._text = text.rstrip(b" ")
        self._literals = list(reversed(literals))  # The next one last.
        self._position = 0

    # What comes next.

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._position == len(self._text)

    def starts_with(self, octets: bytes) -> bool:
        """Whether these octets come next."""
        return self._text.startswith(octets, self._position)

    @property
    def at_number(self) -> bool:
        """Whether a set of numbers comes next, if anything sensible does."""
        return self._text[self._position : self._position + 1] in _SET_BEGINNINGS

    # Separators.

    def end(self) -> None:
        """Make sure that everything was read."""
        if not self.at_end:
            raise SyntaxFault("there is something after the end of the command")

    def space(self) -> None:
        """Read the space between two arguments."""
        if not self.take(b" "):
            raise SyntaxFault("a space is missing" if not self.at_end else "an argument is missing")
        self._skip_spaces()

    def take(self, octets: bytes) -> bool:
        """Read these octets if they come next; return whether they did."""
        if not self.starts_with(octets):
            return False
        self._position += len(octets)
        return True

    def expect(self, octets: bytes) -> None:
        """Read these octets."""
        if not self.take(octets):
            raise SyntaxFault(f'"{octets.decode()}" is missing')

    def parenthesised(self, item: Callable[[], Item]) -> list[Item]:
        """Read a list of at least one item with a space between two."""
        self.expect(b"(")
        self._skip_spaces()
        items = [item()]
        while not self._take_closing():
            self.space()
            items.append(item())
        return items

    def _take_closing(self) -> bool:
        position = self._position
        self._skip_spaces()
        if self.take(b")"):
            return True
        self._position = position
        return False

    def _skip_spaces(self) -> None:
        found = _SPACES.match(self._text, self._position)
        self._position = found.end() if found else self._position

    def parenthesised_or_empty(self, item: Callable[[], Item]) -> list[Item]:
        """Read a list that may be empty."""
        return [] if self.take(b"()") else self.parenthesised(item)

    # Words.

    def tag(self) -> str:
        """Read a command's tag."""
        tag = self._match(_TAG, "the tag")[0]
        if len(tag) > TAG_LENGTH_MAX:
            raise SyntaxFault("the tag is too long")
        return tag.decode("ascii")

    def atom(self) -> str:
        """Read an atom."""
        return self._match(_ATOM, "a word")[0].decode("ascii")

    def keyword(self) -> str:
        """Read an atom of the grammar, which is not case-sensitive: in upper case."""
        return self.atom().upper()

    def dotted(self) -> str:
        """Read letters, digits and dots, in upper case: "RFC822.SIZE", "1.2.HEADER"."""
        return self._match(_DOTTED, "a name")[0].decode("ascii").upper()

    def take_keyword(self, word: str) -> bool:
        """Read this word, in any case, if it comes next and is whole; return whether it did.

        `word` is in upper case and may begin with the space before it.
        """
        end = self._position + len(word)
        if self._text[self._position : end].upper() != word.encode("ascii"):
            return False
        if _ATOM.match(self._text, end):
            return False
        self._position = end
        return True

    def choice(self, choices: type[Choice], what: str) -> Choice:
        """Read one of the values of an enumeration of keywords."""
        word = self.keyword()
        try:
            return choices(word)
        except ValueError:
            raise SyntaxFault(f"{what} is unknown: {word[:40]}") from None

    def number(self) -> int:
        """Read a number of 32 bits."""
        return self._number(sequence_set.NUMBER_MAX)

    def positive_number(self) -> int:
        """Read a number of 32 bits that is not 0."""
        number = self.number()
        if number == 0:
            raise SyntaxFault("0 is not allowed here")
        return number

    def number64(self) -> int:
        """Read a number of 63 bits, as sizes and modification sequences are."""
        return self._number(NUMBER64_MAX)

    def _number(self, largest: int) -> int:
        number = int(self._match(_NUMBER, "a number")[0])
        if number > largest:
            raise SyntaxFault("the number is too large")
        return number

    # Strings.

    def astring(self) -> bytes:
        """Read an atom or a string."""
        return self._string_or(_ASTRING_ATOM, "a word or string")

    def string(self) -> bytes:
        """Read a quoted string or a literal."""
        if self.starts_with(b'"'):
            quoted = self._match(_QUOTED, "a quoted string")[1]
            return _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        self._match(_LITERAL, "a string")
        literal = self._literals.pop() if self._literals else None
        if not isinstance(literal, bytes):
            raise LiteralNeeded("a literal that was not kept")
        if b"\0" in literal:
            raise SyntaxFault("NUL in a string")
        return literal

    def nstring(self) -> bytes | None:
        """Read a string or NIL."""
        if self._text[self._position : self._position + 3].upper() == b"NIL":
            self._position += 3
            return None
        return self.string()

    def streamed_literal(self) -> StreamedLiteral:
        """Read a literal that went by, or comes by, as events."""
        self._match(_LITERAL, "a literal")
        literal = self._literals.pop() if self._literals else None
        if not isinstance(literal, StreamedLiteral):
            raise SyntaxFault("a literal is missing")
        return literal

    def base64(self) -> bytes:
        """Read octets written in base64 (RFC 9051 §9); may be none at all."""
        return decode_base64(self._match(_BASE64, "base64")[0])

    # What IMAP speaks about.

    def mailbox(self) -> str:
        """Read a mailbox name; INBOX in any case becomes INBOX."""
        name = mailbox_name.decode(self.astring())
        return "INBOX" if name.upper() == "INBOX" else name

    def list_mailbox(self) -> str:
        """Read a pattern of mailbox names."""
        return mailbox_name.decode(self._string_or(_LIST_ATOM, "a mailbox pattern"))

    def flag(self) -> str:
        r"""Read a flag or keyword; `\*` is none."""
        return self._match(_FLAG, "a flag")[0].decode("ascii")

    def sequence_set(self) -> SequenceSet:
        """Read a set of numbers."""
        return sequence_set.parse(self._match(_SEQUENCE_SET, "a set of numbers")[0])

    def date(self) -> date:
        """Read a day, in quotes or not."""
        return dates.parse_date(self.astring())

    def date_time(self) -> datetime:
        """Read a moment, in quotes."""
        return dates.parse_date_time(self._match(_QUOTED, "a date in quotes")[1])

    def _string_or(self, bare: re.Pattern[bytes], what: str) -> bytes:
        if self.starts_with(b'"') or self.starts_with(b"{") or self.starts_with(b"~{"):
            return self.string()
        return self._match(bare, what)[0]

    def _match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self._text, self._position)
        if found is None:
            missing = "is missing" if self.at_end else "was expected"
            raise SyntaxFault(f"{what} {missing}")
        self._position = found.end()
        return found
