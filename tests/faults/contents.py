"""The rows of the matrix that are of what is in a recording: escapes, hostile files, secrets."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "cli"), str(TESTS / "redaction")]

from hostile_files import FILES, TRANSCRIPTS  # noqa: E402
from hostile_looks import COMMANDS, bare, through  # noqa: E402
from hostile_opened import imported, opened, placed, sound_one, trusted  # noqa: E402
from hostile_payloads import PAYLOADS  # noqa: E402
from secrets_placed import OFF, ON, SECRETS, Placed  # noqa: E402
from secrets_placed import placed as put  # noqa: E402

Told = tuple[dict[str, Any], list[str]]
A, B = TypeVar("A"), TypeVar("B")


def _all(do: Callable[[A], B], jobs: Iterable[A], at_once: int) -> list[B]:
    with multiprocessing.get_context("fork").Pool(at_once, maxtasksperchild=1) as pool:
        return list(pool.imap_unordered(do, jobs))


def _in_folder(do: Callable[[Path], B]) -> B:
    path = Path(tempfile.mkdtemp(prefix="durastream-contents-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        return do(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def told(what: str, looked_at: int, wrong: list[str], control: str) -> Told:
    """A row of the second table, and what was wrong."""
    return {"what": what, "points": looked_at, "wrong": len(wrong), "control": control}, wrong


def _looks(job: tuple[bool, list[str]]) -> tuple[bool, list[tuple[str, set[str]]]]:
    guarded, commands = job
    if not guarded:
        bare()
    return guarded, _in_folder(lambda at: through(at, commands))


def escapes(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Every command shows recordings in which all is hostile; then the same with texts left as they are."""
    commands = ["show", "cat", "list"] if some < 100 else list(COMMANDS)
    ended = dict(_all(_looks, [(True, commands), (False, commands)], jobs))
    wrong = [f"{words}: {what}" for words, what in ended[True] if what]
    name = f"hostile texts ({len(PAYLOADS)}) in every field, shown by each command, in a pipe and on a terminal"
    yield told(name, len(ended[True]), wrong, f"{sum(bool(what) for _, what in ended[False])} of {len(ended[False])}")


def _opens(job: tuple[str, Path]) -> list[str]:
    name, sound = job
    return [f"{name}: {each}" for each in _in_folder(lambda at: opened(name, sound, at))]


def _imports(name: str) -> list[str]:
    return [f"{name}: {each}" for each in _in_folder(lambda at: imported(name, at))]


def _trusts(job: tuple[str, Path]) -> str:
    name, sound = job
    return _in_folder(lambda at: trusted(placed(name, sound, at), at / "trusted"))


def _trusts_transcript(name: str) -> str:
    def does(at: Path) -> str:
        TRANSCRIPTS[name](at / "transcript")
        return trusted(at / "transcript", at / "trusted")

    return _in_folder(does)


def hostile(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Files that somebody else made are opened and imported; then by a reader that trusts them."""
    chance = random.Random(seed)
    names, transcripts = (
        chance.sample(sorted(each), some) if len(each) > some else list(each) for each in (FILES, TRANSCRIPTS)
    )
    scratch = Path(tempfile.mkdtemp(prefix="durastream-sound-"))
    try:
        sound = sound_one(scratch, scratch / "pycache")
        files = [(name, sound) for name in names]
        harmed = sum(map(bool, _all(_trusts, files, jobs)))
        wrong = [each for found in _all(_opens, files, jobs) for each in found[:1]]
        yield told("hostile recordings opened, within 10 s and 300 MB", len(names), wrong, f"{harmed} of {len(names)}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    harmed = sum(map(bool, _all(_trusts_transcript, transcripts, jobs)))
    wrong = [each for found in _all(_imports, transcripts, jobs) for each in found[:1]]
    name = "hostile transcripts imported, within 10 s and 300 MB"
    yield told(name, len(transcripts), wrong, f"{harmed} of {len(transcripts)}")


def _puts(job: tuple[str, str, bool, bool]) -> tuple[bool, str, Placed]:
    kind, log, kill, guarded = job
    done = _in_folder(lambda at: put(kind, log, at / "run", kill=kill, redact=ON if guarded else OFF))
    return guarded, f"{kind}, {log}, {'killed' if kill else 'not killed'}: {done}", done


def secrets(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Secrets are written whole and cut at each character; then with redaction off."""
    kinds = [kind for kind in SECRETS if kind in ("env", "url")] if some < 100 else list(SECRETS)
    for kill, how in ((False, "read on"), (True, "killed and followed by another")):
        todo = [(kind, log, kill, on) for kind in kinds for log in ("sqlite", "jsonl") for on in (True, False)]
        ended = _all(_puts, sorted(todo, key=lambda job: job[0] != "private-key"), jobs)
        masked = [(what, done) for on, what, done in ended if on]
        bare_ = [done for on, _, done in ended if not on]
        wrong = [what for what, done in masked if done.held or done.found]
        name = (
            f"secrets of {len(kinds)} kinds put, whole and cut at each character, the recorder {how} at the cut;"
            f" {sum(done.files for _, done in masked):,} files searched"
        )
        held = f"{sum(done.held for done in bare_):,} of {sum(done.places for done in bare_):,}"
        yield told(name, sum(done.places for _, done in masked), wrong, held)
