"""The guides are true: what docs/audit.md and docs/testing.md tell the reader to type is typed here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"

_FENCE = re.compile(r"(?:^\*\*`(?P<file>[^`]+)`\*\*\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)

Shell = Callable[..., subprocess.CompletedProcess[str]]


def follow(page: str, folder: Path, shell: Shell) -> list[str]:
    """Save the files of a page and run its lines of shell, in its order; what each block printed."""
    printed = []
    for block in _FENCE.finditer((DOCS / page).read_text(encoding="utf-8")):
        if block["file"] is not None:
            (folder / block["file"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / block["file"]).write_text(block["text"], encoding="utf-8")
        elif block["language"] == "sh":
            printed.append(shell(block["text"]).stdout)
    return printed


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_page_on_evidence_can_be_followed(folder: Path, shell: Shell) -> None:
    pytest.importorskip("cryptography")
    printed = follow("audit.md", folder, shell)
    assert printed[-1].splitlines() == [
        "faithful pass 0.92 a colleague",
        "at most 150 words pass 3.0 evaluator.py",
        "polite pass None evaluate.py",
    ]
    signed = json.loads((folder / "review.sig").read_text(encoding="utf-8"))
    page = (DOCS / "audit.md").read_text(encoding="utf-8")
    assert list(signed) == re.findall(r'"(\w+)":', re.findall(r'^    (\{"durastream_signature".*)$', page, re.M)[0])
    (folder / "review.sig").write_text(json.dumps(signed), encoding="utf-8")  # spaced in another way
    assert shell("durastream verify review --signature review.sig --key release.pub", check=False).returncode == 1


def test_the_page_on_testing_can_be_followed(folder: Path, shell: Shell) -> None:
    (printed,) = follow("testing.md", folder, shell)
    assert printed.count("3 passed") == 2
    assert " ok: " in printed
    agent = folder / "agent.py"
    agent.write_text(agent.read_text(encoding="utf-8").replace('"search"', '"look up"'), encoding="utf-8")
    failed = shell("python -m pytest -q tests", check=False)
    assert failed.returncode == 1
    assert re.search(r"^E? *steps +- search +ok", failed.stdout, re.M), failed.stdout
    assert "pytest --durastream-write-golden" in failed.stdout


def test_the_table_of_aspects_is_that_of_diff() -> None:
    from durastream.diff import ASPECTS

    page = (DOCS / "testing.md").read_text(encoding="utf-8").split("## With pytest")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", page, re.M)) == ASPECTS
