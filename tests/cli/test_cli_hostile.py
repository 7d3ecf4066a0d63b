"""A recording is data: nothing that an agent printed, named or was called acts on whoever looks at it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli, eventually, forbidden

from durastream.events import FORMAT, chain, genesis

EVIL = "\x1b]0;title\x07\x1b[5n\x1b[?1000h\x1b]52;c;cm0=\x07\x9b6n\x1bPq\x1b\\\u202eedoc\u2066\u200b\r\x08\x7f\x00"

AGENT = """
import json, os, sys
evil = sys.argv[1].encode().decode("unicode_escape")
def emit(type, **data):
    with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
        file.write(json.dumps({"type": type, "data": data}) + "\\n")
sys.stdout.write(evil + "out\\n"); sys.stderr.write(evil + "err\\n")
emit("plan.created", steps=[{"id": evil, "title": evil, "status": "active"}])
emit("step.started", step_id=evil, title=evil, kind=evil, input={evil: evil})
emit("step.progress", step_id=evil, message=evil, fraction=0.5)
emit("reasoning.delta", text=evil)
emit("source.added", source_id=evil, url=evil, title=evil)
emit("quality.checked", name=evil, outcome="fail", detail=evil)
emit("approval.requested", approval_id=evil, title=evil, options=[evil])
emit("artifact.created", path=evil, action="add")
emit("error.raised", message=evil, severity=evil)
emit("usage.reported", scope="turn", mode="add", model=evil, input_tokens=3)
emit("text.delta", message_id=evil, text=evil)
emit("app.noted", **{evil: {evil: [evil]}})
with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
    file.write('{"type":"' + evil + '"}\\n{"type":"text.delta","data":{"' + evil + '"\\n')
"""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, pycache: Path) -> Any:
    """A store with a run in which everything that an agent can choose is hostile."""
    folder = tmp_path_factory.mktemp("evil")
    (folder / "recordings").mkdir()
    cli = Cli(folder, pycache)
    words = EVIL.encode("unicode_escape").decode()
    agent = ("--", sys.executable, "-S", "-c", AGENT, words, EVIL.replace("\0", ""))
    cli.bytes("run", "--tag", f"{EVIL}=x".replace("\0", ""), "--view", "none", *agent)
    yield cli
    cli.sweep()


def test_cat_shows_pictures_in_a_terminal_and_the_text_in_a_pipe(evil: Cli) -> None:
    terminal = evil.terminal("cat", "latest")
    assert terminal.wait() == 0
    assert forbidden(terminal.raw.decode()) == set()
    assert "␛]0;title" in terminal.text
    assert evil("cat", "latest").stdout == evil.show()["draft"]


def test_in_a_terminal_only_the_raw_view_passes_bytes(ds: Cli) -> None:
    agent = ("--", "printf", "a\\033[5nb\\n")
    for words, passes in (((), False), (("--view", "plain"), False), (("--view", "raw"), True)):
        terminal = ds.terminal("run", *words, *agent)
        assert terminal.wait() == 0
        assert (b"\x1b[5n" in terminal.raw) is passes
    assert ds.bytes("run", *agent).stdout == b"a\x1b[5nb\n"


def test_while_it_runs_nothing_acts_either(ds: Cli) -> None:
    words = EVIL.encode("unicode_escape").decode()
    wait = "\nimport time\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.02)\n"
    go = ds.folder / "go"
    terminal = ds.terminal("run", "--", sys.executable, "-S", "-c", AGENT + wait, words, str(go))
    terminal.until("approve", "thinking")
    joined = ds.terminal("attach", size=(120, 40))
    joined.until("approve", "thinking")
    go.touch()
    for each in (terminal, joined):
        each.wait()
        assert forbidden(each.raw.decode()) == set()


def test_a_hostile_word_in_an_error_is_shown_as_it_is(ds: Cli) -> None:
    word = EVIL.replace("\0", "")
    for words in (
        ("run", "--", word),
        ("run", "--store", f"/dev/null/{word}", "--", "true"),
        ("show", word),
        ("show", f"./{word}"),
        (word,),
        ("list", "--status", word),
        ("list", "--store", word),
        ("run", "--view", word, "x"),
        ("run", "--tag", word, "x"),
        ("run", "--name", word, "x"),
        ("replay", word, "--speed", word),
        (f"--{word}",),
    ):
        done = ds(*words, code=None, env={"LC_ALL": "C"} if words[0] == "show" else {})
        assert done.returncode != 0 or words[0] == "list"
        assert forbidden(done.stdout + done.stderr) == set(), words
        assert len(done.stderr.splitlines()) == 1


def forge(path: Path, run_id: str, header: dict[str, Any], events: list[tuple[str, dict[str, Any]]]) -> None:
    """Write a recording by hand, its chain in order."""
    lines = [json.dumps({"durastream": FORMAT, "run_id": run_id, **header}, ensure_ascii=False)]
    digest = genesis(run_id)
    for seq, (type_, data) in enumerate(events, 1):
        event = {"seq": seq, "ts": "2026-11-23T06:00:00.000000Z", "t": float(seq), "type": type_, "data": data}
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        digest = chain(digest, body)
        lines.append(f'{body[:-1]},"hash":"sha256:{digest.hex()}"}}')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


HEADER = {"name": "forged", "tags": {}, "command": ["x"], "cwd": "/", "started_at": "2026-11-23T06:00:00.000000Z"}
FORGED: list[tuple[str, dict[str, Any]]] = [
    ("run.started", {"command": [EVIL], "cwd": EVIL, "run_id": "forged", "format": 1}),
    ("message.started", {"message_id": "a", "role": EVIL}),
    ("text.delta", {"message_id": "a", "text": EVIL}),
    ("run.completed", {"status": EVIL, "exit_code": EVIL, "signal": [EVIL], "findings": [EVIL], "events": 4}),
]


@pytest.mark.parametrize(
    "header", [{}, {"name": EVIL, "command": [EVIL]}, {"name": 5}, {"command": "x"}, {"started_at": 7}]
)
def test_a_forged_recording_harms_nobody(ds: Cli, header: dict[str, Any]) -> None:
    ds("run", "--name", "good", "--", "true")
    forge(ds.store / "forged.jsonl", "forged", {**HEADER, **header}, FORGED)
    for words in (("list",), ("show", "forged"), ("verify", "--all"), ("attach", "forged")):
        done = ds(*words, code=None)
        assert forbidden(done.stdout + done.stderr) == set(), words
        assert words != ("list",) or "good" in done.stdout


@pytest.mark.parametrize("run_id", ["../../victim", "..", EVIL])
def test_a_run_id_leads_to_no_other_folder(ds: Cli, run_id: str) -> None:
    victim = ds.folder / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    (ds.store / ".spool").mkdir()
    path = ds.store / "forged.jsonl"
    forge(path, run_id, HEADER, FORGED[:1])
    for words in (
        ("show", str(path)),
        ("attach", str(path)),
        ("recover", str(path)),
        ("cancel", str(path)),
        ("rm", str(path)),
    ):
        done = ds(*words, code=3)
        assert forbidden(done.stderr) == set()
        assert str(path) in done.stderr
    assert [each.name for each in victim.iterdir()] == ["precious"]
    ds("verify", "forged", code=3)


def test_names_with_a_path_in_them_stay_names(ds: Cli) -> None:
    run_id, flag = ds.waiting("--name", "..")
    eventually(lambda: ds.show(run_id)["last_seq"], "an event")
    flag.touch()
    assert ds.finished(run_id)["name"] == ".."
