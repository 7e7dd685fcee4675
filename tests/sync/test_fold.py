"""shown = fold(said, pending)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailferry.mail.mailbox import INBOX, MailboxId, MailboxPath
from mailferry.mail.message import ANSWERED, DELETED, FLAGGED, SEEN, BlobId, Flag, MessageId
from mailferry.mail.operation import (
    Append,
    CreateMailbox,
    DeleteMailbox,
    Expunge,
    Move,
    Operation,
    OperationId,
    RenameMailbox,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from mailferry.sync.fold import (
    Effect,
    FlagChange,
    ListedMailbox,
    MailboxList,
    PendingChange,
    Removal,
    below,
    effect_on_messages,
    find_mailbox,
    fold_mailboxes,
    fold_message,
    net_change,
)

NONE: frozenset[Flag] = frozenset()
FLAGS = st.frozensets(st.sampled_from([SEEN, FLAGGED, ANSWERED, DELETED, Flag("x")]))


@st.composite
def flag_changes(draw: st.DrawFn) -> FlagChange:
    add = draw(FLAGS)
    return FlagChange(add, draw(FLAGS) - add)


EFFECTS = st.lists(st.one_of(flag_changes(), st.just(Removal())), max_size=6)


# Messages


def test_flags_are_added_and_removed() -> None:
    changes: list[Effect] = [
        FlagChange(frozenset({SEEN}), NONE),
        FlagChange(NONE, frozenset({FLAGGED})),
    ]
    assert fold_message(frozenset({FLAGGED}), changes) == frozenset({SEEN})


def test_what_somebody_else_set_meanwhile_stays() -> None:
    """The change is laid on top of what the server says now, not of what it said then."""
    change = FlagChange(frozenset({SEEN}), NONE)
    assert fold_message(NONE, [change]) == frozenset({SEEN})
    assert fold_message(frozenset({ANSWERED}), [change]) == frozenset({SEEN, ANSWERED})


def test_a_removed_message_is_not_shown() -> None:
    assert fold_message(frozenset({SEEN}), [Removal()]) is None


@given(FLAGS, EFFECTS)
def test_withdrawing_the_last_is_folding_without_it(
    said: frozenset[Flag], effects: list[Effect]
) -> None:
    if effects and Removal() not in effects[:-1]:
        before = fold_message(said, effects[:-1])
        assert before is not None
        assert fold_message(before, effects[-1:]) == fold_message(said, effects)


@given(FLAGS, st.lists(flag_changes(), max_size=6), st.integers(0, 6))
def test_what_was_carried_out_leaves_the_fold_unseen(
    said: frozenset[Flag], changes: list[FlagChange], done: int
) -> None:
    """Moving the first operations from the fold into what the server has changes nothing shown."""
    server = fold_message(said, changes[:done])
    assert server is not None
    assert fold_message(server, changes[done:]) == fold_message(said, changes)


@given(FLAGS, st.lists(flag_changes(), max_size=6))
def test_the_net_change_does_the_same(said: frozenset[Flag], changes: list[FlagChange]) -> None:
    net = net_change(changes)
    assert not net.add & net.remove
    assert fold_message(said, [net]) == fold_message(said, changes)


def test_effects_of_operations() -> None:
    key, box = OperationId("0" * 32), MailboxId("1")
    ids = (MessageId(1),)
    operations: list[tuple[Operation, Effect | None]] = [
        (
            SetFlags(id=key, mailbox=box, messages=ids, add=frozenset({SEEN})),
            FlagChange(frozenset({SEEN}), NONE),
        ),
        (Expunge(id=key, mailbox=box, messages=ids), Removal()),
        (Move(id=key, mailbox=box, messages=ids, target=MailboxId("2")), Removal()),
        (Append(id=key, mailbox=box, blob=BlobId("b"), size=1), None),
    ]
    for operation, effect in operations:
        assert effect_on_messages(operation) == effect


# Mailboxes


def listed(key: str, *path: str) -> ListedMailbox:
    return ListedMailbox(id=MailboxId(key), path=path)


SAID = MailboxList(
    mailboxes=(listed("1", *INBOX), listed("2", "A"), listed("3", "A", "B"), listed("4", "C")),
    subscribed=frozenset({("A",)}),
)


def paths(shown: MailboxList) -> dict[MailboxPath, str]:
    return {each.path: each.id for each in shown.mailboxes}


def create(made: ListedMailbox) -> PendingChange:
    return PendingChange(CreateMailbox(id=OperationId("c"), path=made.path), (made,))


def rename(key: str, *path: str) -> PendingChange:
    return PendingChange(RenameMailbox(id=OperationId("r"), mailbox=MailboxId(key), path=path))


def delete(key: str) -> PendingChange:
    return PendingChange(DeleteMailbox(id=OperationId("d"), mailbox=MailboxId(key)))


def test_nothing_pending() -> None:
    assert set(fold_mailboxes(SAID, []).mailboxes) == set(SAID.mailboxes)


def test_a_new_mailbox_is_shown() -> None:
    assert paths(fold_mailboxes(SAID, [create(listed("9", "N"))]))[("N",)] == "9"


def test_a_new_mailbox_that_the_server_lists_by_now_is_shown_once() -> None:
    said = MailboxList(mailboxes=(*SAID.mailboxes, listed("9", "N")), subscribed=SAID.subscribed)
    assert len(fold_mailboxes(said, [create(listed("9", "N"))]).mailboxes) == 5


def test_somebody_else_made_one_of_the_same_name() -> None:
    said = MailboxList(mailboxes=(*SAID.mailboxes, listed("7", "N")), subscribed=SAID.subscribed)
    assert paths(fold_mailboxes(said, [create(listed("9", "N"))]))[("N",)] == "7"


def test_renaming_takes_those_below_along() -> None:
    shown = paths(fold_mailboxes(SAID, [rename("2", "Z", "Y")]))
    assert shown == {INBOX: "1", ("Z", "Y"): "2", ("Z", "Y", "B"): "3", ("C",): "4"}


def test_a_renaming_that_the_server_will_refuse_is_not_shown() -> None:
    assert paths(fold_mailboxes(SAID, [rename("2", "C")])) == paths(SAID)


def test_deleting_leaves_those_below() -> None:
    assert paths(fold_mailboxes(SAID, [delete("2")])) == {INBOX: "1", ("A", "B"): "3", ("C",): "4"}


def test_making_renaming_and_deleting_in_order() -> None:
    pending = [create(listed("9", "N")), rename("9", "M"), create(listed("10", "N")), delete("10")]
    assert paths(fold_mailboxes(SAID, pending)) == paths(SAID) | {("M",): "9"}


def test_subscriptions() -> None:
    pending = [
        PendingChange(Subscribe(id=OperationId("s"), path=("C",))),
        PendingChange(Unsubscribe(id=OperationId("u"), path=("A",))),
    ]
    assert fold_mailboxes(SAID, pending).subscribed == {("C",)}


NAMES = st.lists(st.sampled_from("ABC"), min_size=1, max_size=3).map(tuple)


@st.composite
def pending_changes(draw: st.DrawFn) -> PendingChange:
    key = draw(st.sampled_from("123456789"))
    path: MailboxPath = draw(NAMES)
    kind = draw(st.sampled_from(["create", "rename", "delete"]))
    if kind == "create":
        return create(listed(key, *path))
    return rename(key, *path) if kind == "rename" else delete(key)


@given(st.lists(pending_changes(), max_size=8))
def test_a_name_is_never_shown_twice(pending: list[PendingChange]) -> None:
    shown = fold_mailboxes(SAID, pending)
    assert len(paths(shown)) == len(shown.mailboxes)
    assert len({each.id for each in shown.mailboxes}) == len(shown.mailboxes)


def test_finding() -> None:
    found = find_mailbox(SAID, ("A", "B"))
    assert found is not None
    assert found.id == "3"
    assert find_mailbox(SAID, ("B",)) is None
    assert [each.id for each in below(SAID, ("A",))] == ["3"]
