"""How values lie in columns: operations, lists of names, 64-bit ids.

Columns of the journal are read by later versions: a field that is added needs a default, none is
ever given another meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, get_args

import msgspec

from mailferry.mail.mailbox import MailboxId, MailboxPath
from mailferry.mail.message import Flag, MessageId
from mailferry.mail.operation import Operation

_KINDS: Final[Mapping[str, type[Operation]]] = {kind.__name__: kind for kind in get_args(Operation)}
_SIGN: Final = 1 << 63
_MODULUS: Final = 1 << 64


class Birth(msgspec.Struct, frozen=True, array_like=True):
    """A message that an operation made here."""

    original: int
    """The message that it was copied or moved from; 0 for an append."""
    original_uid: int
    message: int
    uid: int


class MadeMailbox(msgspec.Struct, frozen=True, array_like=True):
    """A mailbox that an operation made here."""

    mailbox: int
    path: tuple[str, ...]
    uid_validity: int


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operation was given when it was staged; it does not change afterwards."""

    births: tuple[Birth, ...] = ()
    uid_validity: int = 0
    """Of the mailbox in which the births are."""
    mailboxes: tuple[MadeMailbox, ...] = ()
    """Outermost first; the one that was asked for is the last."""


def encode_operation(operation: Operation) -> tuple[str, bytes]:
    """Return the kind and the payload."""
    # Through builtins, as MessagePack's own time stamps would lose the zone of an internal date.
    payload = msgspec.msgpack.encode(msgspec.to_builtins(operation))
    return type(operation).__name__, payload


def decode_operation(kind: str, payload: bytes) -> Operation:
    """Return the operation."""
    return msgspec.convert(msgspec.msgpack.decode(payload), _KINDS[kind])


def encode_result(result: Result) -> bytes:
    """Return the column's value."""
    return msgspec.msgpack.encode(result)


def decode_result(data: bytes) -> Result:
    """Return the result."""
    return msgspec.msgpack.decode(data, type=Result)


def encode_names(names: Iterable[str]) -> str:
    """Return components of a path, or attributes, as a JSON array."""
    return json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))


def decode_path(text: str) -> MailboxPath:
    """Return a path from a JSON array."""
    return tuple(json.loads(text))


def decode_attributes(text: str) -> frozenset[str]:
    """Return attributes from a JSON array."""
    return frozenset(json.loads(text))


def encode_ids(ids: Iterable[int]) -> str:
    """Return ids for `IN (SELECT value FROM json_each(?))`."""
    return "[" + ",".join(map(str, ids)) + "]"


def encode_flags(flags: Iterable[Flag]) -> str:
    """Return a set of flags as it stands in `flag_set`: sorted, a space before and after each."""
    return " ".join(("", *sorted(flags), "")) if flags else " "


def decode_flags(text: str) -> frozenset[Flag]:
    """Return the set of flags."""
    return frozenset(Flag(each) for each in text.split())


def to_signed(remote: int) -> int:
    """Return 64 bits as SQLite's signed number."""
    return remote - _MODULUS if remote >= _SIGN else remote


def from_signed(column: int) -> MessageId:
    """Return the 64 bits again."""
    return MessageId(column + _MODULUS if column < 0 else column)


def mailbox_key(mailbox: MailboxId) -> int:
    """Return the number behind a mailbox id of a replica, 0 when it is none."""
    return int(mailbox) if mailbox.isascii() and mailbox.isdecimal() and len(mailbox) < 19 else 0


def mailbox_id(key: int) -> MailboxId:
    """Return the mailbox id of a number."""
    return MailboxId(str(key))


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def from_ms(column: int | None) -> datetime | None:
    """Return the moment, in UTC."""
    return None if column is None else datetime.fromtimestamp(column / 1000, UTC)
