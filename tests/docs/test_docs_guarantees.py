"""The page of guarantees names tests that there are, and shows the figures that were measured."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import figures  # noqa: E402

has_contents = pytest.mark.skipif(
    all("lost" in row for row in json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]),
    reason="the last full run is older than the rows of what is in recordings",
)
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named - there == set()


def test_all_faults_are_on_the_page() -> None:
    assert [int(n) for n in re.findall(r"^\| (\d+) ", PAGE, re.M)] == list(range(1, 26))


def test_each_fault_has_a_test_that_runs_on_every_commit() -> None:
    often = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        marks = [ast.unparse(node.value) for node in tree.body if _sets(node, "pytestmark")]
        if not any("mark.crash" in each for each in marks):
            defined = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            often |= {each.name for each in defined if "pytest.mark.crash" not in map(ast.unparse, each.decorator_list)}
    for row in re.findall(r"^\| \d+ .*", PAGE, re.M):
        assert often.intersection(re.findall(r"`(test_\w+)`", row)), row


def _sets(node: ast.stmt, name: str) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]


def test_the_figures_are_those_of_the_last_run() -> None:
    assert figures.versions() in PAGE
    assert figures.table() in PAGE
    assert figures.contents() in PAGE


def test_the_last_run_lost_and_doubled_nothing_and_was_large_enough() -> None:
    rows = json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]
    assert [row for row in rows if row.get("lost") or row.get("doubled") or row["wrong"]] == []
    assert sum(row["points"] for row in rows if "killed at" in row["what"]) >= 1000
    assert sum(row["points"] for row in rows if "power cut" in row["what"]) >= 400


@has_contents
def test_every_row_has_a_control_that_caught_something() -> None:
    rows = json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]
    caught = {row["what"]: re.match(r"([\d,]+) of [\d,]+$", row["control"]) for row in rows}
    assert [what for what, found in caught.items() if found is None or found[1] == "0"] == []


@has_contents
def test_the_last_run_looked_at_all_that_is_hostile_and_all_that_is_secret() -> None:
    for folder in ("cli", "redaction"):
        sys.path.insert(0, str(ROOT / "tests" / folder))
    from hostile_files import FILES, TRANSCRIPTS
    from hostile_looks import PAYLOADS, Store, looks
    from secrets_placed import SECRETS

    rows = json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]
    counted = {row["what"].split(",")[0]: row["points"] for row in rows if "lost" not in row}
    ways = sum(map(len, looks(Store(Path("/store"), "run", "lines", "screen", "forged", "transcript")).values()))
    assert counted[f"hostile texts ({len(PAYLOADS)}) in every field"] == 2 * ways
    assert counted["hostile recordings opened"] == len(FILES)
    assert counted["hostile transcripts imported"] == len(TRANSCRIPTS)
    places = 2 * 3 * sum(len(text) for text, _ in SECRETS.values())
    assert counted[f"secrets of {len(SECRETS)} kinds put"] == places
