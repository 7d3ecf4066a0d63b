"""The commands that keep a store and its runs in order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from durastream.cli import completing, formats, manage, selftesting
from durastream.cli.commands.options import Run, Store, decimal
from durastream.cli.common import attached_store

__all__ = ["cancel_command", "formats_command", "init_command", "recover_command", "rm_command", "selftest_command"]


def cancel_command(
    run: Run,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", metavar="SECONDS", parser=decimal("--grace", 0), help="How long to wait before SIGKILL."
        ),
    ] = 10,
    store: Store = None,
) -> int:
    """End a run: SIGTERM, then SIGKILL. The act is recorded."""
    return manage.cancel(attached_store(store), run, grace)


def recover_command(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The run; all orphaned ones if left out."),
    ] = None,
    store: Store = None,
) -> int:
    """Finish a recording whose supervisor and recorder are gone."""
    return manage.recover_runs(attached_store(store), run)


def selftest_command(
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one object.")] = False, store: Store = None
) -> int:
    """Try the disk of the store: locks, syncs, shared memory, kills."""
    return selftesting.run_selftest(attached_store(store), as_json=json_)


def rm_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The runs.")],
    store: Store = None,
) -> int:
    """Remove runs for good."""
    return manage.remove(attached_store(store), runs)


def formats_command(
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, one list.")] = False,
) -> int:
    """List what --format takes: the agents whose output is understood."""
    return formats.list_formats(as_json=json_)


def init_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Where the recordings folder goes.")] = ".",
) -> int:
    """Make a recordings folder, for all runs started below here."""
    return manage.init(Path(folder))
