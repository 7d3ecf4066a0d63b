"""Where recordings are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from durastream.errors import StoreUnwritable
from durastream.location import find_store


def test_a_named_store_comes_before_the_environment_and_both_before_the_nearest_folder(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_store("x", {"DURASTREAM_STORE": "/y"}, str(below)) == str(below / "x")
    assert find_store(None, {"DURASTREAM_STORE": "/y"}, str(below)) == "/y"
    assert find_store(None, {}, str(below)) == str(tmp_path / "recordings")


def test_without_any_the_users_own_folder_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert find_store(None, {}, os.sep) == "/home/someone/.local/state/durastream/recordings"
    assert find_store(None, {"XDG_STATE_HOME": "/state"}, os.sep) == "/state/durastream/recordings"


def test_a_user_without_a_home_is_told_to_name_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(StoreUnwritable, match="--store"):
        find_store(None, {}, os.sep)
