"""The commands that make a recording: of a command, of a transcript, or of an earlier run."""

from __future__ import annotations

from typing import Annotated

import typer

from durastream.cli import completing, importing, manage
from durastream.cli.commands.options import Links, Log, NoRedact, Run, Store, Tags, Timestamps, View
from durastream.cli.common import attached_store
from durastream.cli.launch import VIEWS, Request, check

__all__ = ["demo_command", "import_command", "redact_command", "rederive_command", "run_command"]


def run_command(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="What to run, or pkg.module:function of Python.")
    ],
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Print the run id and return at once.")] = False,
    view: Annotated[str, typer.Option("--view", metavar="VIEW", help=f"{', '.join(VIEWS)}.")] = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name for the run.")] = None,
    tag: Tags = None,
    store: Store = None,
    log: Log = "sqlite",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="F",
            autocompletion=completing.formats,
            help="What stdout holds; `durastream formats` lists them.",
        ),
    ] = "auto",
    no_raw: Annotated[bool, typer.Option("--no-raw", help="Do not keep the agent's raw bytes.")] = False,
    line_buffered: Annotated[
        bool, typer.Option("--line-buffered", help="Make a C program write line by line (stdbuf).")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 120 when the agent exits with 0 and the run did not complete, or does not reconcile.",
        ),
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", help="Run it on a terminal of its own. Ctrl-\\ d detaches.")] = False,
    max_bytes: Annotated[
        str | None, typer.Option("--max-bytes", metavar="SIZE", help="End it when it has written this much, e.g. 2G.")
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option("--max-duration", metavar="TIME", help="End it after this time, e.g. 90s, 30m, 2h.")
    ] = None,
    no_redact: NoRedact = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", metavar="NAME", help="Record this variable too; may be repeated.")
    ] = None,
) -> int:
    """Record a command, and watch it live."""
    from durastream.cli.foreground import run

    request = Request(
        tuple(command), detach, view, name, tuple(tag or ()), store, log, format_, not no_raw, line_buffered,
        strict, timestamps, tty, max_bytes, max_duration, not no_redact, tuple(env or ()), links,
    )  # fmt: skip
    check(request)
    return run(request)


def demo_command(
    fast: Annotated[bool, typer.Option("--fast", help="Take 1 second instead of 10.")] = False,
    view: View = "auto",
    store: Store = None,
    log: Log = "sqlite",
) -> int:
    """Record a built-in scripted agent: a tour of the views."""
    return manage.demo(Request((), view=view, name="demo", store=store, log=log), fast=fast)


def import_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What an agent printed, or the session file it kept.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="F",
            autocompletion=completing.formats,
            help="What it holds; `durastream formats` lists them.",
        ),
    ] = "auto",
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="A name for the run. [default: that of the file]")
    ] = None,
    tag: Tags = None,
    store: Store = None,
    log: Log = "sqlite",
    no_raw: Annotated[bool, typer.Option("--no-raw", help="Do not keep the bytes of the file.")] = False,
    no_redact: NoRedact = False,
) -> int:
    """Make a run of a transcript that was recorded elsewhere."""
    request = Request(
        (), name=name, tags=tuple(tag or ()), store=store, log=log, format=format_, raw=not no_raw, redact=not no_redact
    )
    return importing.import_(file, request)


def rederive_command(
    run: Run,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="F",
            autocompletion=completing.formats,
            help="What its stdout holds; `durastream formats` lists them.",
        ),
    ] = "auto",
    log: Log = "sqlite",
    store: Store = None,
) -> int:
    """Read the raw bytes of a finished run anew, into a new run. What changed is shown."""
    return importing.derive(attached_store(store), run, format_, log)


def redact_command(
    run: Run,
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="REGEX", help="What it matches is taken out; may be repeated."),
    ] = None,
    literal: Annotated[
        list[str] | None,
        typer.Option("--literal", metavar="TEXT", help="This text is taken out; - reads them from stdin, one a line."),
    ] = None,
    remove_old: Annotated[bool, typer.Option("--remove-old", help="Remove the old recording afterwards.")] = False,
    log: Log = "sqlite",
    store: Store = None,
) -> int:
    """Make a finished run anew, without a secret found later."""
    return importing.redact(attached_store(store), run, pattern or [], literal or [], log, remove_old=remove_old)
