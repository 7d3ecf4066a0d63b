"""How a command ends: whatever went wrong becomes one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable

from durastream.errors import DurastreamError

__all__ = ["drop_output", "ended", "open_streams", "say"]

# the last is what the interpreter says when it had no memory for the exception either
_NO_MEMORY = ("failed to map segment", "annot allocate memory", "without exception set")
_TOO_LITTLE = (
    "durastream: there is not enough memory for this: is a recording from elsewhere damaged,"
    " or larger than it should be?\n"
)


def say(text: str) -> None:
    """Talk to the person: one line on stderr, with nothing in it that could act on the terminal."""
    from durastream.views.safe import one_line  # a run that goes well says nothing before its end

    try:
        sys.stderr.write(f"durastream: {one_line(text, 1000)}\n")
        sys.stderr.flush()
    except OSError:  # nobody listens
        drop_output()


def ended(command: Callable[[], int], *, debug: bool = False) -> int:
    """Run a command to its end, its output written out; returns the exit code."""
    try:
        code = command()
        sys.stdout.flush()  # here, where it can still be said what goes wrong
    except BrokenPipeError:
        drop_output()
        return 128 + signal.SIGPIPE
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # Rich and Typer make a plain 1 of it
            drop_output()
            return 128 + signal.SIGPIPE
        raise
    except KeyboardInterrupt:
        return 130
    except DurastreamError as error:
        if debug:
            raise
        say(str(error))
        return error.exit_code
    except (ImportError, SystemError, MemoryError) as error:
        told = isinstance(error, MemoryError) or any(each in str(error) for each in _NO_MEMORY)
        if debug or not told:
            raise
        sys.stderr.write(_TOO_LITTLE)  # with nothing that would have to be imported
        return 3
    except OSError as error:
        if debug:
            raise
        drop_output()
        named = isinstance(error.filename, (str, bytes))
        where = os.fsdecode(error.filename) if named else "cannot write the output"
        say(f"{where}: {error.strerror or error}")
        return 1
    return code


def open_streams() -> None:
    """Make stdin, stdout and stderr fit to use: open, and with an escape for what their encoding does not have."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:  # the caller closed it: the next file to be opened would land there
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(fd, "r" if fd == 0 else "w", encoding="utf-8"))  # noqa: SIM115 - for good
        stream = getattr(sys, name)
        if fd and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Whoever read stdout or stderr has gone: let what is still to be written go nowhere instead of failing again."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(null, fd)
    os.close(null)
