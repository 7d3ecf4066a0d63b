"""The player: where a viewer stands in a run, and what comes next; by a clock that is passed in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from durastream.events import Event
from durastream.player import Player
from durastream.replay import Marker
from durastream.state import RunState, fold
from durastream.testing import FakeClock, MemoryStore, scripted
from durastream.timeline import Timeline

TOLD = [
    ("step.started", {"step_id": "a", "title": "search"}, 1.0),
    ("text.delta", {"message_id": "m", "text": "one "}, 2.0),
    ("step.completed", {"step_id": "a", "status": "ok"}, 3.0),
    ("step.started", {"step_id": "b", "title": "write"}, 4.0),
    ("text.delta", {"message_id": "m", "text": "two "}, 4.0),
    ("text.delta", {"message_id": "m", "text": "three"}, 20.0),
]
EVENTS = scripted(TOLD, exit_status={"exit_code": 0})  # 8 events: run.started at 0, run.completed at 20


class Stored:
    """A run in a list."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)
        self.reads = 0
        self.lightened: list[int] = []

    def last(self) -> int:
        return len(self.events)

    def read(self, after: int, limit: int) -> Sequence[Event]:
        self.reads += 1
        return self.events[after : after + limit]

    def state(self, seq: int) -> RunState:
        return fold(self.events[:seq])

    def light(self, seq: int) -> RunState | None:
        self.lightened.append(seq)
        return self.state(seq)

    def at(self, t: float) -> int:
        return sum(1 for event in self.events if event.t <= t)

    def markers(self) -> Sequence[Marker]:
        return [Marker("a", "search", 1.0), Marker("b", "write", 4.0)]

    def began(self, marker: Marker) -> int:
        return 2 if marker.step_id == "a" else 5

    def find(self, words: str, after: int, upto: int | None = None) -> int | None:
        return next((e.seq for e in self.events[after:upto] if words in e.data.get("text", "")), None)


class Watched:
    """A player, and who folds what it gives."""

    def __init__(self, events: Sequence[Event] = EVENTS, *, at: int = 0, **how: Any) -> None:
        self.clock = FakeClock(100.0)
        self.stored = Stored(events)
        self.state = fold(events[:at])
        self.player = Player(self.stored, self.state, clock=self.clock, sleep=self.clock.sleep, **how)
        self._batches = iter(self.player)
        self.ended = False

    def turn(self) -> list[int]:
        """The seqs of one batch, folded; nothing when there is none."""
        batch = next(self._batches, None)
        if batch is None:
            self.ended = True
            return []
        fold(batch, self.state)
        return [event.seq for event in batch]

    def until(self, seq: int) -> None:
        while self.state.seq < seq:
            before = self.clock.now
            self.turn()
            assert not self.ended
            assert self.clock.now - before < 1


def test_left_alone_it_plays_at_the_pace_of_the_run_and_ends() -> None:
    watched = Watched()
    came = []
    while not watched.ended:
        came += [(round(watched.clock.now - 100, 6), seq) for seq in watched.turn()]
    assert came == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6), (20, 7), (20, 8)]
    assert watched.player.over


def test_a_pause_holds_time_and_goes_on_where_it_stood() -> None:
    watched = Watched()
    watched.until(2)
    watched.turn()
    watched.player.toggle_pause()
    stood = watched.player.time
    assert 1 < stood < 2
    for _ in range(100):
        assert watched.turn() == []
    assert watched.player.time == stood
    paused = watched.clock.now
    watched.player.toggle_pause()
    watched.until(3)
    assert watched.clock.now - paused == pytest.approx(2 - stood)


def test_text_that_was_folded_long_ago_is_left_to_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durastream.player._HELD", 1)
    watched = Watched()
    watched.until(5)
    assert watched.stored.lightened == [1, 2, 3, 4]
    while not watched.ended:
        watched.turn()
    assert watched.state.dump() == fold(EVENTS).dump()


def test_speed_changes_from_here_on_and_time_does_not_jump() -> None:
    watched = Watched()
    watched.until(2)
    watched.turn()
    stood, began = watched.player.time, watched.clock.now
    watched.player.faster()
    assert watched.player.speed == 2
    assert watched.player.time == stood
    watched.until(3)
    assert watched.clock.now - began == pytest.approx((2 - stood) / 2)
    for _ in range(20):
        watched.player.faster()
    assert math.isinf(watched.player.speed)
    for _ in range(20):
        watched.player.faster(-1)
    assert watched.player.speed == 0.1


def test_after_a_seek_the_state_is_that_of_the_event_and_the_rest_comes_when_it_is_due() -> None:
    watched = Watched()
    watched.until(6)
    watched.player.to_time(2.5)
    assert watched.state.seq == 3
    assert watched.state.dump() == fold(EVENTS[:3]).dump()
    assert watched.player.time == 2.5
    began = watched.clock.now
    watched.until(4)
    assert watched.clock.now - began == pytest.approx(0.5)
    watched.player.to_time(19)
    assert (watched.state.seq, watched.player.time) == (6, 19)
    watched.player.skip(-5)
    assert (watched.state.seq, watched.player.time) == (6, 14)
    watched.player.skip(-500)
    assert watched.state.seq == 1


def test_who_has_chosen_a_place_stays_at_the_end_and_can_play_again() -> None:
    watched = Watched()
    watched.turn()
    watched.player.to_time(19.9)
    for _ in range(10):
        watched.turn()
    assert (watched.ended, watched.state.seq, watched.player.note) == (False, 8, "the end")
    assert watched.player.paused
    watched.player.toggle_pause()
    assert watched.state.seq == 1
    watched.until(2)
    watched.player.follow()
    while not watched.ended:
        watched.turn()


def test_steps_are_places_to_go_to() -> None:
    watched = Watched()
    watched.turn()
    watched.player.toggle_pause()
    went = []
    for by in (1, 1, 1, -1, -1):
        watched.player.to_step(by)
        went.append((watched.state.seq, watched.player.note))
    assert went == [(2, ""), (5, ""), (5, "no step behind this one"), (2, ""), (2, "no step before this one")]


def test_back_a_step_while_playing_is_not_to_the_one_that_has_just_begun() -> None:
    watched = Watched()
    watched.until(6)
    watched.player.to_step(-1)
    assert watched.state.seq == 2


def test_one_event_at_a_time() -> None:
    watched = Watched()
    for seq in (1, 2, 3):
        watched.player.one_event()
        assert watched.turn() == [seq]
        assert watched.turn() == []
    assert watched.player.paused


def test_tenths_start_and_end() -> None:
    watched = Watched()
    watched.turn()
    watched.player.to_part(0.2)
    assert (watched.state.seq, watched.player.time) == (6, 4)
    watched.player.to_end()
    assert watched.state.seq == 8
    watched.player.to_start()
    assert watched.state.seq == 1
    still = Watched([event._replace(t=0.0) for event in EVENTS])
    still.turn()
    still.player.to_part(0.5)
    assert still.state.seq == 4, "a run without times has its middle in the middle of its events"


def test_a_part_of_a_run_begins_at_once_and_ends_where_it_should() -> None:
    watched = Watched(at=2, first=3, last=6)
    came = []
    while not watched.ended:
        came += [(round(watched.clock.now - 100, 6), seq) for seq in watched.turn()]
    assert came == [(0, 3), (1, 4), (2, 5), (2, 6)]
    assert watched.player.span() == (2.0, 4.0)
    watched.player.to_start()
    assert watched.state.seq == 3
    watched.player.to_end()
    assert watched.state.seq == 6


def test_a_loop_begins_again() -> None:
    watched = Watched(loop=True, first=5, at=4, last=6)
    assert [seqs for _ in range(5) if (seqs := watched.turn())] == [[5, 6], [6], [6]]
    alone = Watched(loop=True, first=5, at=4, last=5)
    assert [alone.turn() for _ in range(4)] == [[5], [], [], []], "whoever waits for a key gets a turn"


def test_a_silence_that_is_cut_is_told_while_it_lasts() -> None:
    watched = Watched(idle_limit=2.0)
    watched.until(6)
    assert watched.player.silence == 16.0
    began = watched.clock.now
    watched.until(7)
    assert watched.clock.now - began == pytest.approx(2.0)
    assert watched.player.silence == 0


def test_a_search_stands_still_where_the_words_came_and_begins_anew_at_the_end() -> None:
    watched = Watched()
    watched.turn()
    watched.player.search("two")
    assert (watched.state.seq, watched.player.paused, watched.player.note) == (6, True, "found: two")
    watched.player.search("one")
    assert (watched.state.seq, watched.player.note) == (3, "found from the start: one")
    watched.player.search("four")
    assert (watched.state.seq, watched.player.note) == (3, "nowhere in this run: four")


def test_a_change_of_speed_reads_nothing_again() -> None:
    watched = Watched()
    watched.until(2)
    reads = watched.stored.reads
    for _ in range(5):
        watched.player.faster(-1)
        watched.turn()
    assert watched.stored.reads == reads


# a run that goes on


class Live(Watched):
    """A run of which more is stored with each turn that finds nothing new."""

    def __init__(self, stored: int, **how: Any) -> None:
        self.followed: list[int] = []
        super().__init__(EVENTS[:stored], at=stored, follow=self.follow, **how)

    def follow(self, after: int) -> Iterator[Sequence[Event]]:
        self.followed.append(after)
        while True:
            if new := self.stored.events[after:]:
                after = new[-1].seq
                yield new
                if after == len(EVENTS):
                    return
            self.clock.sleep(0.1)
            yield []

    def store(self, upto: int) -> None:
        self.stored.events = list(EVENTS[:upto])


def test_who_follows_gets_what_is_committed_and_ends_with_the_run() -> None:
    live = Live(2)
    assert live.player.following
    assert live.turn() == []
    live.store(4)
    assert live.turn() == [3, 4]
    live.store(8)
    live.turn()
    while not live.ended:
        live.turn()
    assert live.state.seq == 8


def test_who_stands_still_misses_nothing_and_comes_back_to_the_end() -> None:
    live = Live(3)
    live.turn()
    live.player.toggle_pause()
    live.store(6)
    assert [live.turn() for _ in range(5)] == [[]] * 5
    live.player.follow()
    assert live.state.seq == 6
    assert live.state.dump() == fold(EVENTS[:6]).dump()
    live.turn()
    assert live.followed[-1] == 6


def test_who_went_back_sees_it_again_at_its_pace_and_then_what_came_since() -> None:
    live = Live(4)
    live.turn()
    live.player.to_start()
    live.store(6)
    while not live.player.following:
        live.turn()
    assert live.state.seq == 6
    assert live.clock.now - 100 >= 4
    live.store(8)
    for _ in range(5):
        live.turn()
    assert not live.ended, "who has gone back is not put out at the end"
    assert (live.state.seq, live.player.note) == (8, "the end")


def test_to_go_beyond_the_end_of_a_run_that_goes_on_is_to_follow_it() -> None:
    live = Live(4)
    live.turn()
    for go in (live.player.to_end, lambda: live.player.skip(500), live.player.follow):
        live.player.to_start()
        assert not live.player.following
        go()
        assert (live.player.following, live.state.seq) == (True, 4)


def test_it_is_known_how_far_one_is_behind() -> None:
    epoch = 1_795_413_600.0  # the moment at which the script began
    wall = FakeClock(epoch + EVENTS[3].t + 3.0)
    live = Live(4, wall=wall)
    assert live.player.time == pytest.approx(6.0)
    assert live.player.behind == 0

    def pass_time(seconds: float) -> None:
        live.clock.sleep(seconds)
        wall.sleep(seconds)

    pass_time(4)
    assert live.player.time == pytest.approx(10.0)
    live.player.skip(-9)
    assert live.player.behind == pytest.approx(9.0)
    live.player.toggle_pause()
    pass_time(5)
    assert live.player.behind == pytest.approx(14.0)


def test_it_is_known_how_fast_events_come_and_how_late_they_are() -> None:
    wall = FakeClock(1_795_413_600.0 + EVENTS[5].t)
    live = Live(4, wall=wall)
    assert live.player.flow is None
    live.turn()
    live.clock.sleep(1.9)
    live.store(6)
    wall.sleep(0.25)
    live.turn()
    rate, lag = live.player.flow or (0, 0)
    assert (round(rate, 6), round(lag, 6)) == (1.0, 0.25)
    live.clock.sleep(6)
    assert live.player.flow is None
    live.store(7)
    live.turn()
    live.player.toggle_pause()
    assert live.player.flow is None


# the line of time, on a store


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(reader_of(EVENTS))


def reader_of(events: Sequence[Event]) -> Any:
    from durastream.stores import Batch, RunInfo

    store = MemoryStore()
    writer = store.create(RunInfo("k3v9p2", None, {}, [], "/", ""))
    writer.append(Batch([(event.seq, event.body, event.hash) for event in events]))
    return store.reader("k3v9p2")


def test_a_time_a_step_and_an_event_have_their_place(timeline: Timeline) -> None:
    assert [timeline.at(t) for t in (-1, 0, 3.5, 4, 19, 99)] == [0, 1, 4, 6, 6, 8]
    assert [timeline.before(t) for t in (0, 4, 99)] == [0, 4, 8]
    assert [(mark.title, mark.t) for mark in timeline.markers()] == [("search", 1.0), ("write", 4.0)]
    assert [timeline.began(mark) for mark in timeline.markers()] == [2, 5]
    assert timeline.first_of(("seq", 3), "--from") == 3
    assert timeline.first_of(("t", 4.0), "--from") == 5
    assert timeline.last_of(("t", 4.0), "--to") == 6
    assert timeline.last_of(("seq", 3), "--to") == 3
    for title in ("write", "WRI", "rit"):
        assert timeline.first_of(("step", title), "--from") == 5
    assert timeline.last_of(("step", "search"), "--to") == 4
    assert timeline.last_of(("step", "write"), "--to") == 8, "it never ended"
    with pytest.raises(Exception, match="no step of run k3v9p2"):
        timeline.first_of(("step", "dance"), "--from")


def test_words_are_found_where_they_are_complete(timeline: Timeline) -> None:
    assert timeline.find("ONE TWO", 0) == 6
    assert timeline.find("e", 6) == 7
    assert timeline.find("search", 0) == 2
    assert timeline.find("search", 2) is None


def test_words_are_found_across_events_in_any_case_and_only_once_they_are_whole() -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    for text in ("Caf\u00e9 Noir", " or a st", "ep 1", "2 of ", "it. ", "Again: CAF\u00c9"):
        told += [("text.delta", {"message_id": "m", "text": text}), ("reasoning.delta", {"text": text.upper()})]
    told.insert(6, ("text.retracted", {"message_id": "m", "reason": "no"}))
    timeline = Timeline(reader_of(scripted(told)))
    # run.started is event 1, and what m said up to the retraction, event 8, was taken back
    assert timeline.find("step 12", 0) == 10, "in what is thought"
    assert timeline.find("caf\u00e9", 3) == 13
    assert timeline.find("step 12", 10) is None
    assert timeline.find("again", 0, 13) == 13
    assert timeline.find("again", 0, 12) is None


def test_a_state_that_is_had_from_one_kept_before_is_that_of_reading_from_the_start() -> None:
    events = scripted([(type_, data, n / 100) for n, (type_, data) in enumerate(_much())])
    timeline = Timeline(reader_of(events))
    for seq in (9000, 8990, 4000, 4001, 1, 1499, 1500, 8999, 3999, 0, 6200, 6100, 6250):
        state = timeline.state(seq)
        assert state.dump() == fold(events[:seq]).dump()
        fold(events[seq : seq + 3], state)  # what a viewer does with it changes nothing that is kept


def _much() -> Iterator[tuple[str, dict[str, Any]]]:
    for n in range(1500):
        yield "step.started", {"step_id": f"s{n}", "title": f"step {n}"}
        yield "step.progress", {"step_id": f"s{n - n % 7}", "message": f"at {n}", "fraction": 0.5}
        yield "text.delta", {"message_id": f"m{n % 3}", "text": f"word {n} "}
        yield "approval.requested", {"approval_id": f"a{n % 50}", "title": "may I?"}
        yield "approval.resolved", {"approval_id": f"a{n % 50}", "decision": "yes"}
        yield "step.completed", {"step_id": f"s{n}", "status": "ok"}


def test_a_place_in_a_long_run_is_found_with_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    events = scripted([("log.line", {"text": "x"}, n / 10) for n in range(3000)])
    reader = reader_of(events)
    monkeypatch.setattr(reader, "snapshots", lambda: [2000])
    looks = []
    read = reader.read
    monkeypatch.setattr(
        reader, "read", lambda after=0, limit=5000, **how: looks.append(limit) or read(after, limit, **how)
    )
    assert Timeline(reader).at(150.0) == 1502
    assert len(looks) < 20
    assert set(looks) == {1}
