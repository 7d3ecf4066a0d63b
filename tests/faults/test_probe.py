"""What a disk cannot do is found out on the disk itself, before an agent is started on it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faults_kit import Box, needs_strace
from strikes import struck

import durastream.cli.app
from durastream import probe
from durastream.errors import StoreFull, StoreUnwritable


def run_of(box: Box, *command: str) -> Callable[[], int]:
    """A `durastream run` to be struck."""

    def play() -> int:
        from durastream.cli.ending import ended

        os.environ.update(box.environ)
        words = ["run", "--log", box.log, "--view", "none", "--", *command]
        return ended(lambda: durastream.cli.app.main(words))

    return play


def probed(box: Box) -> str:
    """The file that the process which is struck tries things on."""
    return os.path.join(box.folder, ".spool", ".probe-{pid}")


@needs_strace
@pytest.mark.parametrize(("call", "fault"), [("fcntl", "error=ENOLCK"), ("mmap", "error=ENODEV")])
def test_a_disk_on_which_sqlite_is_not_safe_is_recorded_on_as_json_lines_and_that_is_said(
    tmp_path: Path, call: str, fault: str
) -> None:
    box = Box(tmp_path / "store", "sqlite")
    assert struck(run_of(box, "true"), call, fault, paths=[probed(box)]) == 0
    (run_id,) = box.store.run_ids()
    assert box.path(run_id).endswith(".jsonl")
    (warning,) = box.whole(run_id).warnings
    assert "SQLite is not safe on the disk" in warning


@needs_strace
def test_a_disk_without_locks_is_refused_before_anything_starts(box: Box, tmp_path: Path) -> None:
    command = ("touch", str(tmp_path / "started"))
    assert struck(run_of(box, *command), "flock", "error=ENOLCK", paths=[probed(box)]) == 125
    assert not (tmp_path / "started").exists()
    assert box.store.run_ids() == []


def test_json_lines_do_not_need_what_only_sqlite_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "lockf", _refuses(errno.ENOLCK))
    assert probe.log_for(str(tmp_path), "jsonl") == ("jsonl", None)
    log, warning = probe.log_for(str(tmp_path), "sqlite")
    assert log == "jsonl"
    assert warning is not None
    assert "No locks available" in warning
    assert os.listdir(tmp_path / ".spool") == []


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, StoreFull), (errno.EROFS, StoreUnwritable)])
def test_a_disk_that_takes_no_byte_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    monkeypatch.setattr(os, "write", _refuses(code))
    with pytest.raises(error):
        probe.log_for(str(tmp_path), "sqlite")


def test_a_lock_that_is_given_twice_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)
    with pytest.raises(StoreUnwritable, match="two locks were given at once"):
        probe.log_for(str(tmp_path), "jsonl")


def test_a_network_file_system_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mounts"
    line = f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw shared:1 - %s server:/x rw\n"
    for name, network in (("nfs4", True), ("fuse.sshfs", True), ("cifs", True), ("ext4", False), ("fuse.x", False)):
        mounts.write_text("1 1 0:0 / / rw - proc proc rw\n" + line % name)
        assert probe.file_system(str(tmp_path), str(mounts)) == name
        assert probe.is_network(name) is network
    monkeypatch.setattr(probe, "file_system", lambda path: "nfs4")
    log, warning = probe.log_for(str(tmp_path), "sqlite")
    assert log == "jsonl"
    assert "on a network file system (nfs4)" in str(warning)


def test_selftest_says_what_a_store_can_promise(tmp_path: Path) -> None:
    box = Box(tmp_path / "store", "sqlite")
    done = box.cli("selftest", "--json")
    found = json.loads(done.out)
    assert done.code == 0, found
    assert found["safe"] == ["sqlite", "jsonl"]
    assert [one["name"] for one in found["tried"]] == [
        "write", "sync", "lock", "memory", "local", "room", "kill sqlite", "kill jsonl"
    ]  # fmt: skip
    assert all("killed 0 times" not in one["said"] for one in found["tried"])
    assert os.listdir(box.folder) == []


def test_selftest_finds_a_disk_whose_locks_and_mappings_do_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mmap

    monkeypatch.setattr(fcntl, "flock", lambda fd, how: None)
    monkeypatch.setattr(mmap, "mmap", _refuses(errno.ENODEV))
    monkeypatch.setattr("durastream.room._punch", _refuses(errno.EOPNOTSUPP))
    monkeypatch.setattr("durastream.selftest._kill", lambda log, folder: "")
    assert durastream.cli.app.main(["selftest", "--store", str(tmp_path / "store")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said if line.startswith("FAIL")] == ["lock", "memory"]
    assert [line.split()[1] for line in said if line.startswith("no ")] == ["room"], "no promise is broken by that"
    assert [line for line in said if "nothing is promised" in line] == [
        "SQLite: nothing is promised here", "JSON Lines: nothing is promised here"
    ]  # fmt: skip


def _refuses(code: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse
