"""The commands that judge a run: by rules, by its seal, beside another, or by what somebody finds of it."""

from __future__ import annotations

from typing import Annotated

import typer

from durastream.cli import comparing, completing, evaluating, sealing, verifying
from durastream.cli.commands.options import Json, Run, Store, decimal
from durastream.cli.common import attached_store

__all__ = ["check_command", "diff_command", "rules_command", "seal_command", "verify_command"]


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


def rules_command(
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", autocompletion=completing.rules, help="A rule or a family; all if left out."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one list.")] = False,
) -> int:
    """List what verify looks at, or tell one rule in full."""
    return verifying.list_rules(code, as_json=json_)


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


def check_command(
    run: Run,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What was judged.")],
    outcome: Annotated[str, typer.Option("--outcome", metavar="O", help="pass, fail or warn.")],
    score: Annotated[
        float | None, typer.Option("--score", metavar="N", parser=decimal("--score"), help="A number.")
    ] = None,
    detail: Annotated[str | None, typer.Option("--detail", metavar="TEXT", help="Why.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who or what judged.")] = None,
    store: Store = None,
) -> int:
    """Add an evaluation to a finished run."""
    return evaluating.check(attached_store(store), run, name, outcome, score, detail, by)
