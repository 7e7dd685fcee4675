"""A look into a BODYSTRUCTURE in its canonical form: which parts there are (RFC 9051 §6.4.5, §7.5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailferry.wire.errors import RemoteProtocolError
from mailferry.wire.imap.framing import Line, ResponseFramer
from mailferry.wire.imap.tokens import Value, tokenize


@dataclass(frozen=True, slots=True)
class PartView:
    """What a section number leads to."""

    octets: int | None
    """The length of its content; None for a multipart, which does not say."""
    is_message: bool
    """It holds a message of its own, which has HEADER, TEXT and further parts."""


def find_part(structure: bytes, numbers: Sequence[int]) -> PartView | None:
    """Return the part that a section such as 2.1 means, None where there is none.

    Raises:
        RemoteProtocolError: `structure` is not a body structure.
    """
    node = _parsed(structure)
    for place, number in enumerate(numbers):
        child = _child(node, number, outermost=place == 0)
        if child is None:
            return None
        node = child
    if _is_multipart(node):
        return PartView(None, is_message=False)
    if len(node) < 7:
        raise RemoteProtocolError("not a body structure")
    octets = node[6]
    return PartView(octets if isinstance(octets, int) else None, is_message=_is_message(node))


def _parsed(structure: bytes) -> list[Value]:
    framer = ResponseFramer()
    framer.feed(structure + b"\r\n")
    line = framer.next_event()
    if not isinstance(line, Line):
        raise RemoteProtocolError("not a body structure")
    values = tokenize(line.text, line.literals)
    if len(values) != 1 or not isinstance(values[0], list) or not values[0]:
        raise RemoteProtocolError("not a body structure")
    return values[0]


def _child(node: list[Value], number: int, *, outermost: bool) -> list[Value] | None:
    """Return the part `number` of a body; what is not a multipart is its own part 1."""
    if not outermost and _is_message(node):
        # The part is a message: its parts are those of the body in it.
        node = _body_of(node)
        outermost = True
    if _is_multipart(node):
        part = node[number - 1] if 0 < number <= len(node) else None
        return part if isinstance(part, list) and part and _is_part(node, number) else None
    return node if outermost and number == 1 else None


def _is_part(node: list[Value], number: int) -> bool:
    """Parts stand first; lists further behind are parameters."""
    return all(isinstance(each, list) for each in node[:number])


def _is_multipart(node: list[Value]) -> bool:
    return isinstance(node[0], list)


def _is_message(node: list[Value]) -> bool:
    kind = node[0]
    return (
        isinstance(kind, bytes)
        and kind.lower() == b"message"
        and len(node) > 9
        and isinstance(node[8], list)
    )


def _body_of(node: list[Value]) -> list[Value]:
    body = node[8]
    if not isinstance(body, list) or not body:
        raise RemoteProtocolError("not a body structure")
    return body
