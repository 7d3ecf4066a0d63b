"""A recording is data: whatever is in it, nothing acts on the terminal of whoever uses any command on it."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import CLI, SRC
from hostile_looks import ALL, COMMANDS, WORD, Store, acted, looked, looks, made, outputs, record
from hostile_payloads import HARMLESS, PAYLOADS, escaped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from durastream.events import Event
from durastream.spool import STREAMS, Spool, boot_id
from durastream.state import RunState
from durastream.stores import Reader
from durastream.stores.folder import open_reader
from durastream.views import jsonl, live, plain


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return made(tmp_path_factory.mktemp("hostile"))


def test_there_are_payloads_enough_and_the_oracle_knows_them_all() -> None:
    assert len(PAYLOADS) >= 80
    assert len(set(PAYLOADS.values())) == len(PAYLOADS)
    for name, payload in PAYLOADS.items():
        caught = escaped(payload.encode("utf-8", "surrogatepass"))
        assert bool(caught) is (name not in HARMLESS), name


def test_every_command_is_looked_at(store: Store) -> None:
    assert set(looks(store)) == set(COMMANDS)


@pytest.mark.parametrize("terminal", [False, True], ids=["in a pipe", "in a terminal"])
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("rm", "run", "demo")] + ["rm"])
def test_nothing_that_was_recorded_acts_on_who_looks(store: Store, command: str, *, terminal: bool) -> None:
    for words, done in outputs(store, command, terminal=terminal):
        assert b"Traceback" not in done.out + done.err, (words, done.err.decode())
        assert done.code != 99
        assert done.out + done.err, words
        assert acted(words, done, terminal=terminal) == set(), words
    for report in ("j", "s") if command == "verify" else ():
        assert escaped((store.folder.parent / report).read_bytes(), json=True) == set()


def test_the_same_oracle_catches_what_is_printed_as_it_is(store: Store) -> None:
    raw = looked(["replay", store.run, "--speed", "max", "--view", "raw"], store.folder, terminal=True)
    assert len(escaped(raw.out, drawn=True)) > 60
    assert escaped(looked(["cat", store.run], store.folder).out)


def test_plain_markup_is_shown_as_it_was_written(store: Store) -> None:
    shown = looked(["replay", store.run, "--speed", "max", "--view", "plain"], store.folder).out.decode()
    for name in HARMLESS - {"workflow commands"}:
        assert PAYLOADS[name] in shown, name


def options(command: str) -> Iterator[list[str]]:
    """Words for a command with a hostile one in each place where one can stand."""
    params = COMMANDS[command].params
    needed = [param for param in params if param.param_type_name == "argument" and param.required]
    yield [command, *(WORD for _ in needed), WORD, WORD]
    if needed:
        yield [command, *(WORD for _ in needed)]
    if command in ("run", "demo"):
        return  # a store of any name can be made, and then it starts
    for param in params:
        if param.param_type_name == "option" and not param.is_flag and param.name != "help":
            yield [command, param.opts[-1], WORD, *("latest" for _ in needed)]
        yield [command, f"{param.opts[-1]}{WORD}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_hostile_word_of_the_command_line_is_shown_and_does_nothing(store: Store, command: str) -> None:
    for words in options(command):
        done = looked([word.replace("\0", "") for word in words], store.folder)
        assert b"Traceback" not in done.err, (words, done.err.decode())
        assert done.code != 99
        assert escaped(done.out) == escaped(done.err) == set(), words


def test_the_log_of_a_recorder_that_failed_is_safe_to_print(store: Store, tmp_path: Path) -> None:
    fine = {"command": ["x"], "cwd": "/", "started_at": "", "log": "sqlite", "started": 1.0, "mono": 1.0}
    spool = Spool.create(str(tmp_path), {**fine, "boot_id": boot_id(), "terminal": {ALL: ALL}, "log": ALL})
    os.close(spool.lock("supervisor"))
    words = [*CLI[:2], "-m", "durastream.recorder", spool.store, spool.run_id]
    done = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONPATH": SRC}, check=False)
    assert done.returncode == 70
    assert b"Traceback" in done.stderr
    assert escaped(done.stderr) == escaped(Path(spool.file("trouble.json")).read_bytes()) == set()


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*[st.binary(max_size=300) | st.binary(max_size=300).map(lambda each: b"{" + each + b"\n")] * 3))
def test_arbitrary_bytes_come_back_as_they_were_and_do_nothing(tmp_path: Path, streams: tuple[bytes, ...]) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = str(folder / record(folder, "sqlite", streams=streams, name="bytes", command=["x"])) + ".db"
    reader = open_reader(path)
    assert tuple(b"".join(reader.raw(stream)) for stream in STREAMS) == streams
    out = io.StringIO()
    state = RunState()
    plain.show(read_batches(reader), state=state, out=out)
    jsonl.show(read_batches(reader), state=RunState(), out=out)
    for frame in (live.render(state, width=80, height=24), live.summary(state, width=80)):
        Console(file=out, color_system=None, legacy_windows=False, width=80).print(frame)
    assert escaped(out.getvalue().encode("utf-8", "surrogatepass"), json=True) == set()
    reader.close()


def read_batches(reader: Reader) -> Iterator[list[Event]]:
    seq = 0
    while events := reader.read(seq):
        yield events
        seq = events[-1].seq
