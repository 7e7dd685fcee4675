"""What each operation does to an account in memory, what undoes it, and how to see that it was done."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from mailferry.mail.changes import Event, MailboxChanged, MailboxesChanged
from mailferry.mail.errors import MailboxNotFound, NotPermitted
from mailferry.mail.mailbox import SPECIAL_USES, MailboxId, MailboxPath
from mailferry.mail.message import MessageId
from mailferry.mail.operation import (
    Append,
    Applied,
    Attempt,
    Copy,
    Created,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    Outcome,
    OutcomeUnknown,
    Probe,
    RenameMailbox,
    SetFlags,
    Staged,
    Subscribe,
    Unsubscribe,
    Untried,
)
from mailferry.sources.memory_account import Account, Box, Message
from mailferry.sources.memory_content import StoredContent

FindContent = Callable[[Append], StoredContent]


def _nothing() -> None:
    return None


@dataclass(slots=True, kw_only=True)
class Effect:
    """What an operation has done."""

    staged: Staged
    events: set[Event] = field(default_factory=set)
    withdraw: Callable[[], None] = _nothing
    """Undoes it, as far as nothing else built on it: flags as before, messages back under new UIDs."""

    @property
    def applied(self) -> Applied:
        """The same in the words of a mail server."""
        return Applied(
            created=tuple((each.original or MessageId(0), each.id) for each in self.staged.created),
            mailbox=self.staged.mailbox,
        )


def carry_out(account: Account, operation: Operation, content: FindContent) -> Effect:
    """Do it, or raise a MailError and do nothing."""
    match operation:
        case SetFlags():
            return _set_flags(account, operation)
        case Expunge():
            return _expunge(account, operation)
        case Copy():
            return _copy(account, operation)
        case Move():
            return _move(account, operation)
        case Append():
            return _append(account, operation, content)
        case CreateMailbox():
            return _create(account, operation)
        case DeleteMailbox():
            return _delete(account, operation)
        case RenameMailbox():
            return _rename(account, operation)
        case Subscribe() | Unsubscribe():
            return _subscribe(account, operation)
        case _:
            assert_never(operation)


def _set_flags(account: Account, operation: SetFlags) -> Effect:
    box = account.box(operation.mailbox)
    before = {message: box.get(message).flags for message in operation.messages}
    account.set_flags(
        box, [(each, flags - operation.remove | operation.add) for each, flags in before.items()]
    )

    def withdraw() -> None:
        box = account.box(operation.mailbox)
        account.set_flags(
            box,
            [
                (each, box.get(each).flags - (operation.add - old) | (operation.remove & old))
                for each, old in before.items()
                if each in box.messages
            ],
        )

    return Effect(
        staged=Staged(id=operation.id, updated=tuple(box.get(each).state for each in before)),
        events={MailboxChanged(operation.mailbox)},
        withdraw=withdraw,
    )


def _expunge(account: Account, operation: Expunge) -> Effect:
    gone = account.remove(account.box(operation.mailbox), operation.messages)
    return Effect(
        staged=Staged(id=operation.id),
        events={MailboxChanged(operation.mailbox)},
        withdraw=lambda: _put_back(account, operation.mailbox, gone),
    )


def _put_back(account: Account, mailbox: MailboxId, gone: list[Message]) -> None:
    box = account.box(mailbox)
    for message in gone:
        account.add(box, message.stored, message.flags, message.internal_date)


def _copy(account: Account, operation: Copy) -> Effect:
    originals = [account.box(operation.mailbox).get(each) for each in operation.messages]
    target = account.box(operation.target)
    account.check_room(sum(len(each.stored.data) for each in originals))
    made = [account.add(target, each.stored, each.flags, each.internal_date) for each in originals]
    return Effect(
        staged=Staged(id=operation.id, created=_created(target, originals, made)),
        events={MailboxChanged(operation.target)},
        withdraw=lambda: _take_out(account, operation.target, made),
    )


def _created(target: Box, originals: list[Message], made: list[Message]) -> tuple[Created, ...]:
    return tuple(
        Created(
            original=original.id,
            original_uid=original.uid,
            id=new.id,
            uid=new.uid,
            uid_validity=target.uid_validity,
        )
        for original, new in zip(originals, made, strict=True)
    )


def _take_out(account: Account, mailbox: MailboxId, messages: list[Message]) -> None:
    box = account.box(mailbox)
    account.remove(box, [each.id for each in messages if each.id in box.messages])


def _move(account: Account, operation: Move) -> Effect:
    source, target = account.box(operation.mailbox), account.box(operation.target)
    originals = account.remove(source, operation.messages)
    made = [account.add(target, each.stored, each.flags, each.internal_date) for each in originals]

    def withdraw() -> None:
        _take_out(account, operation.target, made)
        _put_back(account, operation.mailbox, originals)

    return Effect(
        staged=Staged(id=operation.id, created=_created(target, originals, made)),
        events={MailboxChanged(operation.mailbox), MailboxChanged(operation.target)},
        withdraw=withdraw,
    )


def _append(account: Account, operation: Append, find: FindContent) -> Effect:
    box = account.box(operation.mailbox)
    content = find(operation)
    account.check_room(len(content.data))
    made = account.add(box, content, operation.flags, operation.internal_date or account.clock())
    created = Created(
        original=None, original_uid=0, id=made.id, uid=made.uid, uid_validity=box.uid_validity
    )
    return Effect(
        staged=Staged(id=operation.id, created=(created,)),
        events={MailboxChanged(operation.mailbox)},
    )


def _create(account: Account, operation: CreateMailbox) -> Effect:
    if operation.special_use is not None and operation.special_use not in SPECIAL_USES:
        raise NotPermitted(f"no special use is called {operation.special_use}")
    made = account.create(operation.path, operation.special_use)
    return Effect(staged=Staged(id=operation.id, mailbox=made[-1].id), events={MailboxesChanged()})


def _delete(account: Account, operation: DeleteMailbox) -> Effect:
    box = account.delete(operation.mailbox)
    return Effect(
        staged=Staged(id=operation.id),
        events={MailboxesChanged(), MailboxChanged(operation.mailbox)},
        withdraw=lambda: account.bring_back(box),
    )


def _rename(account: Account, operation: RenameMailbox) -> Effect:
    account.rename(operation.mailbox, operation.path)
    return Effect(
        staged=Staged(id=operation.id, mailbox=operation.mailbox), events={MailboxesChanged()}
    )


def _subscribe(account: Account, operation: Subscribe | Unsubscribe) -> Effect:
    was = operation.path in account.subscriptions
    match operation:
        case Subscribe():
            account.subscriptions.add(operation.path)
        case Unsubscribe():
            account.subscriptions.discard(operation.path)

    def withdraw() -> None:
        if was:
            account.subscriptions.add(operation.path)

    return Effect(staged=Staged(id=operation.id), events={MailboxesChanged()}, withdraw=withdraw)


def paths_of(account: Account, operation: Operation) -> tuple[MailboxPath, MailboxPath | None]:
    """Return the names of the mailbox and of the target, as they are called now."""
    match operation:
        case CreateMailbox() | Subscribe() | Unsubscribe():
            return operation.path, None
        case RenameMailbox():
            return account.box(operation.mailbox).path, operation.path
        case Copy() | Move():
            return account.box(operation.mailbox).path, account.box(operation.target).path
        case SetFlags() | Expunge() | Append() | DeleteMailbox():
            return account.box(operation.mailbox).path, None
        case _:
            assert_never(operation)


# Looking whether something was done, as one must with a mail server


def probe(account: Account, operation: Operation) -> Probe | None:
    """Note what `lookup` will compare with; see MailSource.probe."""
    try:
        noted = _noted(account, operation)
    except MailboxNotFound:
        return None  # It will be refused however often it is tried.
    return None if noted is None else Probe(json.dumps(noted).encode())


def _noted(account: Account, operation: Operation) -> dict[str, Any] | None:
    match operation:
        case SetFlags() | Expunge() | Subscribe() | Unsubscribe():
            return None
        case Append():
            return {
                "uid_next": account.box(operation.mailbox).uid_next,
                "contents": [[0, operation.blob]],
            }
        case Copy() | Move():
            box = account.box(operation.mailbox)
            there = [each for each in operation.messages if each in box.messages]
            return {
                "uid_next": account.box(operation.target).uid_next,
                "contents": [[each, box.messages[each].stored.id] for each in there],
            }
        case CreateMailbox():
            return {"existed": account.find(operation.path) is not None}
        case DeleteMailbox() | RenameMailbox():
            account.box(operation.mailbox)
            return {}
        case _:
            assert_never(operation)


def lookup(account: Account, attempt: Attempt, taken: Collection[MessageId]) -> Outcome:
    """Compare with what was noted before the attempt; see MailSource.lookup."""
    operation = attempt.operation
    if attempt.probe is None:
        return Untried(reason="may be carried out again")
    noted = json.loads(attempt.probe)
    try:
        match operation:
            case Append():
                return _look_for(account.box(operation.mailbox), noted, taken)
            case Copy():
                return _look_for(account.box(operation.target), noted, taken)
            case Move():
                return _look_for_moved(account, operation, noted, taken)
            case CreateMailbox():
                made = account.find(operation.path)
                done = made is not None and not noted["existed"]
                return Applied(mailbox=made.id) if made and done else Untried(reason="not there")
            case DeleteMailbox():
                account.box(operation.mailbox)
                return Untried(reason="still there")
            case RenameMailbox():
                done = account.box(operation.mailbox).path == operation.path
                return Applied(mailbox=operation.mailbox) if done else Untried(reason="not renamed")
            case SetFlags() | Expunge() | Subscribe() | Unsubscribe():
                return Untried(reason="may be carried out again")
            case _:
                assert_never(operation)
    except MailboxNotFound:
        if isinstance(operation, DeleteMailbox):
            return Applied()
        return Untried(reason="the mailbox has gone")


def _look_for(
    target: Box, noted: dict[str, Any], taken: Collection[MessageId]
) -> Applied | Untried | OutcomeUnknown:
    """Pair the contents that were noted with the messages that came since."""
    came = [
        each
        for each in target.messages.values()
        if each.uid >= noted["uid_next"] and each.id not in taken
    ]
    found: list[tuple[MessageId, MessageId]] = []
    for original, content in noted["contents"]:
        match_ = next((each for each in came if each.stored.id == content), None)
        if match_ is not None:
            came.remove(match_)
            found.append((MessageId(original), match_.id))
    if len(found) < len(noted["contents"]):
        return Untried(reason="not there")
    return Applied(created=tuple(found))


def _look_for_moved(
    account: Account, operation: Move, noted: dict[str, Any], taken: Collection[MessageId]
) -> Outcome:
    source = account.box(operation.mailbox)
    if any(each in source.messages for each in operation.messages):
        return Untried(reason="still at its old place")
    return _look_for(account.box(operation.target), noted, taken)


def narrowed(account: Account, operation: Operation) -> Operation:
    """Leave out messages that have gone, as a mail server does with UIDs that it does not know."""
    match operation:
        case SetFlags() | Expunge() | Copy() | Move():
            there = account.box(operation.mailbox).messages
            return replace(operation, messages=tuple(m for m in operation.messages if m in there))
        case _:
            return operation
