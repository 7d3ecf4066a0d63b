"""`durastream run` on pipes: what goes through, how it ends, what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_kit import CLI, PATIENCE, Cli, eventually

from durastream.cli.signals import Interrupts
from durastream.spool import Spool, spools

LAST = re.compile(
    r"durastream: ([a-z0-9]{6}) (\w+) · (\d+) events · (reconciled|NOT reconciled) · (sha256:[0-9a-f]{64})\n\Z"
)

SPEAKS = """
import os, sys
data = os.urandom(5_000_000)
open(sys.argv[1], "wb").write(data)
for start in range(0, len(data), 70_001):
    os.write(1, data[start:start + 70_001])
    os.write(2, data[start:start + 70_001][::-1][:999])
"""


def test_stdout_and_stderr_pass_through_byte_for_byte(ds: Cli) -> None:
    data = ds.folder / "data"
    done = ds.bytes("run", "--", sys.executable, "-S", "-c", SPEAKS, str(data))
    sent = data.read_bytes()
    assert done.stdout == sent
    said = b"".join(sent[start : start + 70_001][::-1][:999] for start in range(0, len(sent), 70_001))
    assert done.stderr.startswith(said)
    assert LAST.match(done.stderr[len(said) :].decode())
    assert ds.bytes("replay", "latest", "--speed", "max", "--view", "raw").stdout == sent
    assert ds.bytes("attach", "latest", "--view", "raw").stdout == sent


def test_what_is_said_of_a_run_never_stands_behind_its_output(ds: Cli) -> None:
    both = ds.bytes("run", "--", "printf", "no newline", stderr=subprocess.STDOUT).stdout.decode()
    assert both.startswith("no newline\ndurastream: ")
    apart = ds.bytes("run", "--", "printf", "no newline")
    assert (apart.stdout, apart.stderr[:12]) == (b"no newline", b"durastream: ")
    whole = ds.bytes("run", "--", "printf", "a newline\\n", stderr=subprocess.STDOUT).stdout.decode()
    assert whole.startswith("a newline\ndurastream: ")


def test_the_last_line_says_id_status_events_reconciled_and_seal(ds: Cli) -> None:
    last = LAST.match(ds("run", "--", "true").stderr)
    assert last
    run_id, status, events, verdict, seal = last.groups()
    assert (status, verdict) == ("completed", "reconciled")
    shown = ds.show(run_id)
    assert (shown["last_seq"], shown["seal"], shown["reconciled"]) == (int(events), seal, True)
    ds("verify", run_id, "--seal", seal)


def test_an_answer_that_differs_from_its_stream_is_named(ds: Cli) -> None:
    event = '{"type":"text.completed","data":{"message_id":"stdout","sha256":"sha256:00","length":9}}'
    script = f"""printf one; echo '{event}' >> "$DURASTREAM_EVENTS" """
    said = ds("run", "--", "sh", "-c", script).stderr.splitlines()
    assert " · NOT reconciled · " in said[0]
    assert re.fullmatch(r"durastream: see what differs: durastream verify [a-z0-9]{6}", said[1])
    ds("verify", code=1)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill -INT $$", 130),
    ],
)
def test_it_exits_as_the_agent_did(ds: Cli, script: str, code: int) -> None:
    ds("run", *(["--view", "none"] if code % 2 else []), "--", "sh", "-c", script, code=code)
    shown = ds.show()
    assert shown["exit_code"] == (None if shown["signal"] else code)


def test_what_cannot_be_started_is_said_and_nothing_is_left(ds: Cli) -> None:
    (ds.folder / "plain").touch()
    for word, code, why in (
        ("no-such-command", 127, "no-such-command: command not found"),
        ("./plain", 126, "./plain: not an executable file"),
        (".", 127, ".: command not found"),
        ("./recordings", 126, "./recordings: not an executable file"),
        ("", 127, "an empty word: command not found"),
        ("\x1b[31mred\u202e", 127, "␛[31mred<U+202E>: command not found"),
    ):
        assert ds("run", "--", word, code=code).stderr == f"durastream: {why}: nothing was started\n"
    assert json.loads(ds("list", "--json").stdout) == []
    assert not spools(str(ds.store))


def test_a_file_that_the_kernel_refuses_is_recorded_with_126(ds: Cli) -> None:
    broken = ds.folder / "broken"
    broken.write_bytes(b"\x7fELF" + bytes(100))
    broken.chmod(0o755)
    ds("run", "--", "./broken", code=126)
    assert "cannot start ./broken" in ds.show()["errors"][0]["message"]


def test_detached_it_prints_the_id_alone_and_returns(ds: Cli) -> None:
    flag = ds.folder / "go"
    script = f"while [ ! -e {flag} ]; do sleep 0.02; done; echo done; exit 4"
    done = ds("run", "--detach", "--", "sh", "-c", script)
    assert re.fullmatch(r"[a-z0-9]{6}\n", done.stdout)
    assert done.stderr == ""
    run_id = done.stdout.strip()
    assert ds.show(run_id)["status"] == "running"
    flag.touch()
    assert ds.finished(run_id)["exit_code"] == 4
    assert ds("cat", run_id).stdout == "done\n"


def test_detached_in_a_command_substitution_it_keeps_nobody_waiting(ds: Cli) -> None:
    done = ds.sh("id=$($ds run -d -- sleep 600); $ds cancel $id 2>/dev/null; $ds list --json")
    assert [run["status"] for run in json.loads(done.stdout)] == ["cancelled"]


def test_a_reader_that_leaves_does_not_end_the_run(ds: Cli) -> None:
    flag = ds.folder / "go"
    script = f"seq 100000; while [ ! -e {flag} ]; do sleep 0.02; done; echo end"
    done = ds.sh(f"$ds run -- sh -c '{script}' | head -1; echo ${{PIPESTATUS[@]}}")
    assert done.stdout == "1\n141 0\n"
    said = re.fullmatch(r"durastream: output closed: run (\w+) goes on: durastream attach \1\n", done.stderr)
    assert said
    assert ds.show(said[1])["status"] == "running"
    flag.touch()
    assert ds.finished(said[1])["status"] == "completed"
    assert ds("cat", said[1]).stdout.endswith("\n100000\nend\n")


@pytest.mark.parametrize("view", ["raw", "plain", "json"])
def test_a_full_output_is_said_and_the_run_goes_on(ds: Cli, view: str) -> None:
    done = ds.sh(f"$ds run --view {view} -- sh -c 'echo one; sleep 0.2; echo two' > /dev/full")
    assert done.returncode == 1
    said = re.fullmatch(
        r"durastream: cannot write the output: No space left on device: run (\w+) goes on: durastream attach \1\n",
        done.stderr,
    )
    assert said
    assert ds.finished(said[1])["draft"] == "one\ntwo\n"


def test_a_detached_run_whose_id_cannot_be_written_is_said_to_go_on(ds: Cli) -> None:
    done = ds.sh("$ds run -d -- echo one > /dev/full")
    assert done.returncode == 1
    said = re.fullmatch(
        r"durastream: cannot write the output: No space left on device: run (\w+) goes on: durastream attach \1\n",
        done.stderr,
    )
    assert said
    assert ds.finished(said[1])["draft"] == "one\n"


@pytest.mark.parametrize("target", ["nowhere", "store"])
def test_a_store_that_is_a_link_to_nothing_is_called_one(ds: Cli, tmp_path: Path, target: str) -> None:
    (tmp_path / "store").symlink_to(target)
    done = ds("run", "--store", str(tmp_path / "store"), "--", "true", code=None)
    assert f"store is a link to {target}, which leads nowhere" in done.stderr


def test_an_output_that_does_not_block_loses_nothing(ds: Cli) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    process = ds.start("run", "--", "seq", "200000", stdout=write)
    os.close(write)
    got = b""
    with open(read, "rb") as file:
        while piece := file.read(1 << 14):
            got += piece
            time.sleep(0.0005)
    assert got.endswith(b"\n200000\n")
    assert len(got.splitlines()) == 200_000
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(ds: Cli, closed: str) -> None:
    assert ds.sh(f"$ds run -- sh -c 'cat; echo out; echo err >&2; exit 5' {closed}").returncode == 5
    shown = ds.show()
    assert (shown["draft"], [line["text"] for line in shown["log"]]) == ("out\n", ["err"])
    if " " not in closed:
        return
    for command in ("list", "show latest", "verify", "events latest", "cat latest", "attach latest", "run -d -- true"):
        done = ds.sh(f"$ds {command} {closed}")
        assert done.returncode == (5 if command.startswith("attach") else 0), command
        assert done.stderr == ""


def test_stdin_is_passed_on_from_a_pipe_and_from_a_file(ds: Cli) -> None:
    assert ds.sh("echo from a pipe | $ds run -- cat").stdout == "from a pipe\n"
    (ds.folder / "file").write_text("from a file\n", encoding="utf-8")
    assert ds.sh("$ds run -- cat < file").stdout == "from a file\n"
    assert ds.sh("$ds run -- cat < /dev/null").stdout == ""


def test_every_option_of_a_run_is_kept(ds: Cli, tmp_path: Path) -> None:
    store = tmp_path / "other"
    words = ["--name", "n m", "--tag", "a=b", "--tag=c=d=e", "--store", str(store), "--log", "jsonl", "--no-raw"]
    ds("run", *words, "--format", "text", "--view", "none", "--", "echo", '{"type":"a.b","data":{}}')
    shown = json.loads(ds("show", "n m", "--json", env={"DURASTREAM_STORE": str(store)}).stdout)
    assert (shown["name"], shown["tags"]) == ("n m", {"a": "b", "c": "d=e"})
    assert shown["draft"] == '{"type":"a.b","data":{}}\n', "format text takes no line for an event"
    assert [path.suffix for path in store.iterdir() if not path.name.startswith(".")] == [".jsonl"]
    done = ds("replay", "n m", "--view", "raw", "--store", str(store), code=3)
    assert "keeps no raw bytes of stdout" in done.stderr
    assert json.loads(ds("list", "--json").stdout) == []


def test_line_buffered_shows_the_lines_of_a_c_program_as_they_come(ds: Cli) -> None:
    flag = ds.folder / "go"
    # tr holds its output back until its input ends, unless it is told not to
    script = f"(echo one; while [ ! -e {flag} ]; do sleep 0.02; done) | tr o O"
    run_id = ds("run", "-d", "--line-buffered", "--", "sh", "-c", script).stdout.strip()
    eventually(lambda: ds.show(run_id)["draft"] == "One\n", "the first line")
    flag.touch()
    ds.finished(run_id)


def test_the_views_of_a_run(ds: Cli) -> None:
    agent = ("--", "sh", "-c", "echo one; echo two >&2")
    assert ds("run", "--view", "none", *agent).stdout == ""
    events = [json.loads(line) for line in ds("run", "--view", "json", *agent).stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["type"], events[-1]["type"]) == ("run.started", "run.completed")
    plain = ds("run", "--view", "plain", *agent).stdout
    assert re.search(r"^\+0:00\.\d text +one$", plain, re.M)
    assert re.search(r"^\+0:00\.\d log +two$", plain, re.M)
    assert ds("run", "--view", "live", *agent).stdout.splitlines()[0].endswith("sh -c 'echo one; echo two >&2'"), (
        "without a terminal the live view is the plain one"
    )


CALLABLES = """
import asyncio, sys
def plain(*words):
    return " ".join(words)
def generator():
    yield "one "
    yield {"type": "app.noted", "data": {"n": 1}}
    yield "two"
async def later():
    await asyncio.sleep(0)
    return "later"
async def stream():
    for word in ("a", "b"):
        await asyncio.sleep(0)
        yield word
def fails():
    raise ValueError("no")
"""


def test_a_python_callable_is_run_by_its_name(ds: Cli) -> None:
    package = ds.folder / "pkg"
    package.mkdir()
    (package / "mod.py").write_text(CALLABLES, encoding="utf-8")
    for words, answer in (
        (["pkg.mod:plain", "x", "--y"], "x --y"),
        (["pkg.mod:generator"], "one two"),
        (["pkg.mod:later"], "later"),
        (["pkg.mod:stream"], "ab"),
    ):
        ds("run", *words)
        shown = ds.show()
        assert (shown["answer"]["text"], shown["command"], shown["status"]) == (answer, words, "completed")
    assert ds.events("@2")[0]["data"]["callable"] == "pkg.mod:later"
    assert [event["data"] for event in ds.events("@3") if event["type"] == "app.noted"] == [{"n": 1}]
    failed = ds.bytes("run", "pkg.mod:fails")
    assert (failed.returncode, b"ValueError: no\n" in failed.stderr) == (1, True)
    assert "has no nothing" in ds("run", "pkg.mod:nothing", code=2).stderr


def test_sigterm_is_passed_on_to_the_agent(ds: Cli) -> None:
    script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    for view in ("raw", "plain", "none"):
        process = ds.start("run", "--view", view, "--", "sh", "-c", script)
        run_id = ds.run_id()
        eventually(lambda run_id=run_id: "ready" in ds.show(run_id)["draft"], "the agent")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 9
        shown = ds.show(run_id)
        assert shown["draft"] == "ready\ngot it\n"
        asked = [event for event in ds.events(run_id) if event["type"] == "run.cancel_requested"]
        assert [event["data"] for event in asked] == [{"by": "signal", "signal": "SIGTERM"}]


def test_ctrl_c_goes_to_the_agent_harder_each_time_and_is_told(ds: Cli) -> None:
    script = "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.02; done"
    process = ds.start("run", "--", "sh", "-c", script)
    run_id = ds.run_id()
    for heard in ("ready\n", "ready\nint\n", "ready\nint\nterm\n"):
        eventually(lambda heard=heard: ds.show(run_id)["draft"] == heard, heard)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 137
    assert out == b"ready\nint\nterm\n"
    said = [line for line in err.decode().splitlines() if "sent" in line]
    assert said == [
        "durastream: sent SIGINT; Ctrl-C again sends SIGTERM",
        "durastream: sent SIGTERM; Ctrl-C again sends SIGKILL",
        "durastream: sent SIGKILL",
    ]
    shown = ds.show(run_id)
    assert (shown["status"], shown["signal"]) == ("interrupted", "SIGKILL")
    asked = [event["data"]["signal"] for event in ds.events(run_id) if event["type"] == "run.cancel_requested"]
    assert asked == ["SIGINT", "SIGTERM", "SIGKILL"]


def test_a_hang_up_detaches(ds: Cli) -> None:
    flag = ds.folder / "go"
    process = ds.start("run", "--", "sh", "-c", f"while [ ! -e {flag} ]; do sleep 0.02; done; echo end")
    run_id = ds.run_id()
    eventually(lambda: Spool(str(ds.store), run_id).read_json("agent.json"), "the agent")
    eventually(lambda: signals_caught(process.pid) >> (signal.SIGHUP - 1) & 1, "the handler")
    process.send_signal(signal.SIGHUP)
    err = process.communicate(timeout=PATIENCE)[1].decode()
    assert (process.returncode, err) == (
        129,
        f"durastream: detached: run {run_id} goes on: durastream attach {run_id}\n",
    )
    flag.touch()
    assert ds.finished(run_id)["draft"] == "end\n"


def signals_caught(pid: int) -> int:
    """The signals for which a process has handlers, as bits."""
    if not os.path.isdir("/proc/self"):
        time.sleep(1.0)
        return -1
    found = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.M)
    assert found
    return int(found[1], 16)


def test_under_nohup_a_hang_up_is_ignored(ds: Cli) -> None:
    flag = ds.folder / "go"
    process = ds.start(
        "run", "--", "sh", "-c", f"while [ ! -e {flag} ]; do sleep 0.02; done; echo end",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    run_id = ds.run_id()
    eventually(lambda: signals_caught(process.pid) >> (signal.SIGTERM - 1) & 1, "the handlers")
    process.send_signal(signal.SIGHUP)
    flag.touch()
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b"end\n"), err
    assert ds.show(run_id)["status"] == "completed"


def test_a_run_inside_a_run_is_linked_to_it(ds: Cli) -> None:
    inner = " ".join(CLI)
    ds("run", "--name", "outer", "--", "sh", "-c", f"{inner} run --name inner -- echo hi")
    assert ds.show("inner")["parent_run_id"] == ds.show("outer")["run_id"]
    assert ds.show("outer")["draft"] == "hi\n"


def test_words_that_are_no_utf8_are_recorded_visibly(ds: Cli) -> None:
    odd = ds.folder / os.fsdecode(b"d\xff")
    odd.mkdir()
    done = ds.bytes("run", "--tag", os.fsdecode(b"a=\xfe"), "--", "printf", "%s", os.fsdecode(b"x\xff"), cwd=odd)
    assert (done.returncode, done.stdout) == (0, b"x\xff"), "the agent gets the very bytes"
    shown = ds.show()
    assert shown["command"][2] == "x\\xff"
    assert (shown["tags"], shown["cwd"].endswith("d\\xff")) == ({"a": "\\xfe"}, True)
    ds("verify", "--all")


def test_in_a_folder_that_was_removed_it_works_on(ds: Cli) -> None:
    script = "mkdir gone && cd gone && rmdir ../gone && $ds run -- echo hi && $ds list && $ds verify"
    done = ds.sh(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hi\n")
    assert [path.suffix for path in ds.store.iterdir() if not path.name.startswith(".")] == [".db"]


HOSTILE = 'import os\nopen(os.environ["TOLD"], "a").write(__name__ + "\\n")\n'


def test_files_in_the_current_folder_are_not_imported(ds: Cli, tmp_path: Path) -> None:
    names = ("json", "rich", "typer", "sitecustomize", "usercustomize", "sqlite3", "durastream", "typing", "signal")
    for name in names:
        (ds.folder / f"{name}.py").write_text(HOSTILE, encoding="utf-8")
    told = tmp_path / "told"
    script = tmp_path / "bin" / "durastream"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom durastream.__main__ import main\nsys.exit(main())\n", encoding="utf-8"
    )
    script.chmod(0o755)
    env = {**ds.environ, "TOLD": str(told)}
    for start in (list(CLI), [str(script)]):
        for words in (["run", "--", "echo", "hi"], ["demo", "--fast"], ["list"], ["verify"], ["show", "latest"]):
            done = subprocess.run(
                [*start, *words], cwd=ds.folder, env=env, capture_output=True, timeout=PATIENCE, check=False
            )
            assert done.returncode == 0, done.stderr
    assert not told.exists(), told.read_text(encoding="utf-8")


def test_what_was_piped_is_what_was_recorded(ds: Cli) -> None:
    done = ds.sh('$ds run -- sh -c \'for i in 1 2 3; do echo "{\\"n\\":$i}"; done\' | sha256sum')
    wanted = hashlib.sha256(b'{"n":1}\n{"n":2}\n{"n":3}\n').hexdigest()
    assert done.stdout.split()[0] == wanted


def test_a_signal_that_comes_while_the_agent_is_being_started_is_passed_on_to_it(tmp_path: Path) -> None:
    interrupts = Interrupts()
    with interrupts.handled():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        spool = Spool.create(str(tmp_path), {})
        assert spool.size("control") == 0
        interrupts.begin(spool)
    asked = [json.loads(line) for line in Path(spool.file("control")).read_text().splitlines()]
    assert [(each["signal"], each["by"]) for each in asked] == [("SIGINT", "ctrl-c"), ("SIGTERM", "signal")]
