"""A recording that somebody else made is refused or shown as damaged, within 10 seconds and 300 MB."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cli_kit import Cli
from hostile_files import FILES, RUN, TRANSCRIPTS
from hostile_payloads import escaped

import durastream
from durastream.cli.app import main as app_main
from durastream.cli.ending import ended, open_streams

SECONDS = 10
MEMORY = 300 << 20
HOME = "precious"


class Done(NamedTuple):
    words: list[str]
    code: int
    out: bytes
    err: bytes
    seconds: float


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, pycache: Path) -> Path:
    """A short recording with raw bytes, as `.db` and as `.jsonl`."""
    for module in pkgutil.walk_packages(durastream.__path__, "durastream."):
        if not module.name.endswith(("__main__", "pytest_plugin")):
            importlib.import_module(module.name)  # once, and not in every fork
    folder = tmp_path_factory.mktemp("sound")
    (folder / "recordings").mkdir(mode=0o700)
    cli = Cli(folder, pycache)
    for log, end in (("sqlite", "db"), ("jsonl", "jsonl")):
        cli("run", "--log", log, "--", "sh", "-c", "echo one; echo two >&2; sleep 0.1; echo three")
        (made,) = (folder / "recordings").glob(f"*.{end}")
        made.rename(folder / f"sound.{end}")
    return folder / "sound"


def limited(looks: list[list[str]], folder: Path) -> Iterator[Done]:
    """Run commands one after the other in one fork, which may take 300 MB beyond what this process has.

    Seconds are those of a core: others use the machine. One that sleeps on a pipe is ended by an alarm.
    """
    pid = os.fork()
    if not pid:
        try:
            has = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, has + MEMORY))
            os.chdir(folder)
            os.environ["DURASTREAM_STORE"] = str(folder / "recordings")
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number, words in enumerate(looks):
                _one(words, folder / f"{number}.out", folder / f"{number}.err", folder / f"{number}.end")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    for number, words in enumerate(looks):
        end = folder / f"{number}.end"
        code, seconds = end.read_text().split() if end.exists() else ("-1", "0")
        said = [(folder / f"{number}.{name}").read_bytes() if end.exists() else b"" for name in ("out", "err")]
        yield Done(words, int(code), said[0], said[1], float(seconds))


def _one(words: list[str], out: Path, err: Path, end: Path) -> None:
    code = 99
    for fd, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), fd)
    sys.stdout, sys.stderr = (open(fd, "w", encoding="utf-8", closefd=False) for fd in (1, 2))  # noqa: SIM115
    open_streams()
    signal.alarm(4 * SECONDS)
    began = time.process_time()
    try:
        code = ended(lambda: app_main(words))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 98
    except BaseException:  # noqa: BLE001 - what it has to say is looked at
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    end.write_text(f"{code} {time.process_time() - began}")


ALWAYS = [["list"], ["show", RUN], ["verify", RUN]]
IN_TURN = [
    ["replay", RUN, "--speed", "max", "--view", "plain"], ["events", RUN], ["cat", RUN],
    ["attach", RUN, "--view", "json"], ["diff", RUN, "good"], ["check", RUN, "--name", "x", "--outcome", "pass"],
    ["rederive", RUN], ["import", "{path}"], ["replay", "{path}", "--speed", "max", "--view", "json"],
]  # fmt: skip


def looks(name: str, path: Path) -> list[list[str]]:
    """What is done with a file: some of it with all of them, the rest in turn, for it takes its time."""
    turn = list(FILES).index(name) % len(IN_TURN)
    if path.is_file() and path.stat().st_size > 100 << 20 and "import" in IN_TURN[turn]:
        turn = 0  # whatever it holds, to import it takes as long as it is
    return [*ALWAYS, *([word.format(path=path) for word in words] for words in IN_TURN[turn : turn + 1]), ["rm", RUN]]


def judge(done: Done) -> None:
    said = done.err.decode("utf-8", "replace")
    assert done.code in (0, 1, 2, 3, 125), (done.words, done.code, said[-3000:])
    assert b"Traceback" not in done.err, (done.words, said[-3000:])
    assert b"not enough memory" not in done.err, (done.words, said)
    assert done.seconds < SECONDS, done.words
    assert escaped(done.err) == set(), done.words
    if done.code > 1:
        assert said.startswith("durastream: "), (done.words, said)


def test_there_are_files_enough() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_or_shown_as_damaged(sound: Path, tmp_path: Path, name: str) -> None:
    store = tmp_path / "recordings"
    store.mkdir(mode=0o700)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / HOME).touch()
    shutil.copyfile(sound.with_suffix(".jsonl"), store / "good.jsonl")
    FILES[name](store, sound)
    path = next(each for each in sorted(store.iterdir()) if each.suffix in (".db", ".jsonl") and each.stem == RUN)
    for done in limited(looks(name, path), tmp_path):
        judge(done)
        if done.words == ["list"]:
            assert done.code == 0
            assert b"sh -c" in done.out, "the other run is listed"
    assert (tmp_path / "victim" / HOME).exists()


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_hostile_transcript_is_refused_or_becomes_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "recordings").mkdir(mode=0o700)
    TRANSCRIPTS[name](tmp_path / "transcript")
    words = [["import", "transcript"]]
    if "120 MB" not in name:  # to verify a long draft takes a few times its length
        words.append(["verify", "latest"])
    for done in limited(words, tmp_path):
        judge(done)
