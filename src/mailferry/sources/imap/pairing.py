"""Which of the messages that came are the copies of which originals (docs/rule.md, 3).

Size and header alone do not tell two messages apart: alarms and scanners send their mail without a
Message-ID, the same but for a word.  As an original is removed when its copy is there, or not copied
again, a pair is believed only when nothing else fits and there is a Message-ID, or when the contents
are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mailferry.mail.message import MessageId
from mailferry.sources.imap.content import Content, Contents
from mailferry.sources.imap.traces import Trace


@dataclass(slots=True)
class Pairs:
    """What became of the originals."""

    found: dict[MessageId, MessageId] = field(default_factory=dict)
    """{original: copy}."""
    unclear: bool = False
    """An original has gone, and what came may be its copy or not: nobody can compare them any more."""


async def pair(
    originals: Mapping[MessageId, str],
    left: Collection[MessageId],
    came: Mapping[MessageId, Trace],
    contents: Contents,
    source: bytes,
    target: bytes,
) -> Pairs:
    """Pair originals (with their digests; `left` are still in `source`) with what came to `target`.

    Raises:
        MailError: the contents cannot be read now.
    """
    alike: dict[str, list[MessageId]] = defaultdict(list)
    for original, digest in originals.items():
        alike[digest].append(original)
    pairs = Pairs()
    for digest, group in alike.items():
        copies = [message for message, trace in came.items() if trace.digest == digest]
        if not copies:
            continue
        if len(group) == len(copies) == 1 and came[copies[0]].message_id:
            pairs.found[group[0]] = copies[0]
            continue
        there = [original for original in group if original in left]
        found = await _same_content(there, copies, contents, source, target)
        pairs.found |= found
        free = [copy for copy in copies if copy not in found.values()]
        pairs.unclear |= len(there) < len(group) and bool(free)
    return pairs


async def _same_content(
    originals: Sequence[MessageId],
    copies: Sequence[MessageId],
    contents: Contents,
    source: bytes,
    target: bytes,
) -> dict[MessageId, MessageId]:
    if not originals:
        return {}
    free: dict[Content, list[MessageId]] = defaultdict(list)
    for copy in copies:
        free[await contents.of(target, copy)].append(copy)
    found: dict[MessageId, MessageId] = {}
    for original in originals:
        same = free[await contents.of(source, original)]
        if same:
            found[original] = same.pop(0)
    return found
