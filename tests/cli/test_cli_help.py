"""Help, version and completion."""

from __future__ import annotations

import re

import pytest
from cli_kit import Cli

from durastream.cli.app import app
from durastream.version import VERSION

COMMANDS = sorted(str(command.name) for command in app.registered_commands)


def test_the_commands_are_those_of_the_design() -> None:
    wanted = "run demo attach replay verify list show events cat cancel recover rm init formats import rederive rules"
    wanted += " check diff redact seal selftest"
    assert sorted(wanted.split()) == COMMANDS


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns(ds: Cli, command: str) -> None:
    words = [command] if command else []
    said = ds(*words, "--help", env={"COLUMNS": "80"}).stdout
    assert said.startswith(f"Usage: durastream {command}".rstrip())
    assert max(map(len, said.splitlines())) <= 80
    assert not re.search(r"[a-z]\.\.\.", said), "no sentence is cut short"
    if command:
        assert ds(command, "-h", env={"COLUMNS": "80"}).stdout == said


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("rm", "[OPTIONS] RUN..."),
        ("run", "[OPTIONS] COMMAND..."),
        ("verify", "[OPTIONS] [RUN]..."),
        ("attach", "[OPTIONS] [RUN]"),
        ("diff", "[OPTIONS] A B"),
    ],
)
def test_the_usage_says_which_words_a_command_takes(ds: Cli, command: str, usage: str) -> None:
    assert ds(command, "--help").stdout.splitlines()[0] == f"Usage: durastream {command} {usage}"


def test_without_words_it_shows_the_help(ds: Cli) -> None:
    assert ds().stdout == ds("--help").stdout


def test_the_version_is_told(ds: Cli) -> None:
    assert ds("--version").stdout == f"durastream {VERSION}\n"


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete ")])
def test_a_completion_script_is_made_and_answers(ds: Cli, shell: str, mark: str) -> None:
    script = ds(env={"_DURASTREAM_COMPLETE": f"source_{shell}"}).stdout
    assert mark in script
    assert "_DURASTREAM_COMPLETE" in script
    words = {"COMP_WORDS": "durastream re", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "durastream re"}
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    answer = ds(env={"_DURASTREAM_COMPLETE": f"complete_{shell}", **words, **fish}).stdout
    assert "replay" in answer
    assert "recover" in answer
    assert "verify" not in answer
