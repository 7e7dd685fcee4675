"""Are two sides of a mail account equal?  Looks at everything, holds little, answers in words.

What counts: the mailboxes with their special uses, the subscriptions, and of each message every
octet, the flags and keywords, the internal date and the size.  What does not count: UIDs (each side
has its own), the order of messages, the hierarchy delimiter, \\Recent.

Bodies pass through as a stream and leave their SHA-256: 100 MB of mail need a few hundred octets a
message here.  `compare` over `look` of both sides is the judge of the system tests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from imapclient import imap_utf7

from tests.system.endpoint import Endpoint
from tests.system.streaming_imap import Response, StreamingImap, quoted

DIFFERENCES_SHOWN_MAX = 40  # A test that fails should say why, not print a whole mailbox.

Path = tuple[str, ...]

_TELLING_ATTRIBUTES = frozenset(
    b"\\Noselect \\NonExistent \\All \\Archive \\Drafts \\Flagged \\Junk \\Sent \\Trash".lower().split()
)
_NOT_SELECTABLE = frozenset({b"\\noselect", b"\\nonexistent"})

_LISTED = re.compile(
    rb'\* (?:LIST|LSUB) \(([^)]*)\) (?:"\\?(.)"|NIL) (.*)', re.IGNORECASE | re.DOTALL
)
_EXISTS = re.compile(rb"\* (\d+) EXISTS", re.IGNORECASE)
_FETCH = re.compile(rb"\* \d+ FETCH \(", re.IGNORECASE)
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)", re.IGNORECASE)
_DATE = re.compile(rb'\bINTERNALDATE "([^"]+)"', re.IGNORECASE)
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)", re.IGNORECASE)
_SHORT_BODY = re.compile(rb'BODY\[\] (?:NIL|"((?:[^"\\]|\\.)*)")', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MessageSeen:
    """What counts of one message."""

    sha256: str
    """Empty where bodies were not asked for."""
    size: int
    internal_date: datetime
    flags: frozenset[str]

    @property
    def words(self) -> str:
        """The message as a difference names it."""
        return f"{self.size} octets of {self.internal_date:%Y-%m-%d %H:%M:%S} [{self.marks}]"

    @property
    def marks(self) -> str:
        """Flags and keywords in words."""
        return " ".join(sorted(self.flags)) or "no flags"


@dataclass(slots=True)
class MailboxSeen:
    """What counts of one mailbox."""

    attributes: frozenset[bytes] = frozenset()
    messages: Counter[MessageSeen] = field(default_factory=Counter)


@dataclass(slots=True)
class AccountSeen:
    """What counts of an account; `name` is how a difference calls this side."""

    name: str
    mailboxes: dict[Path, MailboxSeen] = field(default_factory=dict)
    subscribed: frozenset[Path] = frozenset()
    faults: list[str] = field(default_factory=list)
    """Where this side contradicts itself."""

    @property
    def message_count(self) -> int:
        """How many messages there are in all mailboxes together."""
        return sum(mailbox.messages.total() for mailbox in self.mailboxes.values())


def look(
    endpoint: Endpoint, *, bodies: bool = True, only: Collection[Path] | None = None
) -> AccountSeen:
    """Read an account, or `only` some of its mailboxes, with or without the bodies."""
    account = AccountSeen(endpoint.name)
    with StreamingImap(endpoint) as session:
        names: dict[Path, bytes] = {}
        for path, name, attributes in listed(session.run('LIST "" "*"')):
            if only is None or path in only:
                names[path] = name
                account.mailboxes[path] = MailboxSeen(attributes & _TELLING_ATTRIBUTES)
        account.subscribed = frozenset(
            path
            for path, _, _ in listed(session.run('LSUB "" "*"'))
            if only is None or path in only
        )
        for path, mailbox in account.mailboxes.items():
            if not mailbox.attributes & _NOT_SELECTABLE:
                _read_mailbox(session, names[path], mailbox, account.faults, bodies=bodies)
    return account


def listed(responses: Sequence[Response]) -> Iterator[tuple[Path, bytes, frozenset[bytes]]]:
    """Yield path, name on the wire and attributes (lower case) of what LIST or LSUB answered."""
    for response in responses:
        if match := _LISTED.fullmatch(response.text):
            name = match[3]
            if response.literals:
                name = response.literals[0].kept or b""
            elif name.startswith(b'"'):
                name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            text = imap_utf7.decode(name)
            path = tuple(text.split(match[2].decode())) if match[2] else (text,)
            if path[0].upper() == "INBOX":
                path = ("INBOX", *path[1:])
            yield path, name, frozenset(match[1].lower().split())


def _read_mailbox(
    session: StreamingImap, name: bytes, mailbox: MailboxSeen, faults: list[str], *, bodies: bool
) -> None:
    exists = 0
    quoted_name = quoted(name.decode())
    for response in session.run(f"EXAMINE {quoted_name}"):
        if match := _EXISTS.match(response.text):
            exists = int(match[1])
    if exists:
        items = "FLAGS INTERNALDATE RFC822.SIZE" + (" BODY.PEEK[]" if bodies else "")
        for response in session.responses(session.send(f"UID FETCH 1:* (UID {items})")):
            if _FETCH.match(response.text):
                _take_message(response, mailbox, faults, quoted_name, bodies=bodies)
    if mailbox.messages.total() != exists:
        faults.append(
            f"{quoted_name} says it has {exists} messages but gave {mailbox.messages.total()}"
        )


def _take_message(
    response: Response, mailbox: MailboxSeen, faults: list[str], where: str, *, bodies: bool
) -> None:
    flags, date = _FLAGS.search(response.text), _DATE.search(response.text)
    size = _SIZE.search(response.text)
    if flags is None or date is None or size is None:
        faults.append(f"{where}: FLAGS, INTERNALDATE or RFC822.SIZE is missing: {response.text!r}")
        return
    digest, length = "", int(size[1])
    if bodies:
        digest, length = _body(response)
        if length != int(size[1]):
            faults.append(f"{where}: a message of {length} octets says RFC822.SIZE {int(size[1])}")
    named = (f.decode() for f in flags[1].split() if f.lower() != b"\\recent")
    mailbox.messages[
        MessageSeen(
            digest,
            length,
            datetime.strptime(date[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC),
            frozenset(name.lower() if name.startswith("\\") else name for name in named),
        )
    ] += 1


def _body(response: Response) -> tuple[str, int]:
    if response.literals:
        return response.literals[-1].sha256, response.literals[-1].length
    match = _SHORT_BODY.search(response.text)
    content = re.sub(rb"\\(.)", rb"\1", match[1] or b"") if match else b""
    return sha256(content).hexdigest(), len(content)


def compare(one: AccountSeen, other: AccountSeen) -> list[str]:
    """Return every difference between two sides in words; empty when they are equal."""
    differences = [f"{side.name}: {fault}" for side in (one, other) for fault in side.faults]
    for here, there in ((one, other), (other, one)):
        for path in sorted(here.mailboxes.keys() - there.mailboxes.keys()):
            count = here.mailboxes[path].messages.total()
            differences.append(f"{'/'.join(path)}: only {here.name} has it, with {count} messages")
        differences += [
            f"{'/'.join(path)}: subscribed only at {here.name}"
            for path in sorted(here.subscribed - there.subscribed)
        ]
    for path in sorted(one.mailboxes.keys() & other.mailboxes.keys()):
        a, b = one.mailboxes[path], other.mailboxes[path]
        words = "/".join(path)
        if a.attributes != b.attributes:
            differences.append(
                f"{words}: {_names(a.attributes)} at {one.name}, "
                f"{_names(b.attributes)} at {other.name}"
            )
        differences += [
            f"{words}: {line}" for line in _compare_messages(a, b, one.name, other.name)
        ]
    return differences


def _names(attributes: frozenset[bytes]) -> str:
    return " ".join(sorted(name.decode() for name in attributes)) or "no attributes"


def _compare_messages(one: MailboxSeen, other: MailboxSeen, a: str, b: str) -> Iterator[str]:
    only_one = list((one.messages - other.messages).elements())
    only_other = list((other.messages - one.messages).elements())
    for message in only_one:
        twin = next((m for m in only_other if _same_content(m, message)), None)
        if twin is None:
            yield f"only {a} has {message.words}"
            continue
        only_other.remove(twin)
        if twin.flags != message.flags:
            yield f"{message.words} at {a}, but [{twin.marks}] at {b}"
        if twin.internal_date != message.internal_date:
            yield f"{message.words} at {a}, but of {twin.internal_date} at {b}"
    for message in only_other:
        yield f"only {b} has {message.words}"


def _same_content(one: MessageSeen, other: MessageSeen) -> bool:
    if one.sha256 or other.sha256:
        return one.sha256 == other.sha256
    return one.size == other.size


def assert_equal(one: AccountSeen, other: AccountSeen) -> None:
    """Fail, in words, unless both sides are equal."""
    differences = compare(one, other)
    shown = differences[:DIFFERENCES_SHOWN_MAX]
    if len(differences) > len(shown):
        shown.append(f"... and {len(differences) - len(shown)} more")
    assert not differences, "the two sides differ:\n  " + "\n  ".join(shown)
