"""The page on formats is true: its example is installed as another package would be, and used."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")

Shell = Callable[..., subprocess.CompletedProcess[str]]

STREAM = """{"countdown": "plan", "steps": ["count", "lift off"]}
{"countdown": 2}
{"countdown": 1}
{"countdown": "hold"}
{"countdown": "liftoff"}
"""


@pytest.fixture
def package(folder: Path, environment: dict[str, str]) -> None:
    """The example as an installed package."""
    example = re.search(r"\*\*`countdown_adapter.py`\*\*\n\n```python\n(.*?)^```$", PAGE, re.M | re.S)
    entry = re.search(r"```toml\n\[project.entry-points.\"([\w.]+)\"\]\n(.*?)^```$", PAGE, re.M | re.S)
    assert example is not None
    assert entry is not None
    site = folder / "site"
    info = site / "countdown-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "countdown_adapter.py").write_text(example[1], encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: countdown\nVersion: 1.0\n", encoding="utf-8")
    line = entry[2].replace('"', "")
    (info / "entry_points.txt").write_text(f"[{entry[1]}]\n{line}broken = nowhere:Nothing\n", encoding="utf-8")
    environment["PYTHONPATH"] += f":{site}"
    (folder / "stream.jsonl").write_text(STREAM, encoding="utf-8")


@pytest.mark.usefixtures("package")
def test_the_example_is_found_and_used(shell: Shell) -> None:
    listed = re.sub(r"  +", "  ", shell("durastream formats").stdout)
    assert "countdown  the countdown agent: countdown --json (hand-made, never held against the real program)" in listed
    unproven = {line.split()[0] for line in listed.splitlines() if "never held against the real program" in line}
    assert {"amp", "claude", "codex-session", "cursor", "goose"} <= unproven
    assert unproven.isdisjoint({"codex", "gemini", "opencode", "pi", "qwen"})
    for option in ("", "--format countdown"):
        shell(f"durastream run --view none {option} -- cat stream.jsonl")
        shown = json.loads(shell("durastream show latest --json").stdout)
        assert shown["agent"] == {"format": "countdown", "terminal": True}
        assert shown["status"] == "completed"
        assert shown["answer"]["text"] == "2 1 "
        assert [entry["title"] for entry in shown["plan"]] == ["count", "lift off"]
        kept = json.loads(shell("durastream events latest --type raw.event").stdout)
        assert kept["data"] == {"json": {"countdown": "hold"}, "reason": "no mapping"}
        shell("durastream verify latest")


@pytest.mark.usefixtures("package")
def test_an_adapter_that_cannot_be_loaded_is_told_before_anything_starts(shell: Shell) -> None:
    done = shell("durastream run --format broken -- echo started", check=False)
    assert done.returncode == 2
    assert "the adapter broken (nowhere:Nothing) cannot be loaded" in done.stderr
    assert done.stdout == ""


def test_the_example_is_short() -> None:
    example = re.search(r"```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert example is not None
    assert example[1].count("\n") <= 40
