"""Runs a Python function as the agent: `python -P -m durastream.callables package.module:function [ARGUMENT…]`.

The function gets the arguments as strings. What it returns or yields is the answer's text; what it yields in the form
of an event is one: a mapping with `type` and `data`, a pair (type, data), an `Event`; and the events of an agent
framework are told as `durastream.tap` tells them. Plain functions, coroutines, generators and async generators all
work. Exit codes: 0, or what SystemExit says; 1 when the function raised; 2 when
there is no such function.

Cheap to import: the command line asks `looks_like_target` of every command.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from durastream import api
from durastream.api import shapes
from durastream.api.context import current
from durastream.api.values import text_of

if TYPE_CHECKING:
    from durastream.api.listener import Listener

__all__ = ["NoTarget", "load", "looks_like_target", "main", "play"]


_ASYNC = ("__aiter__", "__await__", "__aenter__", "stream_events")


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
    player = _Player()
    try:
        if any(hasattr(returned, name) for name in _ASYNC):
            import asyncio  # 60 ms to import, for async functions

            returned = asyncio.run(player.settle(returned))
        while isinstance(returned, Iterator):
            returned = player.drain(returned)
        player.record(returned, yielded=False)
    except BaseException as error:
        player.cut(error)
        raise


class _Player:
    """What one function gives. The events of a framework are listened to as `durastream.tap` does."""

    def __init__(self) -> None:
        self._listener: Listener | None = None

    async def settle(self, returned: Any) -> Any:
        """Await, enter and iterate until nothing is left to wait for."""
        while True:
            if hasattr(returned, "stream_events"):  # a result of the OpenAI Agents SDK
                await self.settle(returned.stream_events())
                if self._listener is not None:
                    self._listener.end(returned)
                returned = None
            elif isinstance(returned, AsyncIterable):
                async for item in returned:
                    self.record(item, yielded=True)
                returned = None
            elif isinstance(returned, Awaitable):
                returned = await returned
            elif hasattr(returned, "__aenter__"):
                async with returned as entered:
                    returned = await self.settle(entered)
            else:
                return returned

    def drain(self, iterator: Iterator[Any]) -> Any:
        """Record all that is yielded; what a generator returns in the end is given back."""
        while True:
            try:
                item = next(iterator)
            except StopIteration as end:
                return end.value
            self.record(item, yielded=True)

    def record(self, item: Any, *, yielded: bool) -> None:
        framed = yielded and shapes.format_of(item) is not None
        event = shapes.as_event(item) if yielded and not framed else None
        if framed:
            self._hear(item)
        elif event is not None:
            api.emit(event[0], **event[1])
        elif isinstance(item, (bytes, bytearray)):
            _say(item.decode(errors="replace"))
        elif isinstance(item, str):
            _say(item)
        elif item is not None:
            import json  # not at the top: see main, and what the command line pays

            _say(json.dumps(item, ensure_ascii=False, default=str) + "\n" * yielded)

    def cut(self, error: BaseException) -> None:
        """The function raised; the error itself is told by who called it."""
        if self._listener is not None:
            self._listener.cut(text_of(error))

    def _hear(self, item: Any) -> None:
        sink = current()
        if self._listener is None and sink is not None:
            from durastream.api.listener import Listener  # with the adapters: only where there is such a stream

            self._listener = Listener(sink)
        if self._listener is not None:
            self._listener.hear(item)


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
