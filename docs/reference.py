"""Writes what docs/cli.md shows: the live `--help` of every command. `cog -r docs/cli.md` puts it there.

Versions of Typer write arguments differently (`{RUN}`, `RUN <str>`, `[[RUN]]`); here they all look as in `RUN` and
`[RUN]`, so that the page does not depend on the one that is installed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator

import typer

from durastream.cli.app import app, main

PINNED = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": "80"}


def commands() -> list[str]:
    """The names of all commands, in the order of the help."""
    return [str(command.name) for command in app.registered_commands]


def markdown() -> str:
    """The reference: the help of durastream itself, then of each command."""
    parts = [f"```text\n{_help([])}\n```\n"]
    parts += [f"## durastream {name}\n\n```text\n{_help([name])}\n```\n" for name in commands()]
    return "\n".join(parts)


def _help(words: list[str]) -> str:
    out = io.StringIO()
    with _pinned(), contextlib.redirect_stdout(out):
        code = main([*words, "--help"])
    if code != 0:
        raise RuntimeError(f"durastream {' '.join(words)} --help exits with {code}")
    return _plain(out.getvalue())


@contextlib.contextmanager
def _pinned() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in PINNED}
    os.environ.update(PINNED)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _plain(text: str) -> str:
    lines: list[str] = []
    section = ""
    for line in text.rstrip().split("\n"):
        if line.startswith("Usage:"):
            line = re.sub(r"\{(\S+?)\}(?:\.\.\.)?", r"\1", line)
            line = re.sub(r"\[\[(\S+?)\]((?:\.\.\.)?)\](?:\.\.\.)?", r"[\1]\2", line)
        if line and not line.startswith(" "):
            section = line
        if section == "Arguments:" and line.startswith("  "):
            line = re.sub(r" <[^ >]+>", "", line)
            if line.startswith("     "):  # the rest of a description: one line is long enough for all of ours
                lines[-1] += " " + line.strip()
                continue
            term, _, said = line.strip().partition("  ")
            line = f"  {term}  {' '.join(said.split())}"
        lines.append(line.replace("<str>", "TEXT ").rstrip())
    return "\n".join(lines)


def typer_writes_it_all() -> bool:
    """Whether the installed Typer shows the help of arguments; those before 0.28 leave it out."""
    return tuple(int(part) for part in typer.__version__.split(".")[:2]) >= (0, 28)
