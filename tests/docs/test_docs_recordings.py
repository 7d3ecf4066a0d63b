"""The sample recordings are whole, can be replayed, and tell nothing of the machine that they were made on."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from durastream.stores.folder import open_reader

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "recordings").glob("*.jsonl"))

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=SAMPLES, ids=lambda path: path.stem)
def sample(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A copy, so that nothing is written beside the original."""
    return Path(shutil.copy(request.param, folder))


def test_there_are_the_demo_a_command_and_a_trace() -> None:
    readme = (ROOT / "recordings" / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"^\| `(\w+\.jsonl)` \| `(\w+)` \|", readme, re.M))
    assert named == {path.name: open_reader(str(path)).info().name for path in SAMPLES}
    assert set(named.values()) == {"demo", "check", "codex"}


def test_a_sample_is_named_after_its_run(sample: Path) -> None:
    assert open_reader(str(sample)).run_id == sample.stem


def test_a_sample_holds(sample: Path, shell: Shell) -> None:
    seal = open_reader(str(sample)).info().seal
    report = json.loads(shell(f"durastream verify ./{sample.name} --seal {seal} --json").stdout)
    assert (report["ok"], report["sealed"], report["seal"]) == (True, True, seal)


@pytest.mark.parametrize("view", ["plain", "json", "raw", "none", "live"])
def test_a_sample_can_be_replayed(sample: Path, view: str, shell: Shell) -> None:
    reader = open_reader(str(sample))
    printed = b"".join(reader.raw("stdout"))
    done = shell(f"durastream replay ./{sample.name} --speed max --view {view}", check=view != "raw" or bool(printed))
    match view:
        case "plain":
            assert "✓ completed · exit code 0" in done.stdout
        case "json":
            assert done.stdout.splitlines() == [event.line() for event in reader.read(limit=100_000)]
        case "raw":
            assert done.stdout.encode() == printed
        case "none":
            assert done.stdout == ""


def test_the_trace_was_recorded_as_it_is(folder: Path) -> None:
    codex = next(path for path in SAMPLES if open_reader(str(path)).info().name == "codex")
    trace = (ROOT / "tests" / "data" / "traces" / "codex_exec_full.jsonl").read_bytes()
    reader = open_reader(str(codex))
    assert b"".join(reader.raw("stdout")) == trace
    state = reader.state()
    assert state.agent["format"] == "codex"
    assert state.answer is not None
    assert state.answer.text.startswith("Mars has two moons")


def test_a_sample_tells_nothing_of_the_machine_it_was_made_on(sample: Path) -> None:
    reader = open_reader(str(sample))
    started = reader.read(limit=1)[0].data
    assert (started["host"], started["cwd"]) == ("demo", "/tmp/agent")
    kept = b"\n".join(b"".join(reader.raw(stream)) for stream in ("stdout", "stderr", "events"))
    text = sample.read_text(encoding="utf-8") + kept.decode()
    places = set(re.findall(r"(?<![\w.:/])/(?:home|root|work|Users|var|opt|mnt|srv|tmp)/[^\s\"'\\]*", text))
    assert all(place.startswith(("/tmp/agent", "/tmp/durastream-demo-", "/home/dev/codex/")) for place in places), (
        places
    )
