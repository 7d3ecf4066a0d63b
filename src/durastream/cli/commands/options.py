"""The words that several commands take, and what their help says of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import typer

from durastream.cli import completing
from durastream.cli.launch import LOGS
from durastream.errors import UsageError

__all__ = ["Json", "Links", "Log", "NoRedact", "Run", "Store", "Tags", "Timestamps", "View", "decimal", "whole"]

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run.", autocompletion=completing.runs)]
Store = Annotated[str | None, typer.Option("--store", metavar="DIR", help="The folder of recordings.")]
Log = Annotated[str, typer.Option("--log", metavar="KIND", help=f"{' or '.join(LOGS)}.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="A tag; may be repeated.")]
NoRedact = Annotated[bool, typer.Option("--no-redact", help="Record secrets as they are.")]
View = Annotated[str, typer.Option("--view", metavar="VIEW", help="live, plain, raw, json or none.")]
Links = Annotated[bool, typer.Option("--links", help="Make sources on the screen links that can be clicked.")]
Timestamps = Annotated[bool, typer.Option("--timestamps", help="Begin plain lines with the wall clock, in UTC.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a run.")]


def whole(option: str) -> Callable[[object], int]:
    """A reader of whole numbers, 0 or more, which says what is wrong in one line."""

    def read(given: object) -> int:
        text = str(given)
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            raise UsageError(f"{option} {text[:80]}: a whole number, 0 or more")
        return int(text)

    return read


def decimal(option: str, least: float = -math.inf) -> Callable[[object], float]:
    """A reader of numbers from `least` on."""

    def read(given: object) -> float:
        try:
            number = float(str(given))
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= least):
            raise UsageError(
                f"{option} {str(given)[:80]}: a number" + (f", {least:g} or more" if least > -math.inf else "")
            )
        return number

    return read
