"""The words that several commands take, and what their help says of them."""

from __future__ import annotations

from typing import Annotated

import typer

from durastream.cli import completing
from durastream.cli.launch import LOGS

__all__ = ["Json", "Links", "Log", "NoRedact", "Run", "Store", "Tags", "Timestamps", "View"]

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run.", autocompletion=completing.runs)]
Store = Annotated[str | None, typer.Option("--store", metavar="DIR", help="The folder of recordings.")]
Log = Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag; may be repeated.")]
NoRedact = Annotated[bool, typer.Option("--no-redact", help="Record secrets as they are.")]
View = Annotated[str, typer.Option("--view", metavar="VIEW", help="live, plain, raw, json or none.")]
Links = Annotated[bool, typer.Option("--links", help="Make sources on the screen links that can be clicked.")]
Timestamps = Annotated[bool, typer.Option("--timestamps", help="Begin plain lines with the wall clock, in UTC.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a run.")]
