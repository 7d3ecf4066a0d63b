"""What the messages of LangChain hold: text, thought, tool calls, citations, usage."""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters.calls import Calls
from durastream.sources.adapters.narrator import Narrator

__all__ = ["Tools", "citations", "is_assistant", "is_tool", "report_usage", "retrieved", "text_of", "thought_of"]

_TEXT = ("text", "output_text")
_THOUGHT = {"reasoning": "reasoning", "thinking": "thinking", "reasoning_content": "reasoning_content"}
_WELL = (None, "success")


def is_assistant(message: Any) -> bool:
    return type(message) is dict and message.get("type") in ("ai", "AIMessageChunk")


def is_tool(message: Any) -> bool:
    return type(message) is dict and message.get("type") in ("tool", "ToolMessageChunk")


def text_of(content: Any) -> str:
    """The text of a message: of a string, or of a list of blocks."""
    if type(content) is str:
        return content
    if type(content) is not list:
        return ""
    return "".join(block if type(block) is str else _text(block) for block in content)


def _text(block: dict[str, Any]) -> str:
    text = block.get("text") if block.get("type") in _TEXT else None
    return text if type(text) is str else ""


def thought_of(message: dict[str, Any]) -> str:
    """The reasoning in a piece of a message."""
    content = message.get("content")
    said = (message.get("additional_kwargs") or {}).get("reasoning_content") if type(content) is not list else None
    if type(said) is str:
        return said
    found = [block.get(_THOUGHT[kind]) for kind, block in _kinds(content) if kind in _THOUGHT]
    return "".join(text for text in found if type(text) is str)


def _kinds(content: Any) -> list[tuple[str, dict[str, Any]]]:
    blocks = content if type(content) is list else []
    return [(str(block.get("type")), block) for block in blocks if type(block) is dict]


def citations(say: Narrator, content: Any) -> None:
    """The sources that a model names beside its text."""
    for _, block in _kinds(content):
        for note in block.get("annotations") or []:
            if type(note) is dict and note.get("url"):
                say.source(url=note["url"], title=note.get("title"), snippet=note.get("cited_text"))


def retrieved(say: Narrator, documents: Any, step_id: str) -> None:
    """The documents that a retriever found."""
    for document in documents if type(documents) is list else []:
        about = document.get("metadata") or {}
        url = about.get("url") or about.get("source")
        known = type(url) is str and "://" in url
        title = about.get("title") or (None if known else url)
        say.source(
            url=url if known else None,
            title=title,
            snippet=document.get("page_content"),
            step_id=step_id,
            origin="tool",
        )


def report_usage(say: Narrator, message: dict[str, Any]) -> None:
    """What one call of a model used."""
    usage = message.get("usage_metadata")
    if type(usage) is not dict:
        return
    about = message.get("response_metadata") or {}
    say.use(
        scope="request",
        model=about.get("model_name") or about.get("model"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cached_tokens=(usage.get("input_token_details") or {}).get("cache_read"),
        reasoning_tokens=(usage.get("output_token_details") or {}).get("reasoning"),
    )


class Tools:
    """Tool calls as steps, and as the plan where a tool takes it."""

    def __init__(self, say: Narrator) -> None:
        self._calls = Calls(say)
        self.planned = False
        """Whether a tool took the plan: the state that comes along is behind it."""

    def start(self, step_id: Any, name: Any, given: Any, *, parent: str | None = None, nested: bool = False) -> None:
        """A tool is called. The plan of a subagent is no plan of the run."""
        if self._calls.start(step_id, name, given, parent=parent, own=not nested):
            self.planned = True

    def end(self, step_id: Any, name: Any, output: Any) -> None:
        """The tool gave a value, or a message for the model. Its status says whether it failed."""
        status, given = None, output
        if is_tool(output):
            status, given = output.get("status"), output.get("content")
        if status in _WELL:
            self._calls.end(step_id, output=given, name=name)
        else:
            self.fail(step_id, name, text_of(given) or given)

    def fail(self, step_id: Any, name: Any, error: Any) -> None:
        self._calls.end(step_id, "failed", error=error, name=name)
