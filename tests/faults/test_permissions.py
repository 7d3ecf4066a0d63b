"""What is recorded is its user's alone: modes, owners, links, and what a second user can do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from faults_kit import SOURCE, Box, eventually

STRANGER = 65534


@pytest.fixture(params=["sqlite"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    """Of one kind: whose a folder is does not depend on what lies in it; the modes are tried on both."""
    made = Box(tmp_path / "store", request.param)
    yield made
    made.sweep()


CANARY = "canary-5c1f"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv, to be a second user"
)


def stranger(*words: str, path: str = "", **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command as another user."""
    identity = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    return subprocess.run(
        [*identity, *words], capture_output=True, check=False, timeout=30,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": path or SOURCE, **environ},
    )  # fmt: skip


def all_below(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def open_to_others(folder: Path) -> list[str]:
    """What others than its user may read, write or enter."""
    return [
        str(path) for path in all_below(folder) if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o77
    ]


@pytest.mark.parametrize("box", ["sqlite", "jsonl"], indirect=True)
@pytest.mark.parametrize("umask", [0o000, 0o277])
def test_whatever_the_umask_a_run_and_its_spool_are_its_users_alone(box: Box, tmp_path: Path, umask: int) -> None:
    before = ("sh", "-c", f'umask {umask:03o}; exec "$@"', "sh")
    live = box.detach("sleep", "60", before=before)
    live.reaches(2)
    assert open_to_others(Path(box.folder)) == []
    live.spool.request(act="cancel", by="cancel", grace=1.0)
    live.ends()
    assert box.cli("list", before=before).code == 0
    assert open_to_others(Path(box.folder)) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in all_below(Path(box.folder)) if path.is_file()} == {0o600}


def test_the_agent_has_the_umask_that_it_would_have_had(box: Box, tmp_path: Path) -> None:
    made = tmp_path / "made"
    _, result = box.run("touch", str(made), before=("sh", "-c", 'umask 027; exec "$@"', "sh"))
    assert result.code == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o640


LOOKS = (("list",), ("recover",), ("run", "--", "touch", "started"))


def refused(box: Box, tmp_path: Path, *words: str) -> None:
    """Every command says in one line why it does not use this store, and what to do; nothing was started."""
    for look in LOOKS:
        result = (
            box.ask(*look, "--store", box.folder)
            if look[0] != "run"
            else box.cli("run", "--store", box.folder, *look[1:])
        )
        assert result.code == 125, (look, result)
        assert result.err.count("\n") == 1, result.err
        assert all(word in result.err for word in words), result.err
        assert "--store" in result.err
    assert not (tmp_path / "started").exists()


def test_a_store_that_everybody_can_write_to_is_refused(box: Box, tmp_path: Path) -> None:
    os.makedirs(box.folder)
    os.chmod(box.folder, 0o777)
    refused(box, tmp_path, "everybody can write", "chmod o-w")
    os.chmod(box.folder, 0o755)
    box.run("true")


def test_a_spool_that_is_a_link_is_refused(box: Box, tmp_path: Path) -> None:
    os.makedirs(box.folder)
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", os.path.join(box.folder, ".spool"))
    refused(box, tmp_path, ".spool is a link")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to another user")
def test_a_store_of_another_user_is_refused(box: Box, tmp_path: Path) -> None:
    os.makedirs(box.folder)
    os.chown(box.folder, STRANGER, STRANGER)
    refused(box, tmp_path, "belongs to another user", str(STRANGER))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a link as another user")
def test_a_link_of_another_user_in_the_place_of_a_store_is_refused(box: Box, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    os.symlink(tmp_path / "mine", box.folder)
    assert box.run("true")[1].code == 0, "a link of one's own is as good as the folder"
    os.chown(box.folder, STRANGER, STRANGER, follow_symlinks=False)
    refused(box, tmp_path, "is a link")


@pytest.mark.parametrize("name", ["events", "control", "exit.json", "trouble.json"])
def test_a_link_in_the_place_of_a_file_of_the_spool_is_not_followed(box: Box, tmp_path: Path, name: str) -> None:
    live = box.detach("sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done', str(tmp_path / "go"))
    live.reaches(2)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = Path(live.spool.file(name))
    path.unlink(missing_ok=True)
    path.symlink_to(victim)
    box.ask("list")
    box.ask("cancel", live.run_id, "--grace", "1") if name != "control" else None
    (tmp_path / "go").touch()
    eventually(lambda: not live.spool.agent_alive(), "the agent to end")
    assert victim.read_text() == "precious"


@needs_root
def test_a_second_user_can_neither_read_nor_join_nor_signal(box: Box, tmp_path: Path) -> None:
    open_path = Path("/tmp") / f"durastream-{os.getpid()}-{box.log}"  # where the second user gets at all
    open_path.mkdir(mode=0o755)
    try:
        shared = Box(open_path / "store", box.log)
        shutil.copytree(SOURCE, open_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
        live = shared.detach("sh", "-c", f"echo {CANARY}; sleep 600")
        live.reaches(3)
        python = (sys.executable, "-P", "-m", "durastream")
        if stranger(*python, "--version", path=str(open_path / "src")).returncode:
            python = ()  # this interpreter is not for others
        below = [path for path in all_below(Path(shared.folder)) if path.is_file()]
        script = 'for file; do cat "$file" && echo "read $file"; echo x >> "$file" && echo "wrote $file"; done'
        assert stranger("sh", "-c", script, "sh", *map(str, below)).stdout == b""
        assert stranger("ls", shared.folder).returncode != 0
        for pid in (live.pid("supervisor"), live.pid("recorder"), live.agent):
            assert stranger("kill", "-TERM", str(pid)).returncode != 0
        _asks(python, open_path, shared, live.run_id)
        assert live.spool.agent_alive()
        shared.cli("cancel", live.run_id)
        assert shared.whole(live.run_id, status="cancelled")
    finally:
        shared.sweep()
        shutil.rmtree(open_path)


def _asks(python: Sequence[str], folder: Path, shared: Box, run_id: str) -> None:
    if not python:
        return
    for words in (("attach", run_id), ("show", run_id), ("cancel", run_id), ("rm", run_id)):
        done = stranger(*python, *words, "--store", shared.folder, path=str(folder / "src"))
        assert CANARY.encode() not in done.stdout + done.stderr
        assert done.returncode != 0, words
        assert done.stderr.startswith(b"durastream: "), done.stderr
    assert shared.store.path(run_id) is not None
