"""Runs a Python function as the agent: `python -P -m durastream.callables package.module:function [ARGUMENT…]`.

The function gets the arguments as strings. What it returns or yields is the answer's text; what it yields in the form
of an event is one: a mapping with `type` and `data`, a pair (type, data), an `Event`. Plain functions, coroutines,
generators and async generators all work. Exit codes: 0, or what SystemExit says; 1 when the function raised; 2 when
there is no such function.

Cheap to import: the command line asks `looks_like_target` of every command.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from durastream import api

__all__ = ["NoTarget", "load", "looks_like_target", "main", "play"]


class NoTarget(Exception):
    """There is nothing to call; the message says why in one line. It has a cause when the module's own code failed."""


def looks_like_target(word: str) -> bool:
    """Whether a word has the form `package.module:function` (or `…:Class.method`)."""
    module, colon, name = word.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def load(target: str) -> Callable[..., Any]:
    """The function that a target names. Raises NoTarget."""
    if not looks_like_target(target):
        raise NoTarget(f"{target!r} is not of the form package.module:function")
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is None or not (module_name == missing or module_name.startswith(missing + ".")):
            raise NoTarget(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
        hint = f" (write {target.replace('.py:', ':')})" if module_name.endswith(".py") else ""
        raise NoTarget(f"there is no module {missing} here or in sys.path, to call {target}{hint}") from None
    except Exception as error:
        raise NoTarget(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise NoTarget(f"{module_name} has no {path}: is it spelled right?") from None
    if not callable(found):
        raise NoTarget(f"{target} is a {type(found).__name__}, which cannot be called")
    function: Callable[..., Any] = found
    return function


def play(returned: Any) -> None:
    """Record what a function returned, to its end: iterate it, await it, write it."""
    if isinstance(returned, (AsyncIterator, Awaitable)):
        import asyncio  # 60 ms to import, for async functions

        returned = asyncio.run(_settle(returned))
    while isinstance(returned, Iterator):
        returned = _drain(returned)
    _record(returned, yielded=False)


async def _settle(returned: Any) -> Any:
    while isinstance(returned, (AsyncIterator, Awaitable)):
        if isinstance(returned, AsyncIterator):
            async for item in returned:
                _record(item, yielded=True)
            returned = None
        else:
            returned = await returned
    return returned


def _drain(iterator: Iterator[Any]) -> Any:
    """Record all that is yielded; what a generator returns in the end is given back."""
    while True:
        try:
            item = next(iterator)
        except StopIteration as end:
            return end.value
        _record(item, yielded=True)


def _record(item: Any, *, yielded: bool) -> None:
    event = _as_event(item) if yielded else None
    if event is not None:
        api.emit(event[0], **event[1])
    elif isinstance(item, (bytes, bytearray)):
        _say(item.decode(errors="replace"))
    elif isinstance(item, str):
        _say(item)
    elif item is not None:
        import json  # not at the top: see main, and what the command line pays

        _say(json.dumps(item, ensure_ascii=False, default=str) + "\n" * yielded)


def _as_event(item: Any) -> tuple[str, dict[str, Any]] | None:
    """Type and data of what has the form of an event."""
    if isinstance(item, dict):
        type_, data = item.get("type"), item.get("data")
    elif hasattr(item, "type") and hasattr(item, "data"):  # Event and Pending, which are tuples too
        type_, data = item.type, item.data
    elif isinstance(item, tuple) and len(item) == 2:
        type_, data = item
    else:
        return None
    if isinstance(type_, str) and isinstance(data, dict) and all(isinstance(name, str) for name in data):
        return type_, data
    return None


def _say(chunk: str) -> None:
    if api.active():
        api.text(chunk)
    else:  # called by hand, outside a run
        sys.stdout.write(chunk)
        sys.stdout.flush()


def _show(error: BaseException) -> None:
    """The traceback, from the first line of code that is not ours."""
    import traceback  # 8 ms to import, for functions that fail

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, importlib.__file__):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def main(argv: list[str]) -> int:
    """Call the target with the arguments and record it; returns the exit code."""
    if not argv:
        sys.stderr.write("durastream: name what to call: package.module:function\n")
        return 2
    import hashlib  # noqa: F401 - which recording needs, before the current folder can hide them
    import json  # noqa: F401

    target, *arguments = argv
    sys.argv = list(argv)
    sys.path.insert(0, os.getcwd())
    try:
        function = load(target)
    except NoTarget as error:
        if error.__cause__ is not None:
            _show(error.__cause__)
        api.error(error.args[0], fatal=True)
        sys.stderr.write(f"durastream: {error}\n")
        return 2
    try:
        play(function(*arguments))
    except Exception as error:  # noqa: BLE001 - the top frame of someone else's program
        _show(error)
        api.error(error, fatal=True)
        return 1
    api.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
