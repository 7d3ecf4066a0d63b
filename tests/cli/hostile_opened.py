"""Opens files that somebody else made, within 10 seconds and 300 MB, and says what harm they did."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import sqlite3
import sys
import time
import traceback
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

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


def limited(
    looks: list[list[str]], folder: Path, main: Callable[[list[str]], int] = app_main, alarm: int = 4 * SECONDS
) -> Iterator[Done]:
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
                _one(
                    partial(main, words),
                    alarm,
                    folder / f"{number}.out",
                    folder / f"{number}.err",
                    folder / f"{number}.end",
                )
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    for number, words in enumerate(looks):
        end = folder / f"{number}.end"
        code, seconds = end.read_text().split() if end.exists() else ("-1", "0")
        said = [(folder / f"{number}.{name}").read_bytes() if end.exists() else b"" for name in ("out", "err")]
        yield Done(words, int(code), said[0], said[1], float(seconds))


def _one(play: Callable[[], int], alarm: int, out: Path, err: Path, end: Path) -> None:
    code = 99
    for fd, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), fd)
    sys.stdout, sys.stderr = (open(fd, "w", encoding="utf-8", closefd=False) for fd in (1, 2))  # noqa: SIM115
    open_streams()
    signal.alarm(alarm)
    began = time.process_time()
    try:
        code = ended(play)
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


def sound_one(folder: Path, pycache: Path) -> Path:
    """A short recording with raw bytes, as `.db` and as `.jsonl`."""
    for module in pkgutil.walk_packages(durastream.__path__, "durastream."):
        if not module.name.endswith(("__main__", "pytest_plugin")):
            importlib.import_module(module.name)  # once, and not in every fork
    (folder / "recordings").mkdir(mode=0o700)
    cli = Cli(folder, pycache)
    for log, end in (("sqlite", "db"), ("jsonl", "jsonl")):
        cli("run", "--log", log, "--", "sh", "-c", "echo one; echo two >&2; sleep 0.1; echo three")
        (made,) = (folder / "recordings").glob(f"*.{end}")
        made.rename(folder / f"sound.{end}")
    return folder / "sound"


def harm(done: Done) -> str:
    """What a file did to who opened it; nothing when it was refused, or shown as damaged."""
    said = done.err.decode("utf-8", "replace")
    wrong = {
        f"it ended with {done.code}": done.code not in (0, 1, 2, 3, 125),
        "a traceback": "Traceback" in said,
        "it took more than 300 MB": "not enough memory" in said,
        f"it took {done.seconds:.0f} s": done.seconds >= SECONDS,
        "it wrote to the terminal": escaped(done.err) != set(),
        "it does not say who speaks": done.code > 1 and not said.startswith("durastream: "),
    }
    found = [what for what, is_so in wrong.items() if is_so]
    return f"{done.words}: {', '.join(found)}: {said[-3000:]}" if found else ""


def placed(name: str, sound: Path, at: Path) -> Path:
    """A store with a hostile file in it, beside a sound one and a folder that is not to be touched; its path."""
    store = at / "recordings"
    store.mkdir(mode=0o700)
    (at / "victim").mkdir()
    (at / "victim" / HOME).touch()
    shutil.copyfile(sound.with_suffix(".jsonl"), store / "good.jsonl")
    FILES[name](store, sound)
    return next(each for each in sorted(store.iterdir()) if each.suffix in (".db", ".jsonl") and each.stem == RUN)


def opened(name: str, sound: Path, at: Path) -> list[str]:
    """What a hostile file did to any command that opened it, or to its neighbours."""
    found = []
    for done in limited(looks(name, placed(name, sound, at)), at):
        found.append(harm(done))
        if done.words == ["list"] and (done.code != 0 or b"sh -c" not in done.out):
            found.append("the other run is not listed")
    if not (at / "victim" / HOME).exists():
        found.append("a file beside the store is gone")
    return [each for each in found if each]


def imported(name: str, at: Path) -> list[str]:
    """What a hostile transcript did to who imported it."""
    (at / "recordings").mkdir(mode=0o700)
    TRANSCRIPTS[name](at / "transcript")
    words = [["import", "transcript"]]
    if "120 MB" not in name:  # to verify a long draft takes a few times its length
        words.append(["verify", "latest"])
    return [each for each in map(harm, limited(words, at)) if each]


def trusted(path: Path, at: Path) -> str:
    """What a file does to a reader that trusts it, within the same bounds, in an empty folder."""
    at.mkdir()
    return next((found for done in limited([[str(path)]], at, _trusting, SECONDS) if (found := harm(done))), "")


def _trusting(words: list[str]) -> int:
    """Reads what is there, as anybody would who made the file."""
    if words[0].endswith(".db"):
        with contextlib.closing(sqlite3.connect(words[0])) as db:
            json.loads(db.execute("select tags from run").fetchall()[0][0])
            for (body,) in db.execute("select body from log").fetchall():
                _ = json.loads(body)["seq"]
            for table, column in (("raw", "data"), ("snapshots", "state"), ("message_chunks", "text")):
                for (data,) in db.execute(f"select {column} from {table}").fetchall():
                    if isinstance(data, bytes):
                        zlib.decompress(data)
        return 0
    with open(words[0], encoding="utf-8") as file:
        for line in file.readlines():
            each = json.loads(line)
            if "zlib" in each:
                zlib.decompress(b64decode(each["zlib"]))
    return 0
