"""A mail account as people have it, made of real mail: nested mailboxes, names in other scripts, flags."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from imapclient import imap_utf7

from tests.lab import corpus
from tests.system.endpoint import Endpoint
from tests.system.equality import Path, listed
from tests.system.streaming_imap import StreamingImap, quoted

INBOX: Path = ("INBOX",)
ATTACHMENTS: Path = ("Größe", "Anhänge")
OPENBMC: Path = ("開発", "openbmc")
QUOTED: Path = ('Ein "schwieriger" Name & so',)

MAILBOXES: dict[str, Path] = {
    "spamassassin-easy-ham": INBOX,
    "spamassassin-hard-ham": ("Newsletters",),
    "spamassassin-spam": QUOTED,
    "usrp-users-2019": ("Lists", "USRP", "2019"),
    "usrp-users-2022": ("Lists", "USRP", "2022"),
    "usrp-users-2025": ("Lists", "USRP", "2025"),
    "usrp-users-attachments": ATTACHMENTS,
    "openbmc-2021": OPENBMC,
    "parser-fixtures": ("Archive", "Fixtures"),
}
"""Which archive of the corpus goes where; "Lists", "Archive" and two more are only names above others."""

_FLAGS = (
    "",
    r"\Seen",
    r"\Seen \Answered",
    r"\Flagged",
    r"\Seen $Label1 NonJunk",
    r"\Seen",
    r"\Draft \Seen",
    r"$Forwarded \Seen \Answered \Flagged",
    "",
    r"\Seen",
    "zoo_keyword-7",
)
_FIRST_DATE = datetime(2002, 8, 22, 12, 36, 23, tzinfo=UTC)
_ZONES = (0, 9 * 60, -3 * 60 - 30)  # Minutes: internal dates come from everywhere.

FAST = "mail_fsync = never"
"""A setting for servers that are never killed: filling takes half the time."""
IN_FLIGHT_MAX = 50  # Commands sent and not yet answered while filling.


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to be filed."""

    mailbox: Path
    content: bytes
    flags: str
    internal_date: datetime


def letters() -> Iterator[Letter]:
    """Yield the corpus (or its sample) as it is to be filed, one by one."""
    paths = list(MAILBOXES.values())
    for index, mail in enumerate(corpus.mails()):
        archive = mail.name.partition("/")[0]
        zone = timezone(timedelta(minutes=_ZONES[index % len(_ZONES)]))
        yield Letter(
            MAILBOXES.get(archive, paths[index % len(paths)]),
            # No NUL can travel in IMAP (RFC 9051 §4.3.1); two fixtures have some.
            mail.content.replace(b"\0", b"\x80"),
            _FLAGS[index % len(_FLAGS)],
            (_FIRST_DATE + timedelta(minutes=61 * index)).astimezone(zone),
        )


def fill(endpoint: Endpoint, what: Iterable[Letter]) -> Counter[tuple[Path, str]]:
    """File everything, pipelined; return how often each content is in each mailbox."""
    filed: Counter[tuple[Path, str]] = Counter()
    with StreamingImap(endpoint) as session:
        made = {path for path, _, _ in listed(session.run('LIST "" "*"'))}
        in_flight: deque[bytes] = deque()

        def wait(down_to: int) -> None:
            while len(in_flight) > down_to:
                for _ in session.responses(in_flight.popleft()):
                    pass

        for letter in what:
            name = wire_name(letter.mailbox)
            if letter.mailbox not in made:
                made.add(letter.mailbox)
                wait(0)
                session.run(f"CREATE {quoted(name)}")
                session.run(f"SUBSCRIBE {quoted(name)}")
            options = f'({letter.flags}) "{letter.internal_date:%d-%b-%Y %H:%M:%S %z}"'
            in_flight.append(
                session.send_append(name, options, len(letter.content), [letter.content])
            )
            filed[letter.mailbox, hashlib.sha256(letter.content).hexdigest()] += 1
            wait(IN_FLIGHT_MAX)
        wait(0)
    return filed


def wire_name(path: Path, delimiter: str = "/") -> str:
    """Return a mailbox's name in modified UTF-7."""
    name: bytes = imap_utf7.encode(delimiter.join(path))
    return name.decode()


def wanted(path: Path, count: int, *, subject: str = "Weather") -> Iterator[Letter]:
    """Yield small made-up messages, each different, for tests that need no real mail."""
    for number in range(1, count + 1):
        text = (
            f"Message-ID: <{subject.lower()}-{number}@lab.test>\r\n"
            f"Date: {_FIRST_DATE + timedelta(hours=number):%a, %d %b %Y %H:%M:%S} +0000\r\n"
            f"From: Harbour <harbour@lab.test>\r\nTo: sailor@lab.test\r\n"
            f"Subject: {subject} {number}\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            f"Wind {number} knots. Häfen: 天気予報 {number}.\r\n"
        )
        yield Letter(
            path,
            text.encode(),
            _FLAGS[number % len(_FLAGS)],
            _FIRST_DATE + timedelta(hours=number),
        )
