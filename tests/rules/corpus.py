"""Recordings with one planted defect each, made from the samples: what every rule must catch, and where.

`forged` is what somebody makes of a file: an edit, with or without all hashes made anew. `lived` is what a recorder
would have stored if the agent had behaved so: numbers, hashes and the answer packet are those of the edited events.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from durastream import answer
from durastream.events import Event, chain, dumps, genesis, loads
from durastream.rules import Course
from durastream.rules.cheap import judge
from durastream.state import RunState

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {
    "demo": ROOT / "recordings" / "wze99y.jsonl",
    "check": ROOT / "recordings" / "4t64k2.jsonl",
    "codex": ROOT / "recordings" / "n22tpx.jsonl",
}

Fields = dict[str, Any]
Edit = Callable[[list[Fields]], object]
"""Edits the events in place. The one where the defect must be found carries the key `here`."""


class Lines:
    """A recording in JSON Lines, taken apart."""

    def __init__(self, path: Path) -> None:
        self.header, *lines = path.read_text(encoding="utf-8").splitlines()
        self.run_id = json.loads(self.header)["run_id"]
        self.raw = [line for line in lines if line.startswith('{"raw":')]
        self.events: list[Fields] = [json.loads(line) for line in lines if line.startswith('{"seq":')]

    def written(self, folder: Path, bodies: list[tuple[str, str]], *, raw: bool) -> Path:
        path = folder / f"{self.run_id}.jsonl"
        lines = [self.header, *(self.raw if raw else ()), *(f'{body[:-1]},"hash":"{told}"}}' for body, told in bodies)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


def find(events: list[Fields], type_: str, nth: int = 0, **match: Any) -> int:
    """The index of the nth event of a type whose data has these fields."""
    found = [
        at
        for at, event in enumerate(events)
        if event["type"] == type_ and all(event["data"].get(name) == value for name, value in match.items())
    ]
    return found[nth]


def _hashed(run_id: str, events: list[Fields], *, renumber: bool) -> tuple[list[tuple[str, str]], int | None]:
    digest, bodies, here = genesis(run_id), [], None
    for at, event in enumerate(events, 1):
        fields = {name: value for name, value in event.items() if name not in ("hash", "here")}
        if renumber:
            fields["seq"] = at
        if event.get("here"):
            here = fields["seq"]
        body = dumps(fields)
        digest = chain(digest, body)
        bodies.append((body, f"sha256:{digest.hex()}"))
    return bodies, here


def forged(
    base: str, edit: Edit, *, renumber: bool = False, raw: bool = True
) -> Callable[[Path], tuple[Path, int | None]]:
    """A file edited by somebody who makes all hashes anew."""

    def make(folder: Path) -> tuple[Path, int | None]:
        lines = Lines(SAMPLES[base])
        events = copy.deepcopy(lines.events)
        edit(events)
        bodies, here = _hashed(lines.run_id, events, renumber=renumber)
        return lines.written(folder, bodies, raw=raw), here

    return make


def lived(base: str, edit: Edit, *, exit_code: int = 0) -> Callable[[Path], tuple[Path, int | None]]:
    """What would have been stored of an agent that behaved so."""

    def make(folder: Path) -> tuple[Path, int | None]:
        lines = Lines(SAMPLES[base])
        events = copy.deepcopy(lines.events)[:-1]
        end = copy.deepcopy(lines.events[-1])
        edit(events)
        end["t"] = max(end["t"], events[-1]["t"])
        state, course = RunState(), Course()
        bodies, _ = _hashed(lines.run_id, events, renumber=True)
        known: list[Event] = [loads(body) for body, _ in bodies]
        course.follow(known, state)
        status = {"exit_code": exit_code}
        end["data"] = {**answer.packet(state, status, judge(state, course, status)), "events": len(events) + 1}
        bodies, here = _hashed(lines.run_id, [*events, end], renumber=True)
        return lines.written(folder, bodies, raw=False), here

    return make


def bytes_of(base: str, edit: Callable[[list[bytes]], int | None]) -> Callable[[Path], tuple[Path, int | None]]:
    """A file whose lines were changed, dropped or put in, and nothing else; the edit says where it must be found."""

    def make(folder: Path) -> tuple[Path, int | None]:
        path = SAMPLES[base]
        lines = path.read_bytes().splitlines(keepends=True)
        here = edit(lines)
        made = folder / path.name
        made.write_bytes(b"".join(lines))
        return made, here

    return make


class Defect(NamedTuple):
    """One planted defect: what makes the recording, the code that must be found, and with which options."""

    code: str
    name: str
    make: Callable[[Path], tuple[Path, int | None]]
    options: Mapping[str, Any] = MappingProxyType({})


def event(type_: str, t: float, src: bool = True, here: bool = False, late: bool = False, **data: Any) -> Fields:
    """An event to put in."""
    made: Fields = {"seq": 0, "ts": "2026-11-23T12:03:50.000000Z", "t": t, "type": type_, "data": data}
    if src:
        made["src"] = {"stream": "events", "offset": 1}
    return {**made, **({"late": True} if late else {}), **({"here": True} if here else {})}


def mark(event: Fields, **data: Any) -> Fields:
    """The event with other data, as the place of the defect."""
    event["data"] = {**event["data"], **data}
    event["here"] = True
    return event


def put(index: Callable[[list[Fields]], int], *made: Fields) -> Edit:
    """Put events in before the one at an index, with its time."""

    def edit(events: list[Fields]) -> None:
        at = index(events)
        for each in made:
            each["t"] = events[min(at, len(events) - 1)]["t"] if each["t"] < 0 else each["t"]
        events[at:at] = copy.deepcopy(list(made))

    return edit


def last(events: list[Fields]) -> int:
    return len(events)


def before(type_: str, nth: int = 0, **match: Any) -> Callable[[list[Fields]], int]:
    return lambda events: find(events, type_, nth, **match)


def change(type_: str, nth: int = 0, here: bool = True, match: Fields | None = None, **data: Any) -> Edit:
    """Other fields in the data of an event."""

    def edit(events: list[Fields]) -> None:
        at = find(events, type_, nth, **(match or {}))
        events[at]["data"] = {**events[at]["data"], **data}
        if here:
            events[at]["here"] = True

    return edit


def both(*edits: Edit) -> Edit:
    def edit(events: list[Fields]) -> None:
        for each in edits:
            each(events)

    return edit


def drop(type_: str, nth: int = 0, *, here: int | None = None, **match: Any) -> Edit:
    """Take an event out; the defect is found at the one that is then `here` places on, or nowhere in particular."""

    def edit(events: list[Fields]) -> None:
        at = find(events, type_, nth, **match)
        del events[at]
        if here is not None:
            events[at + here]["here"] = True

    return edit


def move(type_: str, nth: int, to: Callable[[list[Fields]], int], **match: Any) -> Edit:
    """The event somewhere else in time, as the place of the defect."""

    def edit(events: list[Fields]) -> None:
        moved = events.pop(find(events, type_, nth, **match))
        at = to(events)
        moved["t"] = events[min(at, len(events) - 1)]["t"]
        moved["here"] = True
        events.insert(at, moved)

    return edit


def stretch(factor: float, start: float = 0.0) -> Edit:
    """All that comes after a second of the run takes longer."""

    def edit(events: list[Fields]) -> None:
        for each in events:
            each["t"] = round(each["t"] + max(0.0, each["t"] - start) * (factor - 1), 6)

    return edit


def late_by(seconds: float, at: Callable[[list[Fields]], int], *, here: bool = True) -> Edit:
    """A pause before an event."""

    def edit(events: list[Fields]) -> None:
        index = at(events)
        for each in events[index:]:
            each["t"] = round(each["t"] + seconds, 6)
        if here and index < len(events):
            events[index]["here"] = True

    return edit


def count(events: list[Fields]) -> None:
    """Let the end count what is there."""
    events[-1]["data"]["events"] = len(events)


def seq_line(lines: list[bytes], seq: int) -> int:
    return next(at for at, line in enumerate(lines) if line.startswith(b'{"seq":%d,' % seq))


def swap_bytes(seq: int, old: bytes, new: bytes, found: int | None = None) -> Callable[[list[bytes]], int | None]:
    def edit(lines: list[bytes]) -> int | None:
        at = seq_line(lines, seq)
        assert old in lines[at]
        lines[at] = lines[at].replace(old, new, 1)
        return seq if found is None else found

    return edit


def _without(seq: int) -> Callable[[list[bytes]], int | None]:
    def edit(lines: list[bytes]) -> int | None:
        del lines[seq_line(lines, seq)]
        return seq + 1

    return edit


def _swapped(lines: list[bytes]) -> int:
    at = seq_line(lines, 120)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return 121


def _doubled(lines: list[bytes]) -> int:
    at = seq_line(lines, 120)
    lines.insert(at, lines[at])
    return 120


def _cut(seq: int) -> Callable[[list[bytes]], int | None]:
    def edit(lines: list[bytes]) -> int | None:
        del lines[seq_line(lines, seq) :]
        return seq - 1

    return edit


def _emptied(lines: list[bytes]) -> None:
    del lines[1:]


def _garbage(lines: list[bytes]) -> None:
    lines[seq_line(lines, 50)] = b"{]\n"


def _no_utf8(lines: list[bytes]) -> None:
    at = seq_line(lines, 50)
    lines[at] = (
        lines[at].replace(b'"text', b'"\xff', 1) if b'"text' in lines[at] else lines[at][:20] + b"\xff" + lines[at][21:]
    )


def _torn(lines: list[bytes]) -> None:
    lines[-1] = lines[-1][: len(lines[-1]) // 2]


def _other_raw(lines: list[bytes]) -> int:
    import base64
    import zlib

    at = next(at for at, line in enumerate(lines) if line.startswith(b'{"raw":"stderr"'))
    chunk = json.loads(lines[at])
    data = bytearray(zlib.decompress(base64.b64decode(chunk["zlib"])))
    data[3] ^= 1
    chunk["zlib"] = base64.b64encode(zlib.compress(bytes(data))).decode()
    lines[at] = json.dumps(chunk, separators=(",", ":")).encode() + b"\n"
    return json.loads(lines[-1])["seq"]


WRITE = {"step_id": "write"}
ANSWER = {"message_id": "answer"}


def _declared(**data: Any) -> Edit:
    return put(last, event("run.declared", -1, here=True, **data))


def _text(events: list[Fields]) -> str:
    """The answer of the demo: what came after the draft was taken back."""
    start = find(events, "text.retracted")
    return "".join(
        each["data"]["text"]
        for each in events[start:]
        if each["type"] == "text.delta" and each["data"]["message_id"] == "answer"
    )


def _declare_edited(events: list[Fields]) -> None:
    text = _text(events)
    _declared(status="completed", answer={"message_id": "answer", "text": text.replace("log", "lag", 1)})(events)


def _declare_retracted(events: list[Fields]) -> None:
    stop = find(events, "text.retracted")
    text = "".join(
        each["data"]["text"]
        for each in events[:stop]
        if each["type"] == "text.delta" and each["data"]["message_id"] == "answer"
    )
    _declared(answer={"message_id": "answer", "text": text})(events)


def _no_text(events: list[Fields]) -> None:
    events[:] = [each for each in events if not each["type"].startswith(("text.", "message.", "reasoning."))]
    _declared(answer={"text": "forty-two"})(events)


def _add_words(words: str, **source: Any) -> Edit:
    """One more piece of the answer before it is whole; the defect is found there."""

    def edit(events: list[Fields]) -> None:
        at = find(events, "text.completed", message_id="answer")
        piece = event("text.delta", events[at]["t"], here=not source, message_id="answer", text=words)
        made = [piece]
        if source:
            made.append(event("source.added", events[at]["t"], here=True, **source))
        events[at : at + 1] = made  # without the boundary, which told of the text before

    return edit


def _burst(events: list[Fields]) -> None:
    for each in events[2:]:
        each["t"] = 30.0


def _status(**data: Any) -> Edit:
    return lambda events: mark(events[-1], **data)


def _packet(name: str, **data: Any) -> Edit:
    return lambda events: mark(events[-1], **{name: {**events[-1]["data"][name], **data}})


DEFECTS = [
    # log
    Defect("seq-gap", "an event was dropped", bytes_of("demo", _without(120))),
    Defect("seq-gap", "two events were swapped", bytes_of("demo", _swapped)),
    Defect("seq-gap", "an event was put in twice", bytes_of("demo", _doubled)),
    Defect("hash-chain", "a letter was changed", bytes_of("demo", swap_bytes(37, b"worth", b"wirth"))),
    Defect("hash-chain", "a time was changed", bytes_of("check", swap_bytes(9, b'"ts":"2026', b'"ts":"2025'))),
    Defect("hash-chain", "a hash was changed", bytes_of("demo", lambda lines: _edit_hash(lines, 77))),
    Defect(
        "hash-chain", "the first event was changed", bytes_of("codex", swap_bytes(1, b'"cwd":"/tmp', b'"cwd":"/tmq'))
    ),
    Defect("time-back", "a time before the one before", forged("demo", lambda events: mark(events[99]).update(t=0.01))),
    Defect("run-start", "no start", forged("check", lambda events: mark(events[0], text="x").update(type="log.line"))),
    Defect("run-start", "two starts", forged("demo", lambda events: mark(events[50]).update(type="run.started"))),
    Defect(
        "after-end",
        "an event behind the end",
        forged(
            "codex",
            lambda events: events.append(
                event("log.line", 9.0, src=False, here=True, text="x") | {"seq": len(events) + 1}
            ),
        ),
    ),
    Defect("event-count", "a wrong count", forged("demo", _status(events=300))),
    Defect(
        "event-count",
        "an event was taken out and all made anew",
        forged("demo", both(drop("step.progress"), lambda events: mark(events[-1])), renumber=True),
    ),
    Defect("unsealed", "the end was cut off", bytes_of("demo", _cut(303))),
    Defect("unsealed", "half of it was cut off", bytes_of("demo", _cut(150))),
    Defect("empty", "nothing but the header", bytes_of("demo", lambda lines: _emptied(lines))),
    Defect("unreadable", "a line that is no JSON", bytes_of("demo", lambda lines: _garbage(lines))),
    Defect("unreadable", "a byte that is no UTF-8", bytes_of("demo", lambda lines: _no_utf8(lines))),
    Defect("torn", "the last line is half a line", bytes_of("demo", lambda lines: _torn(lines))),
    Defect("seal", "another seal", bytes_of("demo", lambda lines: None), {"seal": "sha256:" + "0" * 64}),
    Defect("malformed", "a piece of no message", forged("demo", lambda events: _bare(events, "text.delta"))),
    Defect("malformed", "a step without a title", forged("demo", lambda events: _bare(events, "step.started"))),
    Defect("check-forged", "the agent signs as durastream", lived("demo", change("quality.checked", by="durastream"))),
    Defect(
        "bytes-unaccounted",
        "a log line was taken out",
        forged("check", both(drop("log.line", 2, here=0, stream="stderr"), count), renumber=True),
    ),
    Defect(
        "bytes-unaccounted",
        "a step's progress was taken out",
        forged("demo", both(drop("step.progress", 1, here=0), count), renumber=True),
    ),
    Defect(
        "bytes-unaccounted",
        "the last log line was taken out",
        forged("check", both(drop("log.line", -1, stream="stderr"), count), renumber=True),
    ),
    Defect(
        "bytes-unaccounted",
        "an event stands behind the bytes",
        forged(
            "demo",
            lambda events: mark(events[find(events, "text.completed", message_id="answer")]).update(
                src={"stream": "events", "offset": 10**6}
            ),
        ),
    ),
    Defect(
        "bytes-doubled",
        "an event was doubled and all made anew",
        forged("check", lambda events: _again(events, "log.line"), renumber=True),
    ),
    Defect(
        "line-rejected",
        "a line that is no event",
        lived(
            "demo",
            put(
                before("step.started", 2),
                event("raw.rejected", -1, here=True, reason="step.started: title: Field required", text="{}"),
            ),
        ),
    ),
    Defect(
        "type-unknown",
        "a type of its own",
        lived("demo", put(last, event("myapp.cache_hit", -1, here=True, key="x"))),
        {"severity": "info"},
    ),
    Defect(
        "event-unmapped",
        "a line without a mapping",
        lived("demo", put(last, event("raw.event", -1, here=True, json={}, reason="no mapping"))),
        {"severity": "info"},
    ),
    Defect(
        "read-late",
        "the recorder was down",
        lived("demo", lambda events: mark(events[60]).update(late=True)),
        {"severity": "info"},
    ),
    Defect(
        "read-late",
        "a new recorder",
        lived("demo", put(before("step.started", 3), event("run.resumed", -1, src=False, here=True, reason="x"))),
        {"severity": "info"},
    ),
    # recover
    Defect("raw", "a raw byte was changed", bytes_of("check", _other_raw)),
    # visibility
    Defect(
        "plan-late",
        "the plan comes after the draft",
        lived("demo", lambda events: _late_plan(events, "text.delta", -5)),
    ),
    Defect(
        "plan-after-step",
        "the plan comes after the first step",
        lived("demo", lambda events: _late_plan(events, "step.progress", 0)),
        {"severity": "info"},
    ),
    Defect(
        "step-after-answer",
        "a step after the whole answer",
        lived(
            "demo",
            put(
                last,
                event("step.started", -1, here=True, step_id="x", title="search"),
                event("step.completed", -1, step_id="x", status="ok"),
            ),
        ),
    ),
    Defect("burst-at-end", "all at once after 30 s", lived("demo", _burst)),
    Defect(
        "first-event-late",
        "nothing for 5 s",
        lived("demo", late_by(5, before("plan.created"), here=False)),
        {"first-event": "2s"},
    ),
    Defect("first-event-late", "nothing at all", lived("demo", lambda events: _silent(events)), {"first-event": "2s"}),
    Defect(
        "silence-long",
        "40 s before a source",
        lived("demo", late_by(40, before("source.added", 2))),
        {"max-silence": "30s"},
    ),
    Defect(
        "silence-long",
        "40 s before the end",
        lived(
            "demo",
            both(late_by(40, lambda events: len(events) - 1, here=False), lambda events: events[-1].pop("src", None)),
        ),
        {"max-silence": "30s"},
    ),
    Defect(
        "silence-share",
        "20 s of 29",
        lived("demo", late_by(20, before("source.added", 1), here=False)),
        {"max-silent-share": 0.5},
    ),
    # reconcile
    Defect("answer-differs", "a declared answer with one letter changed", lived("demo", _declare_edited)),
    Defect("answer-differs", "a declared hash", lived("demo", _declared(answer={"sha256": "0" * 64}))),
    Defect(
        "answer-differs",
        "a boundary with another hash",
        lived("demo", change("text.completed", match=ANSWER, sha256="0" * 64)),
    ),
    Defect(
        "answer-differs",
        "a boundary with another length",
        lived("demo", change("text.completed", match=ANSWER, length=3)),
    ),
    Defect(
        "answer-differs",
        "another text in the packet",
        forged("demo", lambda events: mark(events[-1], answer={**events[-1]["data"]["answer"], "text": "forty-two"})),
    ),
    Defect(
        "answer-differs",
        "another message in the packet",
        forged(
            "demo", lambda events: mark(events[-1], answer={**events[-1]["data"]["answer"], "message_id": "stdout"})
        ),
    ),
    Defect(
        "answer-differs",
        "a piece of the stream was changed",
        forged("demo", lambda events: (mark(events[-1]), events[200]["data"].update(text="lag"))),
    ),
    Defect("answer-unstreamed", "declared and never streamed", lived("demo", _no_text)),
    Defect("answer-retracted", "the draft that was taken back", lived("demo", _declare_retracted)),
    Defect(
        "step-open",
        "a completion was taken out and all made anew",
        forged("demo", lambda events: _open(events), renumber=True),
    ),
    Defect("step-abandoned", "a step that the agent left open", lived("demo", lambda events: _abandoned(events))),
    Defect(
        "step-reopened",
        "a step started twice",
        lived(
            "demo",
            put(before("step.completed", 0), event("step.started", -1, here=True, step_id="search", title="again")),
        ),
    ),
    Defect(
        "step-unopened",
        "a step closed and never started",
        lived(
            "demo", put(before("step.started", 1), event("step.completed", -1, here=True, step_id="ghost", status="ok"))
        ),
    ),
    Defect(
        "step-unopened",
        "the progress of a step that was never started",
        lived("demo", put(before("step.started", 1), event("step.progress", -1, here=True, step_id="ghost"))),
    ),
    Defect("packet", "another status", forged("demo", _status(status="failed"))),
    Defect("packet", "another exit code", forged("demo", _status(exit_code=1))),
    Defect(
        "packet",
        "one source more",
        forged("demo", lambda events: mark(events[-1], sources=[*events[-1]["data"]["sources"], "9"])),
    ),
    Defect("packet", "one check more", forged("demo", _packet("checks", **{"pass": 9}))),
    Defect("packet", "fewer tokens", forged("demo", _packet("usage", input_tokens=1))),
    Defect("packet", "no step failed", forged("demo", _packet("steps", failed=0))),
    Defect("packet", "not reconciled, for no reason", forged("demo", _status(reconciled=False))),
    Defect("status-disagrees", "a success flag that lies", lived("demo", _declared(status="completed"), exit_code=1)),
    Defect("status-disagrees", "a failure with exit code 0", lived("demo", _declared(status="failed"))),
    Defect(
        "error-ignored",
        "a fatal error and a good end",
        lived(
            "demo",
            both(
                put(before("step.started", 4), event("error.raised", -1, here=True, message="no index", fatal=True)),
                put(last, event("run.declared", -1, status="completed")),
            ),
        ),
    ),
    Defect(
        "check-failed",
        "a required check that failed",
        lived("demo", put(last, event("quality.checked", -1, name="is safe", outcome="fail", required=True))),
    ),
    Defect(
        "check-failed",
        "a check of the project that was never made",
        bytes_of("demo", lambda lines: None),
        {"required-checks": ["is safe"]},
    ),
    Defect("checks-differ", "more checks declared than made", lived("demo", _declared(checks={"pass": 7, "warn": 3}))),
    Defect("sources-differ", "a source declared and never streamed", lived("demo", _declared(sources=["1", "src-9"]))),
    Defect("source-missing", "a link out of nowhere", lived("demo", _add_words(" See https://example.org/invented."))),
    Defect("citation-unknown", "a number without a source", lived("demo", _add_words(" And so say all [7]."))),
    Defect(
        "source-late",
        "a source after the words that cite it",
        lived(
            "demo",
            _add_words(
                " As said in https://example.org/late.", source_id="5", url="https://example.org/late", origin="tool"
            ),
        ),
    ),
    Defect(
        "source-unseen",
        "a source that only the answer names",
        lived("demo", put(last, event("source.added", -1, source_id="6", url="https://example.org/x", origin="text"))),
        {"severity": "info"},
    ),
    Defect(
        "usage-differs",
        "turns that add up to something else",
        lived("demo", put(last, event("usage.reported", -1, scope="turn", input_tokens=5))),
    ),
    Defect(
        "usage-differs",
        "other totals declared",
        lived("demo", put(last, event("run.declared", -1, usage={"input_tokens": 1}))),
    ),
    Defect("plan-open", "an entry left open", lived("demo", lambda events: _open_plan(events)), {"severity": "info"}),
    Defect(
        "step-unplanned",
        "a step outside of the plan",
        lived("demo", lambda events: _outside(events)),
        {"severity": "info"},
    ),
    Defect(
        "approval-open",
        "nobody answered",
        lived(
            "demo",
            put(
                before("step.started", 2),
                event("approval.requested", -1, here=True, approval_id="a", title="rm -r build"),
            ),
        ),
    ),
    Defect(
        "artifact-missing",
        "a file that is not there",
        lived("demo", change("artifact.created", here=False, path="/nowhere/notes.md")),
        {"artifacts": True},
    ),
    Defect(
        "artifact-differs",
        "another file",
        lived("demo", change("artifact.created", here=False, path=str(ROOT / "LICENSE"))),
        {"artifacts": True},
    ),
    Defect(
        "artifact-differs",
        "a file that was deleted",
        lived("demo", change("artifact.created", here=False, path=str(ROOT / "LICENSE"), action="delete")),
        {"artifacts": True},
    ),
]


def _edit_hash(lines: list[bytes], seq: int) -> int:
    at = seq_line(lines, seq)
    lines[at] = lines[at][:-4] + (b"0" if lines[at][-4:-3] != b"0" else b"1") + lines[at][-3:]
    return seq


def _bare(events: list[Fields], type_: str) -> None:
    at = find(events, type_, 3)
    events[at]["data"] = {"step_id": "x"}
    events[at]["here"] = True


def _again(events: list[Fields], type_: str) -> None:
    at = find(events, type_, 4)
    while "length" in events[at]["src"] or events[at]["src"] == events[at + 1].get("src"):
        at += 1
    events.insert(at + 2, {**copy.deepcopy(events[at]), "t": events[at + 1]["t"], "here": True})
    count(events)


def _late_plan(events: list[Fields], type_: str, nth: int) -> None:
    plans = [each for each in events if each["type"].startswith("plan.")]
    events[:] = [each for each in events if not each["type"].startswith("plan.")]
    at = find(events, type_, nth)
    events.insert(at, {**plans[-1], "t": events[at]["t"], "here": True})


def _silent(events: list[Fields]) -> None:
    events[:] = [each for each in events if each["type"].startswith(("run.", "usage.", "message."))]
    events.append(event("usage.reported", 5.0, input_tokens=1))


def _open(events: list[Fields]) -> None:
    del events[find(events, "step.completed", step_id="search")]
    events[find(events, "step.started", step_id="search")]["here"] = True
    count(events)


def _abandoned(events: list[Fields]) -> None:
    events[find(events, "step.started", step_id="search")]["here"] = True
    events[find(events, "step.completed", step_id="search")]["data"].update(status="abandoned")


def _open_plan(events: list[Fields]) -> None:
    at = find(events, "plan.updated", -1)
    events[at]["data"]["steps"][2]["status"] = "pending"
    events[at]["here"] = True


def _outside(events: list[Fields]) -> None:
    """A plan whose entries are steps, one of which is none."""
    for each in events:
        if each["type"].startswith("plan."):
            each["data"]["steps"] = [{"id": "search", "title": "Find", "status": "done"}]
        elif each["type"] == "step.started":
            each["data"]["parent"] = None if each["data"]["step_id"] in ("search", "compare") else "search"
    outside = find(events, "step.started", step_id="compare")
    events[outside]["here"] = True
