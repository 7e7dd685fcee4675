"""The tree of a message's parts, with the byte range of each (RFC 2045, RFC 2046, RFC 9051 §7.5.2).

All offsets are octets from the start of the message, exactly as it is kept here.  A message is
served exactly as it is kept, so sizes are differences of offsets and a line is one LF, whether or
not a CR stands before it.  (A message that came with CRLF, as all mail from a wire does, has the
sizes that any server would tell.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Parameters: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Names and values in the order of the header field; RFC 2231 continuations are joined."""

PART_DEPTH_MAX: Final = 100  # Nested multiparts and messages; Dovecot's own limit.
PART_COUNT_MAX: Final = 10_000  # Parts of one message; Dovecot's own limit.
HEADER_LENGTH_MAX: Final = 1024 * 1024  # Octets of one header; past it no field is looked at.
FIELDS_LENGTH_MAX: Final = 4 * 1024 * 1024  # Octets of all kept fields: bounds a hostile tree.
BOUNDARY_LENGTH_MAX: Final = 80  # Octets: RFC 2046 §5.1.1 allows 70; Dovecot cuts longer ones here.


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the Content-* fields of a part say; words spelled as in the header."""

    type: bytes = b"text"
    subtype: bytes = b"plain"
    parameters: Parameters = ()
    encoding: bytes = b"7bit"
    id: bytes | None = None
    description: bytes | None = None
    md5: bytes | None = None
    disposition: bytes | None = None
    disposition_parameters: Parameters = ()
    language: tuple[bytes, ...] = ()
    location: bytes | None = None

    @property
    def is_text(self) -> bool:
        """Whether a part with this content counts its lines in a BODYSTRUCTURE."""
        return self.type.lower() == b"text"

    @property
    def is_multipart(self) -> bool:
        """Whether the part holds parts between boundaries (RFC 2046 §5.1); never without subtype."""
        return self.type.lower() == b"multipart" and self.subtype != b""

    @property
    def is_message(self) -> bool:
        """Whether the part holds a message (RFC 2046 §5.2.1).

        message/global is opaque: IMAP4rev1 knows only message/rfc822.
        """
        return self.type.lower() == b"message" and self.subtype.lower() == b"rfc822"

    def parameter(self, name: bytes) -> bytes | None:
        """Return the value of the first parameter of that name, which is given in lower case."""
        return next((value for key, value in self.parameters if key.lower() == name), None)


PLAIN_TEXT: Final = Content()
"""What a part is when its header says nothing (RFC 2045 §5.2)."""

OPAQUE: Final = Content(type=b"application", subtype=b"octet-stream")
"""What a multipart or message is that lies deeper than PART_DEPTH_MAX."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its header is [header_start, body_start), its body [body_start, end).

    The empty line belongs to the header; the line end before a boundary belongs to the boundary.
    """

    header_start: int
    body_start: int
    end: int
    lines: int
    """Line feeds in the body."""
    content: Content = PLAIN_TEXT
    envelope: bytes | None = None
    """In IMAP's own form; of the whole message and of each message inside it, None for other parts."""
    parts: tuple[Part, ...] = field(default=())
    """The parts of a multipart, or the one message of a message/rfc822 part."""

    @property
    def size(self) -> int:
        """Octets of the body."""
        return self.end - self.body_start

    def walk(self) -> Iterator[Part]:
        """Yield this part and all below it, in the order of the message."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.parts))


Plain: TypeAlias = Sequence[Any]
"""A tree as nested sequences of int, bytes and None: what any serialiser takes, nothing repeated."""


def to_plain(part: Part) -> Plain:
    """Return the compact form of a tree, to be stored so that nobody needs to scan again."""
    content = part.content
    described: Plain = () if content == PLAIN_TEXT else _content_to_plain(content)
    children = [to_plain(child) for child in part.parts]
    sizes = (part.header_start, part.body_start, part.end, part.lines)
    return (*sizes, described, part.envelope, children)


def from_plain(plain: Plain) -> Part:
    """Return the tree that `to_plain` took apart.

    Raises:
        ValueError, TypeError: this is no such form.
    """
    header_start, body_start, end, lines, described, envelope, children = plain
    return Part(
        header_start=header_start,
        body_start=body_start,
        end=end,
        lines=lines,
        content=_content_from_plain(described) if described else PLAIN_TEXT,
        envelope=envelope,
        parts=tuple(from_plain(child) for child in children),
    )


def _content_to_plain(content: Content) -> Plain:
    return (
        content.type,
        content.subtype,
        content.parameters,
        content.encoding,
        content.id,
        content.description,
        content.md5,
        content.disposition,
        content.disposition_parameters,
        content.language,
        content.location,
    )


def _content_from_plain(plain: Plain) -> Content:
    kind, subtype, parameters, encoding, id_, description, md5, disposition, *rest = plain
    disposition_parameters, language, location = rest
    return Content(
        type=kind,
        subtype=subtype,
        parameters=_parameters(parameters),
        encoding=encoding,
        id=id_,
        description=description,
        md5=md5,
        disposition=disposition,
        disposition_parameters=_parameters(disposition_parameters),
        language=tuple(language),
        location=location,
    )


def _parameters(plain: Plain) -> Parameters:
    return tuple((name, value) for name, value in plain)
