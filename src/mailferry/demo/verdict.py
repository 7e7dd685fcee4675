"""The verdict of the demonstration: what was answered against what is at both sides."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mailferry.demo.ledger import Contents, Copy, Ledger, digest, message_id
from mailferry.mail.message import WHOLE
from mailferry.mail.source import MailSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Counts of everything that can be wrong; all but the first three must be 0."""

    asked: int
    answered: int
    at_server: int
    """Messages at the server in the end."""
    lost: int
    """Messages that should be at the server and are not."""
    doubled: int
    """Messages at the server more often than they should be, or though they were deleted."""
    other_flags: int
    """Messages that are where they should be, with other flags."""
    other_content: int
    """Messages that are not octet for octet what was filed."""
    mailboxes_wrong: int
    """Mailboxes that are missing or should not be there."""
    sides_differ: int
    """Messages that mailferry shows otherwise than the server."""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(
            (
                self.lost,
                self.doubled,
                self.other_flags,
                self.other_content,
                self.mailboxes_wrong,
                self.sides_differ,
            )
        )


async def judge(ledger: Ledger, server: MailSource, node: Contents) -> Verdict:
    """Compare what was answered with what the server has, and that with what the node shows."""
    found, wrong_contents = await look_at_source(server, ledger.digests)
    expected = ledger.contents
    there, wanted = found.places(), expected.places()
    misplaced = (wanted - there).total() + (there - wanted).total()
    return Verdict(
        asked=ledger.asked,
        answered=ledger.answered,
        at_server=there.total(),
        lost=(wanted - there).total(),
        doubled=(there - wanted).total(),
        other_flags=max(0, _differences(expected.copies, found.copies) - misplaced) // 2,
        other_content=wrong_contents,
        mailboxes_wrong=len(expected.mailboxes ^ found.mailboxes),
        sides_differ=_differences(found.copies, node.copies)
        + len(found.mailboxes ^ node.mailboxes),
    )


async def look_at_source(source: MailSource, digests: dict[str, str]) -> tuple[Contents, int]:
    """Return all that a source has, and how many messages' octets are not those of `digests`."""
    contents, wrong = Contents(), 0
    for mailbox in await source.mailboxes():
        contents.mailboxes.add(mailbox.path)
        state, has_more = None, True
        while has_more:
            changes = await source.changes(mailbox.id, state)
            state, has_more = changes.new_state, changes.has_more
            for message in changes.created:
                body = await source.body(mailbox.id, message.id, WHOLE)
                content = b"".join([chunk async for chunk in body.chunks])
                name = message_id(content)
                contents.copies[Copy(mailbox.path, name, message.flags)] += 1
                wrong += digest(content) != digests.get(name)
    return contents, wrong


def _differences(one: Counter[Copy], other: Counter[Copy]) -> int:
    return (one - other).total() + (other - one).total()
