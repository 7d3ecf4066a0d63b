"""The page of guarantees names tests that there are, and shows the figures that were measured."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import TypeGuard

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


def test_the_last_run_lost_and_doubled_nothing_and_was_large_enough() -> None:
    rows = json.loads(figures.RUN.read_text(encoding="utf-8"))["rows"]
    assert [row for row in rows if row["lost"] or row["doubled"] or row["wrong"]] == []
    assert sum(row["points"] for row in rows if "killed" in row["what"]) >= 1000
    assert sum(row["points"] for row in rows if "power cut" in row["what"]) >= 400


def test_the_page_counts_what_is_hostile_and_what_is_secret_as_the_tests_do() -> None:
    for folder in ("cli", "redaction"):
        sys.path.insert(0, str(ROOT / "tests" / folder))
    from hostile_files import FILES, TRANSCRIPTS
    from redaction_kit import KNOWN
    from test_cli_payloads import PAYLOADS, Store, looks

    asked = looks(Store(Path("/store"), "run", "lines", "screen", "forged", "transcript"))
    counts = [len(words) for words in asked.values() if words]  # `run` is looked at while it runs, by another test
    ways, commands = sum(counts), len(counts)
    for row in (
        f"| hostile texts, in every field, by {ways} ways to ask {commands} commands, in a pipe and on a terminal |"
        f" {len(PAYLOADS)} texts, {2 * ways} outputs |",
        f"| hostile recordings and transcripts, opened or imported | {len(FILES)} and {len(TRANSCRIPTS)} |",
        f"| kinds of secrets, whole and split at each character | {len(KNOWN)} |",
    ):
        assert row in PAGE, row
