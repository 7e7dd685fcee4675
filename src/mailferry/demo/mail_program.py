"""A mail program at work: the standard library's imaplib, which knows nothing of mailferry.

Runs in a thread.  It does what people do (list, read, flag, file, write, delete), waits for each
answer, and keeps the ledger by the answers alone.
"""

from __future__ import annotations

import imaplib
import random
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from mailferry.demo.ledger import Contents, Copy, Ledger, digest, message_id
from mailferry.demo.letters import letter
from mailferry.mail.mailbox import INBOX, MailboxPath
from mailferry.mail.message import DELETED, FLAGGED, SEEN, Flag, flag
from mailferry.wire.imap.mailbox_name import decode, encode

ROUNDS: Final = 6
PAUSE_S: Final = 0.2  # Between two things: so that somebody can watch.
TIMEOUT_S: Final = 60.0  # For one answer; the node answers from what is here.
ARCHIVE: Final = ("Archive",)
WEATHER: Final = ("Boat", "Weather")
SENT: Final = ("Sent",)
DRAFTS: Final = ("Drafts",)
TRASH: Final = ("Trash",)

_UID: Final = re.compile(rb"UID (\d+)")
_FLAGS: Final = re.compile(rb"FLAGS \(([^)]*)\)")
_LISTED: Final = re.compile(rb'\) "/" "?([^"]+)"?$')

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Access:
    """How the mail program reaches its mail."""

    host: str
    port: int
    login: str
    password: str


class MailProgram:
    """One mail program with one connection."""

    def __init__(self, access: Access, ledger: Ledger, told: Told, stop: threading.Event) -> None:
        """`told` hears, in this program's thread, what is done; `stop` ends it early."""
        self._ledger = ledger
        self._told = told
        self._stop = stop
        self._chance = random.Random(7)  # noqa: S311 - not for secrecy
        self._access = access
        self._imap = self._connected()
        self._written = 0

    def work(self) -> None:
        """Do some rounds of what people do all day."""
        for number in range(1, ROUNDS + 1):
            steps: Sequence[Callable[[], None]] = (
                self._read,
                self._flag,
                self._unread,
                lambda: self._file(ARCHIVE, 2),
                lambda: self._file(TRASH, 1),
                self._copy,
                self._write,
                self._redraft,
                partial(self._create, ("Boat", f"Stop {number}")),
                self._empty_trash,
            )
            for step in steps:
                if self._stop.wait(PAUSE_S):
                    return
                step()

    def look(self) -> Contents:
        """Return all that is shown, without its content."""
        contents = Contents()
        _, lines = self._imap.list()
        for line in lines:
            found = _LISTED.search(line) if isinstance(line, bytes) else None
            if found is not None:
                path = _decoded(found[1])
                contents.mailboxes.add(path)
                contents.copies.update(self._list(path).values())
        return contents

    def close(self) -> None:
        """Say goodbye."""
        self._imap.logout()

    def _connected(self) -> imaplib.IMAP4:
        imap = imaplib.IMAP4(self._access.host, self._access.port, TIMEOUT_S)
        imap.login(self._access.login, self._access.password)
        return imap

    # What people do

    def _read(self) -> None:
        """Open some messages; that marks them read."""
        messages = self._list(INBOX)
        for uid in self._some(messages, 3):
            copy = messages[uid]
            self._told(f"reads {copy.message_id}")
            content = self._body(uid)
            if content is None:
                continue
            if digest(content) != self._ledger.digests[copy.message_id]:
                raise AssertionError(f"another content under {copy.message_id}")
            if SEEN not in copy.flags:
                self._ledger.asked += 1
                self._ledger.answered += 1
                self._ledger.change_flags(copy, copy.flags | {SEEN})

    def _body(self, uid: int) -> bytes | None:
        """Fetch a body; None when it cannot be had while the line is down."""
        try:
            kind, answer = self._imap.uid("FETCH", str(uid), "(BODY[])")
        except (imaplib.IMAP4.abort, OSError):
            # A body that was begun and cannot be gone on with leaves no other way than this.
            self._told("is disconnected in the middle of a body, and comes back")
            self._imap = self._connected()
            self._imap.select(_quoted(INBOX))
            return None
        content = b"".join(part[1] for part in answer if isinstance(part, tuple))
        if kind != "OK" or not content:
            self._told("is told that this body is not here while the line is down")
            return None
        return content

    def _flag(self) -> None:
        self._store("+FLAGS", FLAGGED, 2, "flags")

    def _unread(self) -> None:
        self._store("-FLAGS", SEEN, 1, "marks as unread")

    def _store(self, item: str, what: Flag, count: int, word: str) -> None:
        messages = self._list(INBOX)
        uids = self._some(messages, count)
        self._told(f"{word} {len(uids)} messages")
        if self._ask("STORE", _set(uids), item, f"({what})"):
            for uid in uids:
                copy = messages[uid]
                flags = copy.flags | {what} if item[0] == "+" else copy.flags - {what}
                self._ledger.change_flags(copy, flags)

    def _file(self, target: MailboxPath, count: int) -> None:
        messages = self._list(INBOX)
        uids = self._some(messages, count)
        self._told(f"moves {len(uids)} messages to {'/'.join(target)}")
        if self._ask("MOVE", _set(uids), _quoted(target)):
            for uid in uids:
                self._ledger.move(messages[uid], target)

    def _copy(self) -> None:
        messages = self._list(INBOX)
        uids = self._some(messages, 1)
        self._told(f"copies {len(uids)} messages to {'/'.join(WEATHER)}")
        if self._ask("COPY", _set(uids), _quoted(WEATHER)):
            for uid in uids:
                copy = messages[uid]
                self._ledger.put(Copy(WEATHER, copy.message_id, copy.flags))

    def _write(self) -> None:
        self._told("files what was sent")
        self._append(SENT, frozenset({SEEN}))

    def _redraft(self) -> None:
        """Save a draft again: the new one is added, then the old one is deleted."""
        messages = self._list(DRAFTS)
        self._told("saves a draft")
        self._append(DRAFTS, frozenset({flag("\\Draft"), SEEN}))
        self._delete(messages, self._some(messages, 1))

    def _empty_trash(self) -> None:
        messages = self._list(TRASH)
        self._told("deletes from the trash")
        self._delete(messages, self._some(messages, 2))

    def _create(self, path: MailboxPath) -> None:
        self._told(f"creates the mailbox {'/'.join(path)}")
        self._ledger.asked += 1
        if self._count(self._imap.create(_quoted(path))[0]):
            self._ledger.contents.mailboxes.add(path)

    # How it is said in IMAP

    def _list(self, path: MailboxPath) -> dict[int, Copy]:
        """Select a mailbox and return what is in it, by UID."""
        _, [count] = self._imap.select(_quoted(path))
        if not int(count or b"0"):
            return {}
        _, answer = self._imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        found: dict[int, Copy] = {}
        for index, part in enumerate(answer):
            if isinstance(part, tuple):
                after = answer[index + 1] if index + 1 < len(answer) else b""
                line = part[0] + (after if isinstance(after, bytes) else b"")
                uid, flags = _UID.search(line), _FLAGS.search(line)
                if uid and flags:
                    found[int(uid[1])] = Copy(path, message_id(part[1]), _flags(flags[1]))
        return found

    def _delete(self, messages: dict[int, Copy], uids: list[int]) -> None:
        if not uids:
            return
        if self._ask("STORE", _set(uids), "+FLAGS.SILENT", f"({DELETED})"):
            deleted = {uid: messages[uid].flags | {DELETED} for uid in uids}
            for uid in uids:
                self._ledger.change_flags(messages[uid], deleted[uid])
            if self._ask("EXPUNGE", _set(uids)):
                for uid in uids:
                    copy = messages[uid]
                    self._ledger.remove(Copy(copy.mailbox, copy.message_id, deleted[uid]))

    def _append(self, path: MailboxPath, flags: frozenset[Flag]) -> None:
        self._written += 1
        content = letter(self._written)
        name = message_id(content)
        self._ledger.digests[name] = digest(content)
        self._ledger.asked += 1
        kind, _ = self._imap.append(_quoted(path), f"({' '.join(sorted(flags))})", "", content)
        if self._count(kind):
            self._ledger.put(Copy(path, name, flags))

    def _ask(self, command: str, uids: str, *arguments: str) -> bool:
        self._ledger.asked += 1
        return self._count(self._imap.uid(command, uids, *arguments)[0])

    def _count(self, kind: str) -> bool:
        done = kind == "OK"
        self._ledger.answered += done
        self._ledger.refused += not done
        return done

    def _some(self, messages: dict[int, Copy], count: int) -> list[int]:
        return sorted(self._chance.sample(sorted(messages), min(count, len(messages))))


def _set(uids: Sequence[int]) -> str:
    return ",".join(map(str, uids))


def _quoted(path: MailboxPath) -> str:
    return f'"{encode("/".join(path)).decode("ascii")}"'


def _decoded(name: bytes) -> MailboxPath:
    return tuple(decode(name).split("/"))


def _flags(text: bytes) -> frozenset[Flag]:
    return frozenset(flag(name) for name in text.decode("ascii").split() if name != "\\Recent")
