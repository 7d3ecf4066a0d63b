from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import durastream

ROOT = Path(__file__).resolve().parents[2]
SRC = str(Path(durastream.__file__).parents[1])

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to work in, below which no store but its own is found."""
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell's environment in which `durastream` and `python` are those under test."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, words in (("durastream", "-P -m durastream"), ("python", ""), ("python3", "")):
        script = bin_ / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DURASTREAM_", "COV_"))}
    return {
        **kept,
        "PATH": f"{bin_}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": SRC,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def shell(folder: Path, environment: dict[str, str]) -> Run:
    """Runs a few lines of shell in the folder; the first that fails ends it."""

    def run(lines: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["sh", "-e", "-c", lines],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert not check or done.returncode == 0, f"{lines}\nexited with {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run
