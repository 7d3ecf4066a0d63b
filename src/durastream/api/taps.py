"""Streams of events of an agent framework, listened to on their way."""

from __future__ import annotations

from durastream import forks
from durastream.api.context import current

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any, Self

    from durastream.api.listener import Listener

__all__ = ["tap"]


def tap(stream: Any, *, format: str | None = None) -> Any:  # noqa: A002 - the word of the command line
    """Record the events of a stream while you read it: `async for event in durastream.tap(agent.astream_events(…))`.

    You get every item as it is, and every exception; to close the tap is to close the stream. It knows the events of
    LangChain (`astream_events`), LangGraph (`stream`, `astream`), the OpenAI Agents SDK (`stream_events()`, or the
    result itself, whose final output is then compared with what was streamed) and Pydantic AI (`run_stream_events()`,
    also in `async with`), and takes strings and events of durastream from any iterator. `format` names the format
    where it cannot be seen: one of `durastream formats`. An item that nobody knows is kept as `raw.event`.

    Outside of a run it gives the stream back.
    """
    events = stream.stream_events() if hasattr(stream, "stream_events") else stream
    sink = current()
    if sink is None or not sink.ready():
        lazy = not hasattr(events, "__next__") and not hasattr(events, "__enter__") and hasattr(events, "__iter__")
        return iter(events) if lazy else events
    with forks.loading:
        from durastream.api.listener import Listener  # with the adapters: only where a stream is recorded

    is_async = any(hasattr(events, name) for name in ("__aiter__", "__anext__", "__aenter__"))
    return (_AsyncTap if is_async else _Tap)(events, Listener(sink, format), stream)


class _Tapped:
    """A stream and who listens to it. What it does not do itself is the stream's."""

    def __init__(self, events: Any, listener: Listener, result: object) -> None:
        self._events = events
        self._listener = listener
        self._result = result
        self._iterator: Any = None
        self._manager: Any = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._events, name)

    def __del__(self) -> None:
        self._listener.cut("the rest of the stream was not read")

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, (StopIteration, StopAsyncIteration)):
            self._listener.end(self._result)
        else:
            self._listener.cut(error)


class _Tap(_Tapped):
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._heard("__next__")

    def send(self, value: Any) -> Any:
        return self._heard("send", value)

    def throw(self, *error: Any) -> Any:
        return self._heard("throw", *error)

    def close(self) -> None:
        self._listener.cut("the stream was closed")
        close = getattr(self._events if self._iterator is None else self._iterator, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        if hasattr(self._events, "__enter__"):
            self._manager = self._events
            self._events = self._manager.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        self._listener.cut(error[1] or "the stream was closed")
        return self.close() if self._manager is None else self._manager.__exit__(*error)

    def _heard(self, call: str, *arguments: Any) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._events)
        go_on = getattr(self._iterator, call)
        try:
            item = go_on(*arguments)
        except BaseException as error:
            self._failed(error)
            raise
        self._listener.hear(item)
        return item


class _AsyncTap(_Tapped):
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._heard("__anext__")

    async def asend(self, value: Any) -> Any:
        return await self._heard("asend", value)

    async def athrow(self, *error: Any) -> Any:
        return await self._heard("athrow", *error)

    async def aclose(self) -> None:
        self._listener.cut("the stream was closed")
        close = getattr(self._events if self._iterator is None else self._iterator, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        if hasattr(self._events, "__aenter__"):
            self._manager = self._events
            self._events = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> Any:
        self._listener.cut(error[1] or "the stream was closed")
        return await (self.aclose() if self._manager is None else self._manager.__aexit__(*error))

    async def _heard(self, call: str, *arguments: Any) -> Any:
        """Nothing else is awaited: whoever is cancelled in here has lost no item."""
        if self._iterator is None:
            self._iterator = self._events.__aiter__()
        go_on = getattr(self._iterator, call)
        try:
            item = await go_on(*arguments)
        except BaseException as error:
            self._failed(error)
            raise
        self._listener.hear(item)
        return item
