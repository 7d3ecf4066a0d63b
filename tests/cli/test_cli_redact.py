"""Secrets on the command line: what `run` keeps out, what `redact` takes out later, and what is said of it."""

from __future__ import annotations

import sys

import pytest
from cli_kit import Cli, eventually

CANARY = "canary-7f3a-value"
KEY = "AKIAIOSFODNN7EXAMPLE"
AGENT = (
    f"import os, sys; print('{KEY[:9]}' + '{KEY[9:]}', os.environ['CANARY_TOKEN'], 'ACME-123456');"
    "print('password=hunter22x', os.environ['CANARY_TOKEN'], file=sys.stderr)"
)
SECRETS = (CANARY, KEY[4:], "hunter22x")


def left(ds: Cli, *secrets: str) -> list[str]:
    """Files of the store that hold one of them, raw bytes unpacked by `rederive` apart."""
    files = [path for path in ds.store.rglob("*") if path.is_file()]
    assert files
    return [f"{path.name}: {each}" for path in files for each in secrets if each.encode() in path.read_bytes()]


def run(ds: Cli, *options: str, log: str = "sqlite") -> None:
    agent = (sys.executable, "-S", "-c", AGENT, "--token", "shortword", CANARY)
    ds("run", "--log", log, *options, "--", *agent, env={"CANARY_TOKEN": CANARY, "PLAIN": "kept"})


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_run_leaves_no_canary_and_says_what_it_took_out(ds: Cli, log: str) -> None:
    run(
        ds,
        "--env",
        "CANARY_TOKEN",
        "--env",
        "PLAIN",
        "--env",
        "NOT_THERE",
        "--name",
        CANARY,
        "--tag",
        f"k={CANARY}",
        log=log,
    )
    assert ds.show()["status"] == "completed"
    ds("list")  # which keeps a catalogue
    assert left(ds, *SECRETS, "shortword") == []
    started = ds.events()[0]["data"]
    assert started["env"] == {"CANARY_TOKEN": "[redacted:env]***", "PLAIN": "kept"}
    assert started["redaction"]["variables"] == ["CANARY_TOKEN"]
    shown = ds.show()
    assert shown["redacted"] == {"aws": 1, "env": 2, "password": 1}
    assert "redacted: aws 1, env 2, password 1" in ds.here("show", "latest").stdout
    ds.here("verify", "latest")
    ds("check", "latest", "--name", "x", "--outcome", "pass", "--detail", f"saw {CANARY}", env={"CANARY_TOKEN": CANARY})
    ds("rederive", "latest")
    ds.here("verify", "--all")
    assert left(ds, *SECRETS, "shortword") == []
    assert ds.show()["draft"] == shown["draft"]


def test_a_variable_that_is_not_there_is_named_and_the_run_begins(ds: Cli) -> None:
    done = ds("run", "--env", "PLAIN", "--env", "NOT_\x1bTHERE", "--", "true", env={"PLAIN": "kept"})
    said = [line for line in done.stderr.splitlines() if "variable" in line]
    assert said == ["durastream: --env NOT_\u241bTHERE: there is no such variable here: nothing of it is recorded"]
    assert ds.events()[0]["data"]["env"] == ds.show()["env"] == {"PLAIN": "kept"}


def test_without_redaction_all_of_it_is_there_and_that_is_said(ds: Cli) -> None:
    agent = (sys.executable, "-S", "-c", AGENT)
    done = ds("run", "--no-redact", "--log", "jsonl", "--", *agent, env={"CANARY_TOKEN": CANARY})
    assert "redaction is off" in done.stderr
    assert len(left(ds, *SECRETS)) == len(SECRETS)
    assert "redaction was off" in ds.here("show", "latest").stdout
    (ds.folder / "said.txt").write_text(f"it was {KEY}\n")
    done = ds("import", "said.txt", "--no-redact", "--log", "jsonl")
    assert "redaction is off" in done.stderr
    assert ds.show()["draft"] == f"it was {KEY}\n"
    assert ds.events()[0]["data"]["redaction"] == {"on": False}


def test_a_configuration_adds_patterns_and_names(ds: Cli) -> None:
    (ds.folder / "durastream.toml").write_text('[redact]\npatterns = ["ACME-[0-9]{6}"]\nnames = ["PLA*"]\n')
    run(ds, "--env", "PLAIN")
    assert left(ds, "ACME-123456", *SECRETS) == []
    assert ds.show()["redacted"]["pattern"] == 1
    assert ds.events()[0]["data"]["env"] == {"PLAIN": "****"}
    (ds.folder / "durastream.toml").write_text('[redact]\npatterns = ["("]\n')
    assert "no regular expression" in ds("run", "--", "true", code=2).stderr


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("durastream.toml", '[redakt]\npatterns = ["ACME"]\n', "there is no [redakt]: there are [redact] and [verify]"),
        ("durastream.toml", 'patterns = ["ACME"]\n', "there is no [patterns]: there are [redact] and [verify]"),
        (
            "pyproject.toml",
            "[tool.durastream.redacts]\n",
            "no [tool.durastream.redacts]: there are [tool.durastream.redact]",
        ),
    ],
)
def test_a_table_with_another_name_is_no_rule_that_is_passed_over(ds: Cli, name: str, text: str, said: str) -> None:
    (ds.folder / name).write_text(text)
    assert said in ds("run", "--", "true", code=2).stderr
    assert not ds.store.exists() or not list(ds.store.glob("*.db"))


def test_an_import_and_a_program_that_records_itself_are_guarded(ds: Cli) -> None:
    (ds.folder / "said.txt").write_text(f"it was {KEY}\n{CANARY}\n")
    ds("import", "said.txt", env={"CANARY_TOKEN": CANARY})
    own = "import durastream\nwith durastream.recording('own'):\n" + "".join(
        f"    durastream.text({part!r})\n" for part in (KEY[:8], f"{KEY[8:]} {CANARY}")
    )
    (ds.folder / "own.py").write_text(own)
    environ = {**ds.environ, "CANARY_TOKEN": CANARY}
    done = ds.sh(f"{sys.executable} own.py", env=environ)
    assert done.returncode == 0, done.stderr
    ds.here("verify", "--all")
    assert left(ds, KEY[4:], CANARY) == []


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_what_was_found_later_is_taken_out_of_a_new_recording(ds: Cli, log: str) -> None:
    code = "import os; emit = open(os.environ['DURASTREAM_EVENTS'], 'a', buffering=1)\n" + "".join(
        f'print(\'{{"type":"text.delta","data":{{"message_id":"a","text":"{part}"}}}}\', file=emit)\n'
        for part in ("it is ACM", "E-123456 o", "k")
    )
    ds("run", "--name", "old", "--log", log, "--", sys.executable, "-S", "-c", code + "print('ACME-123456')")
    old = ds.show()
    done = ds("redact", "old", "--pattern", "ACME-[0-9]{6}", "--log", log)
    new = ds.show(done.stdout.strip())
    assert new["draft"] == "it is *********** ok".replace("***********", "[redacted]*")
    assert new["redacted"] == {"pattern": 2}
    assert ds.events(new["run_id"])[0]["data"]["redacted_from"] == {"run_id": old["run_id"], "seal": old["seal"]}
    assert old["seal"] in done.stderr
    assert new["seal"] in done.stderr
    assert [e["seq"] for e in ds.events(new["run_id"])] == [e["seq"] for e in ds.events(old["run_id"])]
    ds.here("verify", "--all")
    done = ds("redact", "old", "--pattern", r"(is\s+)?ACME-[0-9]+(\s+o)?", "--log", log)  # white space, over two pieces
    assert ds.show(done.stdout.strip())["draft"] == "it [redacted]******k"
    ds.here("verify", "--all")
    ds("redact", "old", "--literal", "-", "--remove-old", input=b"ACME-123456\n", stdin=None)
    eventually(lambda: not list(ds.store.glob(old["run_id"] + ".*")), "the old one to be removed")
    ds.here("verify", "--all")
    assert left(ds, "ACME-123456") == []


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_where_there_is_nothing_to_take_out_no_other_run_is_made_and_none_is_removed(ds: Cli, log: str) -> None:
    ds("run", "--name", "old", "--log", log, "--", "sh", "-c", "echo said; printf 'in \\033[1mACM\\033[0mE-1'")
    before = sorted(path.name for path in ds.store.glob("[!.]*"))
    for words in (["--pattern", "nowhere"], ["--literal", "nowhere", "--remove-old"]):
        done = ds("redact", "old", *words, "--log", log)
        assert done.stdout == ""
        assert f"nothing to take out of {ds.show('old')['run_id']}: it stays as it is" in done.stderr
        assert sorted(path.name for path in ds.store.glob("[!.]*")) == before
    ds.here("verify", "--all")


def test_what_only_the_command_or_the_raw_bytes_hold_is_taken_out_all_the_same(ds: Cli) -> None:
    ds("run", "--name", "old", "--", "true", "ACME-123456")
    done = ds("redact", "old", "--literal", "ACME-123456")
    assert "taken out: " in done.stderr
    assert ds.show(done.stdout.strip())["command"] == ["true", "[redacted]*"]
