from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import Cli


@pytest.fixture(scope="session")
def pycache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pycache")


@pytest.fixture
def ds(tmp_path: Path, pycache: Path) -> Iterator[Cli]:
    """`durastream` in an empty folder with a store; what a test leaves running is ended after it."""
    folder = tmp_path / "work"
    (folder / "recordings").mkdir(parents=True)
    cli = Cli(folder, pycache)
    yield cli
    cli.sweep()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory, pycache: Path) -> Iterator[Cli]:
    """A store with two demos (`demo` in SQLite, `lines` in JSON Lines) and two commands, to be looked at only."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "recordings").mkdir()
    cli = Cli(folder, pycache)
    cli("run", "--name", "three", "--tag", "k=v", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    cli("run", "--name", "slow", "--view", "none", "--", "sh", "-c", "printf a; sleep 0.5; echo b; sleep 0.5; echo c")
    cli("demo", "--fast", "--view", "none")
    cli(
        "run",
        "--name",
        "lines",
        "--log",
        "jsonl",
        "--view",
        "none",
        "--",
        "python3",
        "-P",
        "-m",
        "durastream.demo",
        "--fast",
    )
    yield cli
    cli.sweep()
