"""An account full of real mail behind a front, for the tests of mail programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tests.system.endpoint import Endpoint
from tests.system.equality import AccountSeen, Path, assert_equal, look
from tests.system.filling import wire_name
from tests.system.front import Front
from tests.system.streaming_imap import StreamingImap, quoted


@dataclass(frozen=True)
class FilledAccount:
    """The account, and what was filed in it."""

    front: Front
    filed: Counter[tuple[Path, str]]
    """How often each content (SHA-256) was filed in each mailbox."""

    @property
    def endpoint(self) -> Endpoint:
        """Where mail programs connect."""
        return self.front.endpoint

    @property
    def server(self) -> Endpoint:
        """The server behind."""
        return self.front.server

    def workplace(self, path: Path, count: int) -> str:
        """Make a mailbox with copies of the INBOX's first messages, through the front.

        Returns the mailbox's name on the wire.
        """
        name = wire_name(path)
        with StreamingImap(self.endpoint) as session:
            session.run(f"CREATE {quoted(name)}")
            session.run("EXAMINE INBOX")
            session.run(f"COPY 1:{count} {quoted(name)}")
        return name

    def assert_both_sides_equal(self, *bodies_of: Path) -> None:
        """Compare the whole account without bodies, and some mailboxes with theirs."""
        self.front.settle()
        assert_equal(look(self.endpoint, bodies=False), look(self.server, bodies=False))
        if bodies_of:
            assert_equal(look(self.endpoint, only=bodies_of), look(self.server, only=bodies_of))


def contents(seen: AccountSeen) -> Counter[tuple[Path, str]]:
    """Return how often each content is in each mailbox."""
    found: Counter[tuple[Path, str]] = Counter()
    for path, mailbox in seen.mailboxes.items():
        for message, count in mailbox.messages.items():
            found[path, message.sha256] += count
    return found
