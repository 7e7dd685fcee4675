"""Looking at a message while it comes in, chunk by chunk: its hash, its header, its tree."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from mailferry.mail.message import HEADER_LENGTH_MAX, LISTED_FIELDS, BlobId
from mailferry.store.blobs import Description
from mailferry.wire.mime.header import select_fields
from mailferry.wire.mime.part import Part, from_plain, to_plain
from mailferry.wire.mime.scanner import Scanner
from mailferry.wire.mime.structure import body_structure, envelope

_LISTED: Final = frozenset(name.lower().encode() for name in LISTED_FIELDS)


class Intake:
    """Takes a message in.  Memory: a header and a tree, however long the message."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._scanner = Scanner()
        self._head = bytearray()
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        """Look at the next octets."""
        self._hash.update(chunk)
        self._scanner.feed(chunk)
        room = HEADER_LENGTH_MAX - len(self._head)
        if room > 0 and not self._header_is_whole():
            self._head += chunk[:room]
        self.size += len(chunk)

    def _header_is_whole(self) -> bool:
        return b"\r\n\r\n" in self._head or b"\n\n" in self._head

    @property
    def blob(self) -> BlobId:
        """The name of what was fed."""
        return BlobId(self._hash.hexdigest())

    def close(self) -> Part:
        """Return the tree; once, after the last chunk."""
        return self._scanner.close()

    def describe(self) -> Description:
        """Return what a list shows of the message; once, after the last chunk."""
        tree = self.close()
        header = bytes(self._head[tree.header_start : tree.body_start])
        return Description(
            envelope=envelope(tree),
            body_structure=body_structure(tree),
            header_fields=listed_fields(header),
            header=header,
            tree=pack_tree(tree),
        )


def listed_fields(header: bytes) -> bytes:
    """Return the fields of a header that every list has, with the empty line."""
    return select_fields(header, _LISTED)


def pack_tree(tree: Part) -> bytes:
    """Return a tree as it is kept."""
    return msgspec.msgpack.encode(to_plain(tree))


def unpack_tree(data: bytes) -> Part:
    """Return the tree that `pack_tree` packed."""
    return from_plain(msgspec.msgpack.decode(data))
