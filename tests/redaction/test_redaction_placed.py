"""A secret is in no recording and in no file, wherever it was cut; without redaction it is in both."""

from __future__ import annotations

from pathlib import Path

import pytest
from secrets_placed import OFF, SECRETS, placed

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning", "ignore::DeprecationWarning")


@pytest.mark.crash
@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
@pytest.mark.parametrize("kill", [False, True])
def test_no_secret_is_found_wherever_it_was_cut(tmp_path: Path, kind: str, log: str, kill: bool) -> None:
    done = placed(kind, log, tmp_path, kill=kill)
    assert done.files > done.places / 3
    assert (done.held, done.found) == (0, 0)


@pytest.mark.parametrize("kill", [False, True])
def test_without_redaction_each_secret_is_found_where_it_was_put(tmp_path: Path, kill: bool) -> None:
    done = placed("bearer", "sqlite", tmp_path / "off", kill=kill, redact=OFF)
    assert done.held == done.places
    assert done.found
    done = placed("bearer", "sqlite", tmp_path / "on", kill=kill)
    assert (done.held, done.found) == (0, 0)
