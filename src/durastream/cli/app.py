"""The commands, as Typer shows them. Each parses, calls, prints and returns its exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from durastream.cli import (
    comparing,
    completing,
    evaluating,
    formats,
    importing,
    inspect,
    listing,
    manage,
    sealing,
    selftesting,
    verifying,
)
from durastream.cli.common import attached_store
from durastream.cli.ending import say
from durastream.cli.launch import LOGS, VIEWS, Request, check
from durastream.version import VERSION

__all__ = ["app", "main"]

app = typer.Typer(
    name="durastream",
    help="Record what an agent does while it does it, keep it, and show it again.",
    epilog="RUN is an id, a unique prefix of one, latest, @2 (the one before), a name, or the path of a recording.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

# Typer brings a copy of click from 0.29 on, and exports only this leaf of its errors.
_Mistake: type[Exception] = typer.BadParameter.__bases__[0]

Store = Annotated[str | None, typer.Option("--store", metavar="DIR", help="The folder of recordings.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The run.", autocompletion=completing.runs)]
View = Annotated[str, typer.Option("--view", metavar="VIEW", help="live, plain, raw, json or none.")]
Links = Annotated[bool, typer.Option("--links", help="Make sources on the screen links that can be clicked.")]
Timestamps = Annotated[bool, typer.Option("--timestamps", help="Begin plain lines with the wall clock, in UTC.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a run.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"durastream {VERSION}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    pass


@app.command(
    "run",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    epilog="Exits with the agent's exit code; 128+n for signal n, 127 not found, 126 not executable, "
    "125 when durastream could not record, 124 when --max-bytes or --max-duration ended it, "
    "120 with --strict when the run did not complete or does not reconcile.",
)
def run_command(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="What to run, or pkg.module:function of Python.")
    ],
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Print the run id and return at once.")] = False,
    view: Annotated[str, typer.Option("--view", metavar="VIEW", help=f"{', '.join(VIEWS)}.")] = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name for the run.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag; may be repeated.")] = None,
    store: Store = None,
    log: Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")] = "sqlite",
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
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Record secrets as they are.")] = False,
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


@app.command("demo")
def demo_command(
    fast: Annotated[bool, typer.Option("--fast", help="Take 1 second instead of 10.")] = False,
    view: View = "auto",
    store: Store = None,
    log: Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")] = "sqlite",
) -> int:
    """Record a built-in scripted agent: a tour of the views."""
    return manage.demo(Request((), view=view, name="demo", store=store, log=log), fast=fast)


@app.command("attach", epilog="Exits with the run's exit code when it saw the end, with 0 when you left before it.")
def attach_command(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The run; the newest live one if left out."),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHERE",
            help="start, now, or an event's number. [default: now; with --view json start]",
            show_default=False,
        ),
    ] = "auto",
    view: View = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    read_only: Annotated[
        bool, typer.Option("-r", "--read-only", help="Leave the keyboard of a run with --tty to others.")
    ] = False,
    store: Store = None,
) -> int:
    """Join a run: all that is known of it at once, then live."""
    return inspect.attach(
        attached_store(store), run, start, view, timestamps=timestamps, read_only=read_only, links=links
    )


@app.command("replay")
def replay_command(
    run: Run,
    speed: Annotated[str, typer.Option("--speed", metavar="FACTOR", help="4x, 0.5x or max.")] = "1x",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="PLACE", help="Where to begin: 90s, 1:30, event 1200, or a step's title."),
    ] = None,
    stop: Annotated[str | None, typer.Option("--to", metavar="PLACE", help="Where to end, included.")] = None,
    idle_limit: Annotated[
        str | None,
        typer.Option(
            "--idle-limit",
            metavar="SECONDS",
            help="Make longer silences this short, or off. [default: 5, and it says so]",
            show_default=False,
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until you leave.")] = False,
    view: View = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    store: Store = None,
) -> int:
    """Watch a run again, at the pace it had or another. In a terminal, ? shows the keys."""
    return inspect.replay(
        attached_store(store), run, speed, start, stop, idle_limit, view, loop=loop, timestamps=timestamps, links=links
    )


@app.command(
    "verify",
    epilog="Exits with 0 when everything holds, 1 with findings, 3 when a run cannot be read. Options may also stand "
    "in [tool.durastream.verify] of pyproject.toml, or in [verify] of durastream.toml.",
)
def verify_command(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The runs; the latest if left out."),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every run of the store.")] = False,
    seal: Annotated[str | None, typer.Option("--seal", metavar="HASH", help="What the run's seal must be.")] = None,
    signature: Annotated[
        str | None, typer.Option("--signature", metavar="FILE", help="A signature of the run's seal, with --key.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="PUB", help="The public Ed25519 key of who signed: PEM or OpenSSH.")
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select",
            metavar="CODE",
            autocompletion=completing.rules,
            help="Only these rules or families; may be repeated.",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="CODE",
            autocompletion=completing.rules,
            help="Not these rules or families; may be repeated.",
        ),
    ] = None,
    severity: Annotated[
        str | None,
        typer.Option(
            "--severity", metavar="LEVEL", help="The least that counts: error, warning, info. [default: warning]"
        ),
    ] = None,
    first_event: Annotated[
        str | None, typer.Option("--first-event", metavar="TIME", help="Something must be visible this soon, e.g. 2s.")
    ] = None,
    max_silence: Annotated[
        str | None, typer.Option("--max-silence", metavar="TIME", help="No pause may be longer, e.g. 30s.")
    ] = None,
    artifacts: Annotated[
        bool, typer.Option("--artifacts", help="Are files that were made still there, and the same?")
    ] = False,
    json_: Json = False,
    junit: Annotated[str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")] = None,
    sarif: Annotated[str | None, typer.Option("--sarif", metavar="FILE", help="Write SARIF, too.")] = None,
    store: Store = None,
) -> int:
    """Check recordings: is the answer what was streamed?"""
    signed = sealing.signed(signature, key)
    options = {
        "select": select or None,
        "ignore": ignore or None,
        "severity": severity,
        "first-event": first_event,
        "max-silence": max_silence,
        "artifacts": artifacts or None,
    }
    output = verifying.Output(json_, junit, sarif)
    return verifying.verify(
        attached_store(store), runs or [], all_runs=all_, seal=seal, signed=signed, options=options, output=output
    )


@app.command("rules")
def rules_command(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", autocompletion=completing.rules, help="A rule or a family; all if left out."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one list.")] = False,
) -> int:
    """List what verify looks at, or tell one rule in full."""
    return verifying.list_rules(code, as_json=json_)


@app.command("seal", epilog="A seal proves something only if it is kept where the recording is not: docs/audit.md.")
def seal_command(
    run: Run,
    sign: Annotated[
        str | None, typer.Option("--sign", metavar="KEY", help="Sign it with this private Ed25519 key: PEM or OpenSSH.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Where the signature goes. [default: beside the recording]"),
    ] = None,
    store: Store = None,
) -> int:
    """Print the seal of a finished run, its chain checked; sign it."""
    return sealing.seal(attached_store(store), run, sign, out)


@app.command("list")
def list_command(
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON array, an object a run.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="S", help="Only these, e.g. running, failed.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=0, help="At most this many.")] = None,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep them on the screen; Enter attaches.")] = False,
    store: Store = None,
) -> int:
    """List the runs, newest first."""
    if watch:
        return listing.watch(attached_store(store), as_json=json_, status=status, limit=limit)
    return listing.list_runs(attached_store(store), as_json=json_, status=status, limit=limit)


@app.command("show")
def show_command(run: Run, json_: Json = False, store: Store = None) -> int:
    """Show all that is known of a run, also while it lasts."""
    return inspect.show(attached_store(store), run, as_json=json_)


@app.command("events")
def events_command(
    run: Run,
    after: Annotated[int, typer.Option("--after", metavar="SEQ", min=0, help="Only events behind this one.")] = 0,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more until the run ends.")] = False,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="T", help="Only this type; may be repeated.")
    ] = None,
    store: Store = None,
) -> int:
    """Print events as they are stored, one JSON object a line."""
    return inspect.events(attached_store(store), run, after, follow=follow, types=frozenset(type_ or ()))


@app.command("cat")
def cat_command(run: Run, store: Store = None) -> int:
    """Print the answer, or the draft so far, and nothing else."""
    return inspect.cat(attached_store(store), run)


@app.command("diff", epilog="Exits with 0 when the runs are the same in what is compared, with 1 when they differ.")
def diff_command(
    first: Annotated[str, typer.Argument(metavar="A", help="A run, such as a golden recording.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The run to compare with it.")],
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select",
            metavar="WHAT",
            help="What to compare: some of status, plan, steps, answer, sources, checks, usage, cost, duration, "
            "or all; commas between them. [default: all but duration]",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one object.")] = False,
    store: Store = None,
) -> int:
    """Compare two runs, side by side."""
    return comparing.compare(attached_store(store), (first, second), select or [], as_json=json_)


@app.command(
    "check", epilog="The recording stays as it was; the evaluation is chained to its seal, in a file beside it."
)
def check_command(
    run: Run,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What was judged.")],
    outcome: Annotated[str, typer.Option("--outcome", metavar="O", help="pass, fail or warn.")],
    score: Annotated[float | None, typer.Option("--score", metavar="N", help="A number.")] = None,
    detail: Annotated[str | None, typer.Option("--detail", metavar="TEXT", help="Why.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who or what judged.")] = None,
    store: Store = None,
) -> int:
    """Add an evaluation to a finished run."""
    return evaluating.check(attached_store(store), run, name, outcome, score, detail, by)


@app.command("cancel")
def cancel_command(
    run: Run,
    grace: Annotated[
        float, typer.Option("--grace", metavar="SECONDS", min=0, help="How long to wait before SIGKILL.")
    ] = 10.0,
    store: Store = None,
) -> int:
    """End a run: SIGTERM, then SIGKILL. The act is recorded."""
    return manage.cancel(attached_store(store), run, grace)


@app.command("recover")
def recover_command(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The run; all orphaned ones if left out."),
    ] = None,
    store: Store = None,
) -> int:
    """Finish a recording whose supervisor and recorder are gone."""
    return manage.recover_runs(attached_store(store), run)


@app.command("selftest", epilog="Exits with 0 when the store can promise all of it on both logs, else with 1.")
def selftest_command(
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one object.")] = False, store: Store = None
) -> int:
    """Try the disk of the store: locks, syncs, shared memory, kills."""
    return selftesting.run_selftest(attached_store(store), as_json=json_)


@app.command("rm")
def rm_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The runs.")],
    store: Store = None,
) -> int:
    """Remove runs for good."""
    return manage.remove(attached_store(store), runs)


@app.command("import", epilog="Prints the id of the new run. How it ended is what the transcript itself says.")
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
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag; may be repeated.")] = None,
    store: Store = None,
    log: Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")] = "sqlite",
    no_raw: Annotated[bool, typer.Option("--no-raw", help="Do not keep the bytes of the file.")] = False,
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Record secrets as they are.")] = False,
) -> int:
    """Make a run of a transcript that was recorded elsewhere."""
    request = Request(
        (), name=name, tags=tuple(tag or ()), store=store, log=log, format=format_, raw=not no_raw, redact=not no_redact
    )
    return importing.import_(file, request)


@app.command("rederive")
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
    log: Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")] = "sqlite",
    store: Store = None,
) -> int:
    """Read the raw bytes of a finished run anew, into a new run. What changed is shown."""
    return importing.derive(attached_store(store), run, format_, log)


@app.command("redact", epilog="Prints the id of the new run. It names the old one and its seal.")
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
    log: Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")] = "sqlite",
    store: Store = None,
) -> int:
    """Make a finished run anew, without a secret found later."""
    return importing.redact(attached_store(store), run, pattern or [], literal or [], log, remove_old=remove_old)


@app.command("formats")
def formats_command(
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one list.")] = False,
) -> int:
    """List what --format takes: the agents whose output is understood."""
    return formats.list_formats(as_json=json_)


@app.command("init")
def init_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where the recordings folder goes.")] = ".",
) -> int:
    """Make a recordings folder, for all runs started below here."""
    return manage.init(Path(folder))


def main(words: list[str]) -> int:
    """Run a command line; returns the exit code. Words that are off become a line on stderr, other errors come out."""
    command: Callable[..., Any] = typer.main.get_command(app)
    if not words and listing.to_be_watched(attached_store(None)):
        words = ["list", "--watch"]
    try:
        return _code(command(words or ["--help"], prog_name="durastream", standalone_mode=False))
    except _Mistake as error:
        say(_mistake(error))
        return 2
    except typer.Abort:
        return 130


def _mistake(error: Any) -> str:
    """What was wrong with the words, and where the right ones stand."""
    path = error.ctx.command_path if error.ctx is not None else "durastream"
    said = error.format_message().rstrip(".")
    return f"{said[:1].lower()}{said[1:]}: see {path} --help"


def _code(result: object) -> int:
    return result if isinstance(result, int) else 0
