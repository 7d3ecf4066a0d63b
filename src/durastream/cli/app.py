"""The command line as Typer reads it: which word is which command, and what becomes of words that are off."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from durastream.cli import listing
from durastream.cli.commands import judge, keep, look, record
from durastream.cli.common import attached_store
from durastream.cli.ending import say
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


class _Command(TyperCommand):
    """A command whose usage has the plain names of its arguments: Typer writes `{RUN}` and `[[RUN]]...` of them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = ["[OPTIONS]"]
        for each in self.params:
            if each.param_type_name == "argument":
                name = str(each.metavar) if each.required else f"[{each.metavar}]"
                pieces.append(name + "..." * (each.nargs == -1))
        return pieces


_command = partial(app.command, cls=_Command)


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


_command(
    "run",
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
    epilog="Exits with the agent's exit code; 128+n for signal n, 127 not found, 126 not executable, "
    "125 when durastream could not record, 124 when --max-bytes or --max-duration ended it, "
    "120 with --strict when the run did not complete or does not reconcile.",
)(record.run_command)
_command("demo")(record.demo_command)
_command("attach", epilog="Exits with the run's exit code when it saw the end, with 0 when you left before it.")(
    look.attach_command
)
_command("replay")(look.replay_command)
_command(
    "verify",
    epilog="Exits with 0 when everything holds, 1 with findings, 3 when a run cannot be read. Options may also stand "
    "in [tool.durastream.verify] of pyproject.toml, or in [verify] of durastream.toml.",
)(judge.verify_command)
_command("rules")(judge.rules_command)
_command("seal", epilog="A seal proves something only if it is kept where the recording is not: docs/audit.md.")(
    judge.seal_command
)
_command("list")(look.list_command)
_command("show")(look.show_command)
_command("events")(look.events_command)
_command("cat")(look.cat_command)
_command("diff", epilog="Exits with 0 when the runs are the same in what is compared, with 1 when they differ.")(
    judge.diff_command
)
_command("check", epilog="The recording stays as it was; the evaluation is chained to its seal, in a file beside it.")(
    judge.check_command
)
_command("cancel")(keep.cancel_command)
_command("recover")(keep.recover_command)
_command("selftest", epilog="Exits with 0 when the store can promise all of it on both logs, else with 1.")(
    keep.selftest_command
)
_command("rm")(keep.rm_command)
_command("import", epilog="Prints the id of the new run. How it ended is what the transcript itself says.")(
    record.import_command
)
_command("rederive")(record.rederive_command)
_command(
    "redact", epilog="Prints the id of the new run, which names the old one and its seal; nothing if none was needed."
)(record.redact_command)
_command("formats")(keep.formats_command)
_command("init")(keep.init_command)


def main(words: list[str]) -> int:
    """Run a command line; returns the exit code. Words that are off become a line on stderr, other errors come out."""
    command: Any = typer.main.get_command(app)
    if not words and listing.to_be_watched(attached_store(None)):
        words = ["list", "--watch"]
    try:
        return _code(command(words or ["--help"], prog_name="durastream", standalone_mode=False))
    except _Mistake as error:
        forgotten = words[0] not in command.commands and shutil.which(words[0])
        say(_to_record(words[0]) if forgotten else _mistake(error, words))
        return 2
    except typer.Abort:
        return 130


def _to_record(program: str) -> str:
    """What to type for who left out `run`."""
    return f"no such command {program!r}: to record that program: durastream run -- {program}"


def _mistake(error: Any, words: list[str]) -> str:
    """What was wrong with the words, and where the right ones stand."""
    named = [word for word in words[:1] if not word.startswith("-")]  # of a missing value the parser knows no more
    path = error.ctx.command_path if error.ctx is not None else " ".join(["durastream", *named])
    said = error.format_message().rstrip(".")
    return f"{said[:1].lower()}{said[1:]}: see {path} --help"


def _code(result: object) -> int:
    return result if isinstance(result, int) else 0
