"""The page of guarantees names tests that there are, and shows the figures that were measured."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import figures  # noqa: E402

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


def test_the_figures_are_those_of_the_last_run() -> None:
    assert figures.versions() in PAGE
    assert figures.table() in PAGE


def test_the_last_run_lost_and_doubled_nothing_and_was_large_enough() -> None:
    rows = json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]
    assert [row for row in rows if row["lost"] or row["doubled"] or row["wrong"]] == []
    assert sum(row["points"] for row in rows if "killed" in row["what"]) >= 1000
    assert sum(row["points"] for row in rows if "power cut" in row["what"]) >= 400
