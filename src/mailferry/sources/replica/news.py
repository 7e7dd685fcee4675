"""Taking in what changed in one mailbox at the server, underneath the operations that wait.

Theory of operation.  While there is a state up to which everything was taken in, the server is asked
for what came after it, step by step.  Without one (the first time, or the server does not know it any
more), it is asked for everything, and only when all of it is known it is compared with the map: what
is new gets an id and a UID, in the server's order; what is not there any more goes.

When both happen at once, the server may have changed what it calls its messages (UIDVALIDITY).  Then
the new ones and the missing ones are matched by content (`sync.identity`) before anything is given
or taken: who is matched stays who he was, and only his name there changes.

A message that was made here and carried out, but whose name there is not known, is looked for in the
same way among the new ones.  One that is not found was rewritten by the server: the server's
version, under a new UID, takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from mailferry import observe
from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges, MailboxNotFound
from mailferry.mail.mailbox import MailboxId, State
from mailferry.mail.message import Flag, MessageId
from mailferry.sources.replica.core import Box, Core
from mailferry.sources.replica.listing import LISTED_AND_IDS, Listing
from mailferry.sources.replica.pending import removed_by
from mailferry.sources.replica.settings import BodyPolicy
from mailferry.sources.replica.undoing import Undo, partly, undo
from mailferry.store import identifiers, view
from mailferry.store.database import Connection
from mailferry.store.shown import Arrival
from mailferry.sync.identity import Identity, match_born, match_unique

ARRIVALS_LENGTH_MAX: Final = 2000  # Messages in one unit of the writer: some 20 ms.
LISTED_AT_ONCE_MAX: Final = 500  # New messages whose summaries come before anybody is told.
AWAITED_LOOKS_MAX: Final = 3  # Looks at the server before a message is taken for rewritten there.

There = dict[MessageId, "frozenset[Flag] | None"]
"""What is at the server: {name: flags, or None where the server has not said}."""

T = TypeVar("T")

_log = observe.logger(__name__)


class MailboxGone(Exception):
    """The server says that it has no such mailbox any more."""


class News:
    """Takes in the changes of single mailboxes."""

    def __init__(self, core: Core, listing: Listing) -> None:
        self._core = core
        self._listing = listing
        self._awaited: dict[int, dict[int, int]] = {}
        """Mailbox -> {message made here: how often it was looked for in vain}."""

    async def take(self, mailbox: int) -> None:
        """Take in everything that changed in a mailbox.

        Raises:
            MailboxGone: it is not there any more.
            MailError: as the server's; what was taken in stays so.
        """
        async with self._core.exchanging([mailbox]):
            box = self._core.boxes.get(mailbox)
            if box is None or box.remote is None or self._core.is_doubtful(mailbox):
                return
            token = view.token(self._core.store.reader, mailbox)
            try:
                if token is not None:
                    await self._take_steps(box, box.remote, token)
                else:
                    await self._take_everything(box, box.remote)
            except CannotCalculateChanges:
                await self._take_everything(box, box.remote)
            except MailboxNotFound as exc:
                raise MailboxGone(str(exc)) from exc

    async def _ask(self, remote: MailboxId, since: State | None) -> Changes:
        # Whether a failure is the line's or the mailbox's is for who asks for several to say.
        changes = await self._core.upstream.changes(remote, since)
        self._core.line.succeeded()
        return changes

    # Step by step

    async def _take_steps(self, box: Box, remote: MailboxId, since: State) -> None:
        while True:
            changes = await self._ask(remote, since)
            there: There = {each.id: each.flags for each in (*changes.created, *changes.updated)}
            gone = set(changes.destroyed)
            if changes.present is not None:
                gone |= await self._compare(box, changes.present, there)
            unknown = set(there) - (await self._known(box, there)).keys()
            theirs = await self._identify(box, remote, unknown, renumbered=False)
            await self._find_awaited(box, theirs, complete=not changes.has_more)
            await self._take_known(box, there, gone)
            new = await self._take_new(box, there, wanted=self._wanted(is_first=False))
            await self._note_token(box, changes.new_state)
            if new:
                await self._list_new(box)
            if not changes.has_more:
                return
            since = changes.new_state

    async def _known(self, box: Box, messages: Iterable[MessageId]) -> dict[MessageId, int]:
        names = list(messages)
        if not names:
            return {}
        found = await self._core.journal.read(
            lambda connection: identifiers.by_remote(connection, box.id, names)
        )
        return {name: key for name, (key, _) in found.items()}

    async def _compare(
        self, box: Box, present: Sequence[tuple[int, int]], there: There
    ) -> set[MessageId]:
        """Add to `there` what is present and unknown; return what is known and not present."""
        known = await self._core.journal.read(
            lambda connection: identifiers.all_remotes(connection, box.id)
        )
        for first, last in present:
            for name in map(MessageId, range(first, last + 1)):
                if known.pop(name, None) is None:
                    there.setdefault(name, None)
        return set(known)

    # Everything at once

    async def _take_everything(self, box: Box, remote: MailboxId) -> None:
        there, state = await self._everything_there(remote)
        known = await self._core.journal.read(
            lambda connection: identifiers.all_remotes(connection, box.id)
        )
        unknown, gone = there.keys() - known.keys(), known.keys() - there.keys()
        renumbered = bool(unknown and gone)
        theirs = await self._identify(box, remote, unknown, renumbered=renumbered)
        await self._find_awaited(box, theirs, complete=True)
        if renumbered:
            await self._match_again(box, theirs, gone)
        # What came before the new state must be known now: nobody will tell of it again.
        unsaid = [name for name in await self._known(box, there) if there[name] is None]
        there.update(await self._listing.flags_there(remote, sorted(unsaid)))
        lost = await self._take_known(box, there, gone)
        new = await self._take_new(box, there, wanted=self._wanted(is_first=not known))
        await self._note_token(box, state)
        if renumbered and lost:
            await self._refuse_removals(lost)
        if new:
            await self._list_new(box)

    async def _everything_there(self, remote: MailboxId) -> tuple[There, State]:
        there: There = {}
        changes = await self._ask(remote, None)
        while True:
            there.update((each.id, each.flags) for each in (*changes.created, *changes.updated))
            for name in changes.destroyed:
                there.pop(name, None)
            for first, last in changes.present or ():
                for name in map(MessageId, range(first, last + 1)):
                    there.setdefault(name, None)
            if not changes.has_more:
                return there, changes.new_state
            changes = await self._ask(remote, changes.new_state)

    # Names that have changed, and names of messages that were made here

    async def _identify(
        self, box: Box, remote: MailboxId, unknown: Collection[MessageId], *, renumbered: bool
    ) -> dict[int, Identity]:
        """Return what unknown messages are known by, where one of ours may be among them."""
        awaiting = identifiers.mailboxes_awaiting(self._core.journal.reader, [box.id])
        if not unknown or not (awaiting or renumbered):
            return {}
        return await self._listing.identify_remote(remote, sorted(unknown))

    async def _match_again(
        self, box: Box, theirs: Mapping[int, Identity], gone: Collection[MessageId]
    ) -> None:
        """Find the missing messages among the new ones, and note their new names."""

        def unit(connection: Connection) -> int:
            ours = identifiers.by_remote(connection, box.id, gone)
            known = identifiers.identities(connection, [key for key, _ in ours.values()])
            new = theirs.keys() - identifiers.by_remote(connection, box.id, _names(theirs)).keys()
            pairs = match_unique(known, {name: theirs[name] for name in new})
            _name(connection, pairs)
            return len(pairs)

        matched = await self._core.journal.write(unit)
        _log.info(
            "names changed at the server mailbox=%s matched=%d lost=%d new=%d",
            box.id, matched, len(gone) - matched, len(theirs) - matched,
        )  # fmt: skip

    async def _refuse_removals(self, doubtful: set[int]) -> None:
        """Take back what waits to remove messages that cannot be told from others any more."""
        pending = self._core.pending
        reason = "the server renumbered its messages, and this one is doubtful"

        def plan() -> list[Undo]:
            return [
                partly(stored, named, reason)
                for stored in pending.naming(doubtful)
                if (named := removed_by(stored.operation) & doubtful)
            ]

        await self._core.finish(undo(self._core, plan))

    async def _find_awaited(
        self, box: Box, theirs: Mapping[int, Identity], *, complete: bool
    ) -> None:
        """Find messages made here, whose names are not known, among the new ones."""

        def unit(connection: Connection) -> tuple[set[int], int]:
            ours = identifiers.awaiting_remote(connection, box.id)
            pairs = match_born(ours, theirs)
            _name(connection, pairs)
            return ours.keys() - pairs.values(), len(pairs)

        if not identifiers.mailboxes_awaiting(self._core.journal.reader, [box.id]):
            self._awaited.pop(box.id, None)
            return
        missing, matched = await self._core.journal.write(unit)
        if complete:
            await self._give_up(box, missing, found_others=len(theirs) > matched)

    async def _give_up(self, box: Box, missing: set[int], *, found_others: bool) -> None:
        """Drop messages in whose place the server has others."""
        before = self._awaited.get(box.id, {})
        looks = self._awaited[box.id] = {key: before.get(key, 0) + 1 for key in missing}
        rewritten = {
            key for key, count in looks.items() if found_others or count >= AWAITED_LOOKS_MAX
        }
        if rewritten:
            _log.info("messages rewritten by the server count=%d", len(rewritten))
            await self._core.finish(forget(self._core, list(rewritten)))

    # Taking in

    async def _take_known(self, box: Box, there: There, gone: Collection[MessageId]) -> set[int]:
        """Take in flags, and what is not there any more; return which messages that were."""
        core = self._core
        async with core.identities:
            lost = set((await self._known(box, gone)).values())
            for part in _parts(sorted(lost)):
                await core.finish(forget(core, part))
            known = await self._known(box, there)
            flags = {key: each for name, key in known.items() if (each := there[name]) is not None}
            for part in _parts(sorted(flags)):
                await self._say({key: flags[key] for key in part})
        return lost

    async def _take_new(self, box: Box, there: There, *, wanted: bool) -> bool:
        """Take in messages that are new; return whether there were any."""
        new = sorted(there.keys() - (await self._known(box, there)).keys())
        for names in _parts(new):
            await self._core.finish(self._arrive(box, names, there, wanted=wanted))
        return bool(new)

    async def _note_token(self, box: Box, token: State) -> None:
        if view.token(self._core.store.reader, box.id) != token:
            await self._core.edit(lambda edit: edit.set_token(box.id, token))

    def _wanted(self, *, is_first: bool) -> bool:
        """Whether bodies of new messages are fetched ahead of time."""
        policy = self._core.settings.bodies
        return policy is BodyPolicy.ALL or (policy is BodyPolicy.NEW and not is_first)

    async def _arrive(
        self, box: Box, names: Sequence[MessageId], flags: There, *, wanted: bool
    ) -> None:
        core = self._core
        async with core.numbering([box.id]):
            made = await core.journal.write(
                lambda connection: identifiers.add_messages(connection, box.id, names)
            )
            arrivals = [
                Arrival(key, uid, flags[name]) for name, (key, uid) in zip(names, made, strict=True)
            ]
            await core.edit(lambda edit: edit.arrive(box.id, arrivals, wanted=wanted))

    async def _say(self, flags: Mapping[int, frozenset[Flag]]) -> None:
        await self._core.edit(lambda edit: edit.say_flags(flags), flags)

    async def _list_new(self, box: Box) -> None:
        found = view.unlisted(
            self._core.store.reader, box.id, before_uid=None, limit=LISTED_AT_ONCE_MAX + 1
        )
        if 0 < len(found) <= LISTED_AT_ONCE_MAX:
            await self._listing.fetch([message for message, _ in found], LISTED_AND_IDS)
        else:
            self._listing.want(box.id)


# What follows changes the journal and then the replica: it is run to its end (`Core.finish`).


async def forget(core: Core, messages: Sequence[int]) -> None:
    """Forget messages that are not at the server any more."""
    await core.edit(lambda edit: edit.remove(messages))
    await core.journal.write(lambda connection: identifiers.forget_messages(connection, messages))


def _name(connection: Connection, pairs: Mapping[int, int]) -> None:
    """Note names: {name there: our id}."""
    identifiers.name_messages(connection, {key: MessageId(name) for name, key in pairs.items()})


def _names(theirs: Iterable[int]) -> list[MessageId]:
    return [MessageId(name) for name in theirs]


def _parts(keys: Sequence[T]) -> list[Sequence[T]]:
    return [
        keys[start : start + ARRIVALS_LENGTH_MAX]
        for start in range(0, len(keys), ARRIVALS_LENGTH_MAX)
    ]
