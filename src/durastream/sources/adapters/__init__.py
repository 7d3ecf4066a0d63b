"""The formats of agents that people already run. One pure module each: lines in, events out, no I/O and no clock.

An adapter is a class with a name; `matches` tells whether a line is of its format, `take` tells a `Narrator` what the
line means. Other packages add theirs under the entry point group `durastream.adapters`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar, Protocol, cast

from durastream.errors import UsageError
from durastream.sources.adapters.narrator import Entry, Narrator, Unmapped

__all__ = ["BUILTIN", "NO", "STRONG", "WEAK", "Adapter", "Entry", "Narrator", "Unmapped", "adapters", "find", "names"]

NO, WEAK, STRONG = 0, 1, 2
"""What `matches` answers. Weak is what an ordinary program might print too: it takes two such lines."""

BUILTIN = {
    "acp": "durastream.sources.adapters.acp:Acp",
    "a2a": "durastream.sources.adapters.a2a:A2a",
    "codex": "durastream.sources.adapters.codex:Codex",
    "codex-session": "durastream.sources.adapters.codex_session:CodexSession",
    "qwen": "durastream.sources.adapters.qwen:Qwen",
    "amp": "durastream.sources.adapters.amp:Amp",
    "cursor": "durastream.sources.adapters.cursor:Cursor",
    "claude": "durastream.sources.adapters.claude:Claude",
    "gemini": "durastream.sources.adapters.gemini:Gemini",
    "opencode": "durastream.sources.adapters.opencode:Opencode",
    "pi": "durastream.sources.adapters.pi:Pi",
    "goose": "durastream.sources.adapters.goose:Goose",
    "ag-ui": "durastream.sources.adapters.ag_ui:AgUi",
    "openai-responses": "durastream.sources.adapters.openai_responses:OpenAIResponses",
    "openai-chat": "durastream.sources.adapters.openai_chat:OpenAIChat",
    "anthropic": "durastream.sources.adapters.anthropic:Anthropic",
    "langchain": "durastream.sources.adapters.langchain:LangChain",
    "langgraph": "durastream.sources.adapters.langgraph:LangGraph",
    "openai-agents": "durastream.sources.adapters.openai_agents:OpenAIAgents",
    "pydantic-ai": "durastream.sources.adapters.pydantic_ai:PydanticAI",
    "gemini-api": "durastream.sources.adapters.gemini_api:GeminiAPI",
    "vercel": "durastream.sources.adapters.vercel:Vercel",
}
"""The formats that come along, in the order in which a line is tried on them."""

GROUP = "durastream.adapters"


class Adapter(Protocol):
    """A format. Made anew for each stream; `take` gets its lines in order, as JSON values."""

    name: ClassVar[str]
    """The word for `--format`."""
    note: ClassVar[str]
    """One line: the program and the options that print this format."""
    proven: ClassVar[str]
    """How far the mapping is proven: `real traces`, `library` or `hand-made`."""
    commands: ClassVar[tuple[str, ...]]
    """Names of programs that print it: a hint that makes a weak match a strong one."""
    terminal: ClassVar[bool]
    """Whether a run that ends well has a last record that says so."""

    def __init__(self, say: Narrator) -> None: ...

    @staticmethod
    def matches(line: Any) -> int:
        """NO, WEAK or STRONG: whether a JSON value is a line of this format."""

    def take(self, line: Any) -> None:
        """Say what a line means. Raises Unmapped for a line without a mapping; any other error counts as that too."""

    @staticmethod
    def when(line: Any) -> float | None:
        """The time that a line says of itself, in seconds since 1970; None when it says none."""


def names() -> list[str]:
    """The names of all formats that are installed."""
    return [*BUILTIN, *(point.name for point in _points() if point.name not in BUILTIN)]


def find(name: str) -> type[Adapter]:
    """The adapter of that name. Raises UsageError when there is none, or it cannot be loaded."""
    place = BUILTIN.get(name)
    if place is not None:
        module, _, attribute = place.partition(":")
        return cast("type[Adapter]", getattr(import_module(module), attribute))
    for point in _points():
        if point.name == name:
            try:
                return cast("type[Adapter]", point.load())
            except Exception as error:
                raise UsageError(f"the adapter {name} ({point.value}) cannot be loaded: {error!r}") from error
    raise UsageError(f"unknown format {name!r}: `durastream formats` lists them")


def adapters() -> Iterator[type[Adapter]]:
    """All adapters in the order of detection. One of others that cannot be loaded is passed over."""
    for name in names():
        try:
            yield find(name)
        except UsageError:
            if name in BUILTIN:
                raise


def _points() -> Any:
    from importlib.metadata import entry_points  # 15 ms to import and to look: only where a format is asked for

    return entry_points(group=GROUP)
