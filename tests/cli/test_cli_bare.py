"""Recordings and terminals with next to nothing in them: each gets a useful view, or a clear sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import Cli

from durastream.events import chain, dumps, genesis

UNKNOWN = [("myapp.cache_hit", {"key": 1}), ("myapp.cache_miss", {"key": "\u202e"}), ("other.thing", {})]
"""Types that nobody knows, and no `run.started` before them."""


@pytest.fixture
def bare(ds: Cli) -> Path:
    ds("init")
    digest = genesis("k3v9p2")
    header = {
        "durastream": 1,
        "run_id": "k3v9p2",
        "command": ["agent"],
        "cwd": "/",
        "started_at": "2026-11-23T06:00:00Z",
    }
    lines = [json.dumps(header)]
    for seq, (type_, data) in enumerate(UNKNOWN, 1):
        event = {"seq": seq, "ts": f"2026-11-23T06:00:0{seq}.000000Z", "t": float(seq), "type": type_, "data": data}
        body = dumps(event)
        digest = chain(digest, body)
        lines.append(f'{body[:-1]},"hash":"sha256:{digest.hex()}"}}')
    path = ds.store / "k3v9p2.jsonl"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    path.chmod(0o600)
    return path


def test_unknown_types_without_a_beginning_are_shown_as_what_they_are(ds: Cli, bare: Path) -> None:
    assert [json.loads(line)["type"] for line in ds("events", str(bare)).stdout.splitlines()] == [t for t, _ in UNKNOWN]
    plain = ds("replay", str(bare), "--speed", "max", "--view", "plain").stdout
    assert "3 events" in plain
    shown = ds("show", str(bare)).stdout
    assert "k3v9p2" in shown or "agent" in shown
    said = ds("verify", str(bare), code=None)
    assert said.returncode in (1, 3)
    assert said.stdout.strip()
    assert "k3v9p2" in ds("list").stdout
    screen = ds.terminal("replay", str(bare), "--speed", "0.5x")
    screen.until("nothing to show here yet", "durastream events")
    screen.press("q")
    assert screen.wait() == 0
    assert screen.restored()


@pytest.mark.parametrize("size", [(10, 3), (1, 1), (200, 60)])
def test_a_window_of_any_size_has_a_picture_and_is_left_as_it_was(ds: Cli, bare: Path, size: tuple[int, int]) -> None:
    screen = ds.terminal("replay", str(bare), "--speed", "0.5x", size=size)
    screen.until("●" if size != (1, 1) else "…")
    screen.resize(*size[::-1])
    screen.press("?")
    screen.press("q")
    assert screen.wait() == 0
    assert screen.restored()
    assert b"Traceback" not in screen.raw


def test_a_closed_output_is_no_error_of_the_plain_view(ds: Cli, bare: Path) -> None:
    done = ds.sh(f"$ds replay {bare} --speed max --view plain | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] in ("0", "141", "1")
