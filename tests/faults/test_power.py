"""The power is cut: what was told as stored is there, on two file systems; a recorder that does not sync is caught."""

from __future__ import annotations

import powercut
import pytest

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(powercut.why_not() is not None, reason=str(powercut.why_not())),
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning", "ignore::DeprecationWarning"),
]


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_was_told_as_stored_survives_a_power_cut(kind: str, log: str) -> None:
    if kind not in powercut.kinds():
        pytest.skip(f"there is no mkfs.{kind}")
    assert [each for each in powercut.states(kind, log, 20, seed=20) if not each.sound] == []
    caught = [each for each in powercut.control(kind, log, 12, seed=20) if not each.sound]
    assert len(caught) >= 2, "the harness catches a recorder that does not sync"


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_what_was_told_as_stored_survives_the_shutdown_of_its_file_system(log: str) -> None:
    assert [each for each in powercut.shutdowns("ext4", log, 2, seed=20) if not each.sound] == []
    assert [each for each in powercut.shutdowns("ext4", log, 2, seed=20, mode="lazy") if not each.sound]
