"""The replica file: what is shown, its changes, its counters, its room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mailferry.mail.changes import Changes
from mailferry.mail.errors import CannotCalculateChanges
from mailferry.mail.mailbox import INBOX, State
from mailferry.mail.message import DELETED, FLAGGED, SEEN, WHOLE, BlobId, Flag, MessageId, Summary
from mailferry.store import bodies, chunks, shown, view
from mailferry.store.chunks import BODY_CHUNKS
from mailferry.store.codec import decode_flags
from mailferry.store.database import REPLICA, Connection, open_database, rows
from mailferry.store.replica import SET_ASIDE, ReplicaStore, erase
from mailferry.store.shown import Arrival, Edit
from mailferry.sync.fold import Effect, FlagChange, Removal

NONE: frozenset[Flag] = frozenset()
FLAGS = st.frozensets(st.sampled_from([SEEN, FLAGGED, DELETED]))
VALIDITY = 77


def flags_of(connection: Connection, key: int) -> frozenset[Flag]:
    [(text,)] = rows(connection, "SELECT flags FROM flag_set WHERE id = ?", (key,))
    return decode_flags(text)


@dataclass
class Box:
    """One mailbox in a replica file."""

    connection: Connection
    effects: dict[int, list[Effect]] = field(default_factory=dict)
    last: int = 0

    def __post_init__(self) -> None:
        Edit(self.connection, {}).put_mailbox(1, INBOX, (), listed=True, uid_next=1)

    def edit(self) -> Edit:
        return Edit(self.connection, self.effects)

    def arrive(self, *flags: frozenset[Flag] | None) -> list[int]:
        arrivals = []
        for each in flags:
            self.last += 1
            arrivals.append(Arrival(self.last, self.last, each))
        self.edit().arrive(1, arrivals, wanted=False)
        return [each.id for each in arrivals]

    def changes(self, since: State | None, limit: int = 1000) -> Changes:
        return view.changes(
            self.connection,
            1,
            VALIDITY,
            since,
            limit=limit,
            flags_of=lambda key: flags_of(self.connection, key),
        )

    def status(self) -> tuple[int, int | None, int | None, int | None]:
        found = view.status(
            self.connection, 1, VALIDITY, lambda key: flags_of(self.connection, key)
        )
        assert found is not None
        return found.messages, found.unseen, found.deleted, found.size


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(open_database(tmp_path / "replica", REPLICA))


def shown_flags(changes: Changes) -> Mapping[int, frozenset[Flag]]:
    return {each.id: each.flags for each in (*changes.created, *changes.updated)}


def test_arrivals_are_shown(box: Box) -> None:
    first, second = box.arrive(frozenset({SEEN}), None)
    assert shown_flags(box.changes(None)) == {first: {SEEN}, second: NONE}
    assert box.status() == (2, 1, 0, 0)


def test_arriving_twice_is_once(box: Box) -> None:
    [first] = box.arrive(frozenset({SEEN}))
    box.edit().arrive(1, [Arrival(first, first, NONE)], wanted=False)
    assert shown_flags(box.changes(None)) == {first: {SEEN}}


def test_news_are_put_underneath_what_waits(box: Box) -> None:
    [first] = box.arrive(NONE)
    box.effects[first] = [FlagChange(frozenset({FLAGGED}), NONE)]
    box.edit().refold([first])
    box.edit().say_flags({first: frozenset({SEEN})})
    assert shown_flags(box.changes(None)) == {first: {SEEN, FLAGGED}}
    box.effects.clear()
    box.edit().refold([first])
    assert shown_flags(box.changes(None)) == {first: {SEEN}}


def test_one_change_has_one_modseq(box: Box) -> None:
    ids = box.arrive(NONE, NONE, NONE)
    state = box.changes(None).new_state
    box.edit().say_flags(dict.fromkeys(ids, frozenset({SEEN})))
    changes = box.changes(state)
    assert len({each.modseq for each in changes.updated}) == 1
    assert [each.id for each in changes.updated] == ids


def test_what_is_taken_away_and_comes_back(box: Box) -> None:
    [first] = box.arrive(frozenset({FLAGGED}))
    state = box.changes(None).new_state
    box.effects[first] = [Removal()]
    box.edit().refold([first])
    assert box.changes(state).destroyed == (first,)
    assert box.status()[0] == 0
    gone = box.changes(state).new_state
    box.effects.clear()
    box.edit().bear_again(1, {first: (9, 9)})
    changes = box.changes(gone)
    [back] = changes.created
    assert (back.id, back.uid) == (9, 9)
    assert back.flags == {FLAGGED}
    assert changes.destroyed == ()
    assert box.status()[0] == 1


def test_nothing_that_shows_changed(box: Box) -> None:
    [first] = box.arrive(frozenset({SEEN}))
    state = box.changes(None).new_state
    edit = box.edit()
    edit.say_flags({first: frozenset({SEEN})})
    edit.set_token(1, "t")
    assert edit.touched == set()
    assert box.changes(state).new_state == state
    assert view.token(box.connection, 1) == "t"


def test_what_was_told_under_a_uid_stays(box: Box) -> None:
    [first] = box.arrive(NONE)
    key = MessageId(first)
    box.edit().list_messages(
        [Summary(id=key, uid=1, size=10, envelope=b"(1)", body_structure=b"(1)")]
    )
    box.edit().list_messages(
        [Summary(id=key, uid=1, size=11, envelope=b"(2)", body_structure=b"(2)", header=b"h")]
    )
    [(size, envelope, header)] = rows(
        box.connection, "SELECT size, envelope, header FROM message JOIN summary ON message = id"
    )
    assert (size, envelope, header) == (10, b"(1)", b"h")
    assert box.status()[3] == 10


def test_states_of_others_are_refused(box: Box) -> None:
    box.arrive(NONE)
    for state in ("", "x", f"{VALIDITY + 1}.1", f"{VALIDITY}.99999999", "1.2.3.4.5"):
        with pytest.raises(CannotCalculateChanges):
            box.changes(State(state))


def test_forgotten_tombstones(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "TOMBSTONES_MAX", 2)
    ids = box.arrive(*[NONE] * 6)
    state = box.changes(None).new_state
    for each in ids[:4]:
        box.edit().remove([each])
    recent = box.changes(None).new_state
    box.edit().remove([ids[4]])
    shown.forget_tombstones(box.connection, [1])
    with pytest.raises(CannotCalculateChanges):
        box.changes(state)
    assert box.changes(recent).destroyed == (ids[4],)


class Follows(RuleBasedStateMachine):
    """Whatever happens in a mailbox, who follows its changes in any steps has the right picture."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.box = Box(open_database(Path(self.folder.name) / "replica", REPLICA))
        self.shown: dict[int, frozenset[Flag]] = {}
        self.said: dict[int, frozenset[Flag]] = {}
        self.states: dict[int, State | None] = dict.fromkeys(range(3))
        self.pictures: dict[int, dict[int, frozenset[Flag]]] = {n: {} for n in range(3)}
        self.modseqs: dict[int, int] = {}

    @rule(flags=st.lists(FLAGS, min_size=1, max_size=4))
    def arrive(self, flags: list[frozenset[Flag]]) -> None:
        ids = self.box.arrive(*flags)
        self.said.update(zip(ids, flags, strict=True))

    @rule(data=st.data(), flags=FLAGS)
    def say(self, data: st.DataObject, flags: frozenset[Flag]) -> None:
        chosen = data.draw(self._some())
        self.said.update(dict.fromkeys(chosen, flags))
        self.box.edit().say_flags(dict.fromkeys(chosen, flags))

    @rule(data=st.data(), add=FLAGS)
    def stage(self, data: st.DataObject, add: frozenset[Flag]) -> None:
        for each in data.draw(self._some()):
            self.box.effects.setdefault(each, []).append(FlagChange(add, NONE))
        self.box.edit().refold(self.said)

    @rule(data=st.data())
    def stage_removal(self, data: st.DataObject) -> None:
        for each in data.draw(self._some()):
            self.box.effects.setdefault(each, []).append(Removal())
        self.box.edit().refold(self.said)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        chosen = data.draw(self._some())
        for each in chosen:
            del self.said[each]
            self.box.effects.pop(each, None)
        self.box.edit().remove(chosen)

    def _some(self) -> st.SearchStrategy[list[int]]:
        return st.lists(st.sampled_from(sorted(self.said) or [0]), unique=True, max_size=4).map(
            lambda ids: [each for each in ids if each]
        )

    @rule(who=st.integers(0, 2), limit=st.integers(1, 3))
    def step(self, who: int, limit: int) -> None:
        changes = self.box.changes(self.states[who], limit)
        named = len(changes.created) + len(changes.updated) + len(changes.destroyed)
        assert named <= limit
        for each in (*changes.created, *changes.updated):
            assert each.modseq >= self.modseqs.get(each.id, 0)
            self.modseqs[each.id] = each.modseq
        self._take(who, changes)

    def _take(self, who: int, changes: Changes) -> None:
        picture = self.pictures[who]
        assert not {each.id for each in changes.created} & picture.keys()
        picture.update((each.id, each.flags) for each in (*changes.created, *changes.updated))
        for gone in changes.destroyed:
            picture.pop(gone, None)
        self.states[who] = changes.new_state

    def _expected(self) -> dict[int, frozenset[Flag]]:
        expected = {}
        for key, said in self.said.items():
            flags: frozenset[Flag] | None = said
            for effect in self.box.effects.get(key, ()):
                match effect:
                    case Removal():
                        flags = None
                        break
                    case FlagChange(add, _):
                        flags = flags | add if flags is not None else None
            if flags is not None:
                expected[key] = flags
        return expected

    @invariant()
    def everybody_can_catch_up(self) -> None:
        expected = self._expected()
        for who in range(3):
            state, picture = self.states[who], dict(self.pictures[who])
            changes = self.box.changes(state)
            picture.update((each.id, each.flags) for each in (*changes.created, *changes.updated))
            for gone in changes.destroyed:
                picture.pop(gone, None)
            assert picture == expected

    @invariant()
    def counters_count(self) -> None:
        expected = self._expected()
        unseen = sum(SEEN not in flags for flags in expected.values())
        deleted = sum(DELETED in flags for flags in expected.values())
        assert self.box.status()[:3] == (len(expected), unseen, deleted)

    def teardown(self) -> None:
        self.box.connection.close()
        self.folder.cleanup()


TestFollows = Follows.TestCase
TestFollows.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# Bodies


def keep(connection: Connection, message: int, data: bytes) -> int:
    body = bodies.begin(connection, message, WHOLE, len(data))
    for start in range(0, len(data), 10):
        piece = data[start : start + 10]
        bodies.add_chunk(connection, body, start, chunks.pack(piece), len(piece))
    return bodies.finish(connection, body, BlobId(data.hex()), b"tree")


def read(connection: Connection, body: int, offset: int = 0) -> bytes:
    data = b""
    while part := chunks.read(connection, BODY_CHUNKS, body, offset + len(data)):
        data += part
    return data


def test_a_body_from_any_offset(box: Box) -> None:
    [first] = box.arrive(NONE)
    data = bytes(range(35))
    body = keep(box.connection, first, data)
    for offset in range(36):
        assert read(box.connection, body, offset) == data[offset:]
    found = bodies.find(box.connection, first, WHOLE)
    assert found is not None
    assert found.whole
    assert found.size == 35


def test_the_same_content_is_kept_once(box: Box) -> None:
    first, second = box.arrive(NONE, NONE)
    one, two = keep(box.connection, first, b"same"), keep(box.connection, second, b"same")
    assert one == two
    bodies.drop_orphans(box.connection, ())
    assert len(rows(box.connection, "SELECT id FROM body")) == 1
    box.edit().remove([first])
    bodies.drop_orphans(box.connection, ())
    assert read(box.connection, two) == b"same"
    box.edit().remove([second])
    bodies.drop_orphans(box.connection, {two})
    assert read(box.connection, two) == b"same"
    bodies.drop_orphans(box.connection, ())
    assert rows(box.connection, "SELECT id FROM body_chunk") == []


def test_room_is_made_by_what_was_not_used_for_longest(box: Box) -> None:
    ids = box.arrive(*[NONE] * 4)
    keys = [keep(box.connection, each, bytes([each]) * 9) for each in ids]
    stored = bodies.stored_octets(box.connection)
    assert stored > 0
    bodies.note_use(box.connection, [keys[1], keys[0]])
    assert bodies.evict(box.connection, stored // 2, ()) == 2
    assert [bodies.find(box.connection, each, WHOLE) is not None for each in ids] == [
        True, True, False, False,
    ]  # fmt: skip
    assert bodies.evict(box.connection, 0, {keys[0]}) == 1
    assert bodies.find(box.connection, ids[0], WHOLE) is not None


def test_wanted_bodies_newest_first(box: Box) -> None:
    box.edit().arrive(1, [Arrival(n, n, NONE) for n in (1, 2, 3)], wanted=True)
    assert view.wanted_bodies(box.connection, limit=9) == []  # Nothing is known of them yet.
    box.edit().list_messages(
        [Summary(id=MessageId(n), uid=n, size=n * 10, envelope=b"()") for n in (1, 2, 3)]
    )
    assert view.wanted_bodies(box.connection, limit=9) == [(1, 3, 30), (1, 2, 20), (1, 1, 10)]
    keep(box.connection, 3, b"x")
    bodies.unwant(box.connection, [3])
    bodies.want_all(box.connection)
    assert [message for _, message, _ in view.wanted_bodies(box.connection, limit=9)] == [2, 1]
    bodies.want_none(box.connection)
    assert view.wanted_bodies(box.connection, limit=9) == []


# The file


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ReplicaStore]:
    store = ReplicaStore(tmp_path / "replica-1.sqlite")
    assert await store.open(modseq_floor=100, check=False)
    yield store
    await store.close()


async def test_modseqs_begin_above_the_floor(store: ReplicaStore) -> None:
    assert view.modseq(store.reader) == 100
    await store.close()
    again = ReplicaStore(store.path)
    assert not await again.open(modseq_floor=50, check=True)
    assert view.modseq(again.reader) == 100
    await again.close()


@pytest.mark.parametrize("where", [0, 4096 * 3])
async def test_a_damaged_file_is_set_aside(store: ReplicaStore, where: int) -> None:
    def fill(connection: Connection) -> None:
        edit = Edit(connection, {})
        edit.put_mailbox(1, INBOX, (), listed=True, uid_next=1)
        edit.arrive(1, [Arrival(n, n, NONE) for n in range(1, 2000)], wanted=False)

    await store.write(fill)
    await store.close()
    data = bytearray(store.path.read_bytes())
    data[where : where + 8192] = b"\x55" * 8192
    store.path.write_bytes(data)
    again = ReplicaStore(store.path)
    assert await again.open(modseq_floor=1, check=True)
    assert view.mailboxes(again.reader) == []
    await again.close()
    aside = store.path.with_name(store.path.name + SET_ASIDE)
    assert aside.read_bytes() == data
    erase(store.path)
    assert list(store.path.parent.glob("replica*")) == []
