"""What the tests of the stores share: batches as the recorder makes them, and the kinds of store behind one face."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from hypothesis import settings

from durastream.events import Event, dumps
from durastream.state import RunState
from durastream.stores import Batch, Chunk, FolderStore, MessageRow, RawChunk, Reader, RunInfo, Writer
from durastream.stores.folder import open_reader
from durastream.stores.protocols import REASONING, completed_info
from durastream.testing import MemoryStore, scripted

settings.register_profile("durastream", deadline=None, max_examples=60)
settings.load_profile("durastream")

RUN = "k3v9p2"
INFO = RunInfo(RUN, "nightly", {"team": "a"}, ["python", "agent.py", "é"], "/home/x", "2026-11-23T06:00:00.000000Z")
SRC = str(Path(__file__).parents[2] / "src")

_MESSAGE_TYPES = {"text.delta", "message.started", "text.completed", "text.retracted"}

LOG = scripted(
    [
        ("message.started", {"message_id": "stdout", "role": "assistant"}, 0.0),
        ("plan.created", {"steps": [{"id": "1", "title": "look"}, {"id": "2", "title": "write", "parent": "1"}]}, 0.1),
        ("step.started", {"step_id": "s", "title": "search", "kind": "tool"}, 0.5),
        ("reasoning.delta", {"text": "first "}, 0.5),
        ("text.delta", {"message_id": "answer", "text": "Wrong"}, 0.6),
        ("text.delta", {"message_id": "stdout", "text": "a line\n"}, 0.6),
        ("reasoning.delta", {"text": "then"}, 0.7),
        ("text.retracted", {"message_id": "answer", "reason": "it was"}, 0.8),
        ("text.delta", {"message_id": "answer", "text": "Schrödinger "}, 0.9),
        ("log.line", {"stream": "stderr", "text": "hm\u2028"}, 0.9),
        ("step.progress", {"step_id": "s", "fraction": 0.5}, 1.0),
        ("text.delta", {"message_id": "answer", "text": "🐈 " * 9000}, 1.0),
        ("step.completed", {"step_id": "s", "status": "ok", "output": {"rows": 3}}, 1.5),
        ("step.started", {"step_id": "t", "title": "write"}, 1.6),
        ("plan.updated", {"steps": [{"id": "1", "title": "look", "status": "done"}]}, 1.7),
        ("source.added", {"source_id": "1", "url": "https://example.org", "title": "Example", "origin": "tool"}, 1.8),
        ("quality.checked", {"name": "cites", "outcome": "pass", "score": 0.5, "by": "agent"}, 1.9),
        ("usage.reported", {"scope": "run", "model": "m", "input_tokens": 12, "cost_usd": 0.5}, 2.0),
        ("myapp.cache_hit", {"key": [1, None, "x"]}, 2.0),
        ("step.completed", {"step_id": "t", "status": "failed", "error": "no"}, 2.1),
    ],
    run_id=RUN,
    exit_status={"exit_code": 0},
)
"""A run in which everything that a store treats in a way of its own happens, up to its end."""


def grouped(log: Sequence[Event], sizes: Iterable[int]) -> list[Sequence[Event]]:
    """The log in batches of these sizes, the last of which is used for the rest."""
    sizes = list(sizes)
    groups, at = [], 0
    for size in itertools.chain(sizes, itertools.repeat(sizes[-1])):
        if at >= len(log):
            break
        groups.append(log[at : at + size])
        at += size
    return groups


def batches(log: Sequence[Event], sizes: Iterable[int] = (3,), snapshot_every: int = 2) -> Iterator[Batch]:
    """Batches with what belongs to them, as the recorder makes them."""
    state = RunState()
    for number, group in enumerate(grouped(log, sizes), start=1):
        touched = []
        for event in group:
            state.apply(event)
            if event.type in _MESSAGE_TYPES:
                touched.append(event.data["message_id"])
        chunks = [Chunk(m.message_id, state.seq, text) for m in state.messages.values() if (text := m.drain())]
        if thought := state.reasoning.drain():
            chunks.append(Chunk(REASONING, state.seq, thought))
        rows = [
            MessageRow(m.message_id, m.role, m.since, m.length, m.completed)
            for m in (state.messages[id_] for id_ in dict.fromkeys(touched) if id_ in state.messages)
        ]
        snapshot = dumps(state.dump(text=False)) if snapshot_every and number % snapshot_every == 0 else None
        yield Batch([row(event) for event in group], chunks, rows, (), snapshot)


def unhashed(events: Iterable[Event]) -> list[Event]:
    """Events without their hashes: behind one that cannot be read, a database knows the next only at a whole one."""
    return [event._replace(hash=b"") for event in events]


def row(event: Event) -> tuple[int, str, bytes]:
    return event.seq, event.body, event.hash


def only(*log: Event) -> Batch:
    """A batch of events and nothing else."""
    return Batch([row(event) for event in log])


def raw_chunk(stream: str, offset: int, data: bytes) -> RawChunk:
    return RawChunk(stream, offset, len(data), zlib.compress(data))


def fill(writer: Writer, log: Sequence[Event], *, finish: bool = True, **how: Any) -> Writer:
    """Record a log, whole."""
    for batch in batches(log, **how):
        writer.append(batch)
    state = RunState()
    for event in log:
        state.apply(event)
    if finish and state.completed is not None:
        writer.finish(completed_info(INFO, state, writer.head, f"sha256:{writer.head.hash.hex()}"))
    writer.close()
    return writer


class Kind(Protocol):
    """A kind of store, with room for one run."""

    def create(self, info: RunInfo = INFO) -> Writer: ...
    def resume(self) -> Writer | None: ...
    def reader(self) -> Reader: ...


class Files:
    def __init__(self, folder: str | Path, log: str) -> None:
        self.store = FolderStore(str(folder))
        self.log = log
        self.path = Path(folder) / f"{RUN}{'.db' if log == 'sqlite' else '.jsonl'}"

    def create(self, info: RunInfo = INFO) -> Writer:
        return self.store.create(info, self.log)

    def resume(self) -> Writer | None:
        return self.store.resume(RUN)

    def reader(self) -> Reader:
        return open_reader(str(self.path))


class Memory:
    def __init__(self) -> None:
        self.store = MemoryStore()

    def create(self, info: RunInfo = INFO) -> Writer:
        return self.store.create(info)

    def resume(self) -> Writer | None:
        return self.store.resume(RUN)

    def reader(self) -> Reader:
        return self.store.reader(RUN)


def make(name: str, folder: str | Path) -> Kind:
    return Memory() if name == "memory" else Files(folder, name)


def python(code: str, *words: str) -> str:
    """What a program prints."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("DURASTREAM_")}
    command = [sys.executable, "-W", "error", "-c", code, *words]
    done = subprocess.run(command, env=env | {"PYTHONPATH": SRC}, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout
