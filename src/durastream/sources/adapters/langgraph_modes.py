"""The stream modes of LangGraph: the same message comes in messages, updates, tasks and values, and is told once.

A message is known by its id. Nodes are steps, where `tasks` tells of them from their start, else from `updates` once
they are done; tools are steps of their own, from the call in a message to the answer in another. What a subgraph says
is progress of the node that it runs in.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from durastream.events import RESERVED, valid_type
from durastream.sources.adapters.langchain_messages import (
    Tools,
    citations,
    is_assistant,
    is_tool,
    report_usage,
    text_of,
    thought_of,
)
from durastream.sources.adapters.narrator import Narrator, Unmapped
from durastream.sources.adapters.plans import entries
from durastream.vocabulary import check

__all__ = ["MODES", "Graph"]

MODES = frozenset({"checkpoints", "custom", "debug", "messages", "tasks", "updates", "values"})

_MIDDLEWARE = (".after_agent", ".after_model", ".before_agent", ".before_model")
_REMEMBERED = 2000
_NODES = 100


class Graph:
    """What was told of a graph, as far as it may come again."""

    def __init__(self, say: Narrator, tools: Tools) -> None:
        self._say = say
        self._tools = tools
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._speaking: dict[str, str] = {}
        self._calls: dict[str, list[str]] = {}
        self._repeats = False
        self._tasks = False
        self._states = False
        self._nodes = 0
        self._nameless = ""

    def take(self, mode: str, namespace: list[str], data: Any) -> None:
        match mode:
            case "messages":
                message, about = data
                self._message(namespace, message, about)
            case "updates":
                self._repeats = True
                for node, update in data.items():
                    self._update(namespace, node, update)
            case "tasks":
                self._repeats = self._tasks = True
                if "triggers" in data or "input" in data:
                    self._task(namespace, data)
                else:
                    self._task_end(namespace, data)
            case "values":
                self._repeats = True
                self._values(namespace, data)
            case "custom":
                self.custom(data)
            case "debug" | "checkpoints" | "lifecycle":
                pass
            case _:
                raise Unmapped

    def custom(self, data: Any) -> None:
        """What an application writes itself: our own events, or words."""
        if type(data) is str:
            self._say.log(data)
            return
        type_, fields = data["type"], data["data"]
        ours = valid_type(type_) and type_ not in RESERVED and type_ not in ("run.completed", "run.declared")
        if type(fields) is not dict or not ours or check(type_, fields) is not None:
            raise Unmapped
        self._say.say(type_, **fields)

    def is_new(self, kind: str, id_: Any) -> bool:
        """Whether this was not told yet. It is from here on."""
        key = (kind, str(id_))
        if key in self._told:
            self._told.move_to_end(key)
            return False
        self._told[key] = None
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True

    def around(self, namespace: list[str]) -> str | None:
        """The step of the node that a subgraph runs in, or of the tool."""
        for part in reversed(namespace):
            task_id = str(part).rpartition(":")[2]
            for step_id in (task_id, *self._calls.get(task_id, ())):
                if self._say.is_running(step_id):
                    return str(step_id)
        return None

    # messages

    def _message(self, namespace: list[str], message: dict[str, Any], about: dict[str, Any]) -> None:
        if is_tool(message):
            self._answered(message)
        elif message.get("type") == "AIMessageChunk":
            self._chunk(namespace, message, str(about.get("langgraph_checkpoint_ns", "")))
        elif is_assistant(message):
            self._whole(namespace, message)

    def _chunk(self, namespace: list[str], chunk: dict[str, Any], node: str) -> None:
        id_ = chunk.get("id") or node
        if type(chunk.get("usage_metadata")) is dict:
            self.is_new("usage", id_)
            report_usage(self._say, chunk)  # the pieces of a message add up
        if namespace:
            return  # told as progress when it is whole
        thought, text = thought_of(chunk), text_of(chunk["content"])
        if thought:
            self._say.think(thought)
        if text:
            self._say.text(id_, text)
            self._speaking[node] = id_
            if len(self._speaking) > _NODES:
                del self._speaking[next(iter(self._speaking))]
        if chunk.get("chunk_position") == "last":  # which has an id of its own
            id_ = self._speaking.pop(node, id_)
            if not self._repeats and self._say.is_open(id_):
                self.is_new("text", id_)
                self._say.complete(id_)

    def _whole(self, namespace: list[str], message: dict[str, Any]) -> None:
        """A message that is complete: compared with what was streamed of it, or told now."""
        text, id_ = text_of(message["content"]), message.get("id")
        calls = message.get("tool_calls") or []
        if id_ is None:
            self._nodes += 1
            id_, self._nameless = f"message-{self._nodes}", text
        elif text and text == self._nameless:  # it has got its id since
            self._nameless = ""
            self.is_new("message", id_)
        if not self.is_new("inner message" if namespace else "message", id_):
            return  # what a subgraph said may come again as what its node gives
        inside = self.around(namespace) if namespace else None
        if self.is_new("usage", id_):
            report_usage(self._say, message)
        if not namespace:
            if self.is_new("text", id_):
                self._say.complete(id_, text)
            citations(self._say, message["content"])
            if not calls:
                self._say.cite(text, origin="text")
        elif inside is not None and text:
            self._say.progress(inside, text)
        self._call(calls, inside, nested=bool(namespace))

    def _call(self, calls: list[dict[str, Any]], inside: str | None, *, nested: bool) -> None:
        for call in calls:
            if self.is_new("call", call["id"]):
                self._tools.start(call["id"], call["name"], call["args"], parent=inside, nested=nested)

    def _answered(self, message: dict[str, Any]) -> None:
        """The message with which a tool answers."""
        id_ = message["tool_call_id"]
        if self.is_new("tool", id_) or self._say.is_running(id_):
            self._tools.end(id_, message.get("name") or id_, message)

    # nodes

    def _update(self, namespace: list[str], node: str, update: Any) -> None:
        if node == "__interrupt__":
            self.ask(update)
            return
        if node == "__metadata__":
            return
        self._state(namespace, update)
        messages = _messages(update)
        if not self._tasks and not node.endswith(_MIDDLEWARE) and not (messages and all(map(is_tool, messages))):
            self._nodes += 1
            self._say.start(f"{node}/{self._nodes}", node, kind="task", parent=self.around(namespace))
            self._say.end(f"{node}/{self._nodes}")

    def _task(self, namespace: list[str], task: dict[str, Any]) -> None:
        id_, name = task["id"], task["name"]
        calls = _calls(task.get("input"))
        inside = self.around(namespace)
        if calls:
            self._calls[id_] = [call["id"] for call in calls]
            self._call(calls, inside, nested=bool(namespace))
        elif not name.endswith(_MIDDLEWARE):
            self._say.start(id_, name, kind="task", parent=inside)

    def _task_end(self, namespace: list[str], task: dict[str, Any]) -> None:
        id_, error, asked = task["id"], task.get("error"), task.get("interrupts")
        self._state(namespace, task.get("result"))
        status = "failed" if error else "skipped" if asked else "ok"
        for step_id in (id_, *self._calls.pop(id_, ())):
            if self._say.is_running(step_id) and (step_id == id_ or status != "ok"):
                self._say.end(step_id, status, error=error or ("interrupted" if asked else None))
        self.ask(asked or [])

    def ask(self, interrupts: list[dict[str, Any]]) -> None:
        """The graph stops here until someone has answered, and with it the tools that were called."""
        for asked in interrupts:
            if self.is_new("interrupt", asked.get("id")):
                self._say.ask(asked.get("id"), asked["value"])
                self._say.cut("interrupted", "skipped", kinds=("tool",))

    # state

    def _values(self, namespace: list[str], state: Any) -> None:
        """The whole state. Its first telling is what the graph was given; of later ones the last message may be new."""
        if namespace or type(state) is not dict:
            return
        last = _messages(state)[-1:]
        if self._states:
            self._state(namespace, {**state, "messages": last})
            return
        self._states = True
        for message in last:
            self.is_new("message", message.get("id"))
        self._state(namespace, {**state, "messages": []})

    def _state(self, namespace: list[str], update: Any) -> None:
        """A part of the state that a node gave: an object, several, or (before 1.0) pairs of key and value."""
        if type(update) is list:
            for part in update:
                pair = type(part) is list and len(part) == 2 and type(part[0]) is str
                self._state(namespace, {part[0]: part[1]} if pair else part)
            return
        if type(update) is not dict:
            return
        for message in _messages(update):
            if is_assistant(message):
                self._whole(namespace, message)
            elif is_tool(message):
                self._answered(message)
        todos = entries(update.get("todos"))
        if todos and not namespace and not self._tools.planned:
            self._say.plan(todos)


def _messages(update: Any) -> list[dict[str, Any]]:
    """The messages in a part of the state: one or more."""
    messages = update.get("messages") if type(update) is dict else None
    found = messages if type(messages) is list else [messages]
    return [message for message in found if type(message) is dict]


def _calls(given: Any) -> list[dict[str, Any]]:
    """The tool calls that a node was given, if that is what it was given."""
    if type(given) is dict:
        given = [given.get("tool_call")]
    if type(given) is not list:
        return []
    return [call for call in given if type(call) is dict and call.get("type") == "tool_call" and "id" in call]
