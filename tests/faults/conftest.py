"""Every fault is tried on both kinds of recording."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_kit import Box


@pytest.fixture(params=["sqlite", "jsonl"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """An empty store; what a test leaves running is ended after it."""
    made = Box(tmp_path / "store", request.param)
    yield made
    made.sweep()
