"""What the frameworks hand out, told apart and turned into the lines that their adapters read. None is imported.

A framework repeats a lot: whole states, whole histories, the objects that run. Only what its adapter reads is taken.
"""

from __future__ import annotations

from durastream.api.objects import plain

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["as_event", "as_line", "format_of"]

_MODES = frozenset({"checkpoints", "custom", "debug", "messages", "tasks", "updates", "values"})
_OPENAI = frozenset({"raw_response_event", "run_item_stream_event", "agent_updated_stream_event"})
_PYDANTIC_AI = frozenset({"part_start", "part_delta", "part_end", "function_tool_call", "agent_run_result"})
_UNREAD = frozenset(
    {
        "on_chain_stream",
        "on_chat_model_start",
        "on_llm_start",
        "on_prompt_start",
        "on_prompt_end",
        "on_retriever_stream",
    }
)
_MESSAGE = (
    "type", "id", "content", "name", "tool_calls", "tool_call_id", "status", "usage_metadata", "response_metadata",
    "additional_kwargs", "chunk_position",
)  # fmt: skip
"""What the adapters read of a message."""


def as_event(item: Any) -> tuple[str, dict[str, Any]] | None:
    """Type and data of what has the form of an event of ours."""
    if isinstance(item, dict):
        type_, data = item.get("type"), item.get("data")
    elif isinstance(item, tuple) and not hasattr(item, "type"):
        if len(item) != 2:
            return None
        type_, data = item
    elif hasattr(item, "type") and hasattr(item, "data"):  # Event and Pending, which are tuples too
        type_, data = item.type, item.data
    else:
        return None
    if isinstance(type_, str) and isinstance(data, dict) and all(isinstance(name, str) for name in data):
        return type_, data
    return None


def format_of(item: Any) -> str | None:
    """The framework that an item comes from, by its class or its keys; None when it is of none of them."""
    if isinstance(item, dict):
        return _format_of_keys(item)
    if isinstance(item, tuple):
        if len(item) == 2 and (_is_mode(item[0]) or _is_of("langchain_core", item[0])):
            return "langgraph"
        return "langgraph" if len(item) == 3 and _is_mode(item[1]) and isinstance(item[0], tuple) else None
    if isinstance(getattr(item, "event_kind", None), str) and _is_of("pydantic_ai", item):
        return "pydantic-ai"
    if _is_openai(getattr(item, "type", None)) and _is_of("agents", item):
        return "openai-agents"
    return "langgraph" if hasattr(item, "content") and _is_of("langchain_core", item) else None


def _format_of_keys(item: dict[Any, Any]) -> str | None:
    event, type_ = item.get("event"), item.get("type")
    if isinstance(event, str) and event.startswith("on_") and "run_id" in item:
        return "langchain"
    if type_ == "event" and "method" in item and "params" in item:
        return "langchain"
    if _is_mode(type_) and "ns" in item:
        return "langgraph"
    if _is_openai(type_):
        return "openai-agents"
    kind = item.get("event_kind")
    return "pydantic-ai" if isinstance(kind, str) and kind in _PYDANTIC_AI else None


def _is_mode(word: Any) -> bool:
    return isinstance(word, str) and word in _MODES


def _is_openai(word: Any) -> bool:
    return isinstance(word, str) and word in _OPENAI


def _is_of(package: str, item: Any) -> bool:
    """Whether its class, or one that it is made of, is of this package."""
    return any(str(base.__module__).partition(".")[0] == package for base in type(item).__mro__)


def _message(message: Any) -> Any:
    """A message of LangChain: most items of a stream are one, and to dump it whole takes ten times as long."""
    if not hasattr(message, "content") or not _is_of("langchain_core", message):
        return plain(message)
    held = vars(message)  # a model answers for a field that it has not ten times slower
    known = {name: plain(held[name]) for name in _MESSAGE if held.get(name)}
    return {"content": "", **known}


def as_line(format_: str, item: Any) -> Any:
    """The line that the adapter for a format reads; None for what it does not need."""
    make = _MAKERS.get(format_)
    return plain(item) if make is None else make(item)


def _langchain(event: Any) -> Any:
    if not isinstance(event, dict):
        return plain(event)
    kind = event.get("event")
    if not isinstance(kind, str):
        return _langchain_v3(event)
    if kind in _UNREAD or (kind.startswith("on_chain_") and event.get("parent_ids")):
        return None
    line = {name: plain(event.get(name)) for name in ("event", "name", "run_id")}
    line["parent_ids"] = plain(event.get("parent_ids") or [])
    data = event.get("data") or {}
    if kind == "on_custom_event":
        line["data"] = plain(data)
    elif kind == "on_chain_end":
        line["data"] = {"output": _last(data.get("output"))}
    elif kind == "on_chain_start":
        line["data"] = {}
    else:
        known = ("chunk", "error", "output") if kind.endswith(("_end", "_error")) else ("chunk", "input")
        line["data"] = {name: _message(data[name]) for name in known if name in data}
    return line


def _langchain_v3(event: dict[str, Any]) -> Any:
    params = event.get("params") or {}
    method, data = event.get("method"), params.get("data")
    known = _graph(method, data)
    if known is None:
        return None
    about = {name: plain(params[name]) for name in ("interrupts", "namespace") if name in params}
    return {"type": "event", "method": method, "params": {**about, "data": known}}


def _last(output: Any) -> Any:
    """What a chain gave: of a state with messages the last one."""
    messages = _field(output, "messages")
    return {"messages": [_message(messages[-1])]} if isinstance(messages, list) and messages else _message(output)


def _field(value: Any, name: str) -> Any:
    """A part of a state, which may be an object."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def _langgraph(item: Any) -> Any:
    if isinstance(item, dict) and "ns" in item and _is_mode(item.get("type")):
        namespace, mode, data = item["ns"], item["type"], item.get("data")
    elif isinstance(item, tuple) and len(item) == 3:
        namespace, mode, data = item
    elif isinstance(item, tuple) and len(item) == 2 and _is_mode(item[0]):
        namespace, (mode, data) = (), item
    elif isinstance(item, tuple) and len(item) == 2:  # of stream_mode="messages" alone
        namespace, mode, data = (), "messages", item
    elif isinstance(item, dict):  # of one mode alone, which its words do not name
        namespace, mode, data = (), "values" if "messages" in item else "updates", item
    else:  # a model, or a chain that ends with one
        namespace, mode, data = (), "messages", (item, {})
    known = _graph(mode, data)
    return None if known is None else [plain(namespace), mode, known]


def _graph(mode: Any, data: Any) -> Any:
    """The data of a stream mode, without the states and the histories that come along."""
    if mode in ("debug", "checkpoints"):
        return None
    if mode == "messages" and isinstance(data, (tuple, list)) and len(data) == 2:
        message, about = data
        known = about if isinstance(about, dict) else {}
        return [_message(message), {key: known[key] for key in ("langgraph_checkpoint_ns", "run_id") if key in known}]
    if mode == "values":
        messages, todos = _field(data, "messages"), _field(data, "todos")
        last = messages[-1:] if isinstance(messages, list) else []
        return {
            "messages": [_message(message) for message in last],
            **({} if todos is None else {"todos": plain(todos)}),
        }
    if mode == "tasks" and isinstance(data, dict) and "input" in data:
        given = data["input"]
        calls = given.get("tool_call") if isinstance(given, dict) else given if isinstance(given, list) else None
        return {"id": data.get("id"), "name": data.get("name"), "triggers": [], "input": _calls(calls)}
    return plain(data)


def _calls(given: Any) -> Any:
    return plain(given) if isinstance(given, list) else [plain(given)] if isinstance(given, dict) else None


def _openai_agents(item: Any) -> Any:
    kind = getattr(item, "type", None)
    if kind == "raw_response_event":
        return {"type": kind, "data": plain(item.data)}
    if kind == "agent_updated_stream_event":
        return {"type": kind, "new_agent": {"name": plain(item.new_agent.name)}}
    if kind == "run_item_stream_event":
        known = {"type": plain(item.item.type), "raw_item": plain(item.item.raw_item)}
        if hasattr(item.item, "output"):
            known["output"] = plain(item.item.output)
        return {"type": kind, "name": plain(item.name), "item": known}
    return plain(item)


def _pydantic_ai(item: Any) -> Any:
    if getattr(item, "event_kind", None) != "agent_run_result":
        return plain(item)
    usage = item.result.usage
    used = plain(usage() if callable(usage) else usage)  # it was a method before 2.0
    return {"event_kind": "agent_run_result", "result": {"output": plain(item.result.output), "usage": used}}


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "langchain": _langchain,
    "langgraph": _langgraph,
    "openai-agents": _openai_agents,
    "pydantic-ai": _pydantic_ai,
}
