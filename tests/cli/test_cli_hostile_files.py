"""A recording that somebody else made is refused or shown as damaged, within 10 seconds and 300 MB."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile_files import FILES, TRANSCRIPTS
from hostile_opened import imported, opened, placed, sound_one, trusted


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, pycache: Path) -> Path:
    return sound_one(tmp_path_factory.mktemp("sound"), pycache)


def test_there_are_files_enough() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_or_shown_as_damaged(sound: Path, tmp_path: Path, name: str) -> None:
    assert opened(name, sound, tmp_path) == []


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_hostile_transcript_is_refused_or_becomes_a_run(tmp_path: Path, name: str) -> None:
    assert imported(name, tmp_path) == []


@pytest.mark.parametrize("kind", ["SQLite", "JSON Lines"])
@pytest.mark.parametrize("name", ["deep JSON in an event", "a bomb in the raw bytes"])
def test_the_same_bounds_catch_a_reader_that_trusts_what_it_opens(
    sound: Path, tmp_path: Path, kind: str, name: str
) -> None:
    assert trusted(placed(f"{kind}: {name}", sound, tmp_path), tmp_path / "hostile")
    for end in (".db", ".jsonl"):
        assert trusted(sound.with_suffix(end), tmp_path / f"sound{end}") == "", "what is sound it reads"
