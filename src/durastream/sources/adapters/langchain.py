"""LangChain: the events of `astream_events`, version v2 and v3, one JSON object a line.

    {"event":"on_chat_model_stream","run_id":…,"parent_ids":[…],"data":{"chunk":{"content":…}}}
    {"type":"event","method":"messages","params":{"namespace":[],"data":[{"event":"content-block-delta",…},{…}]}}

In v2 chains repeat all that their parts say, so only the outermost is listened to, for the answer. A message is known
by the run of its model: the id of its last chunk is another one. What runs inside a tool is a subagent's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.langchain_messages import (
    Tools,
    citations,
    is_assistant,
    report_usage,
    retrieved,
    text_of,
    thought_of,
)
from durastream.sources.adapters.langgraph_modes import Graph
from durastream.sources.adapters.times import from_number, told

__all__ = ["LangChain"]

_ON = ("on_chain_", "on_chat_model_", "on_llm_", "on_tool_", "on_retriever_", "on_prompt_", "on_custom_event")


class LangChain:
    name: ClassVar[str] = "langchain"
    note: ClassVar[str] = "LangChain: astream_events (v2, v3), one event a line"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = False

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._tools = Tools(say)
        self._graph = Graph(say, self._tools)
        self._answer: str | None = None
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        event = line.get("event")
        if type(event) is str and event.startswith(_ON) and "run_id" in line:
            return STRONG
        if line.get("type") == "event" and "method" in line and type(params := line.get("params")) is dict:
            return STRONG if "namespace" in params else NO
        return NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_number(told(line, "params", "timestamp"), 1000)

    def take(self, line: Any) -> None:
        if line.get("type") == "event":
            params = line["params"]
            self._event(line["method"], params["namespace"], params["data"])
            self._graph.ask(params.get("interrupts") or [])
            return
        match line["event"]:
            case "on_chat_model_stream" | "on_llm_stream":
                self._piece(line)
            case "on_chat_model_end" | "on_llm_end":
                self._said(line)
            case "on_tool_start":
                inside = self._inside(line)
                given = line["data"].get("input")
                self._tools.start(line["run_id"], line["name"], given, parent=inside, nested=inside is not None)
            case "on_tool_end":
                self._tools.end(line["run_id"], line["name"], line["data"].get("output"))
            case "on_tool_error":
                self._tools.fail(line["run_id"], line["name"], line["data"]["error"])
            case "on_retriever_start":
                self._say.start(line["run_id"], line["name"], input=line["data"]["input"], parent=self._inside(line))
            case "on_retriever_end":
                documents = line["data"].get("output")
                self._say.end(line["run_id"], title=line["name"])
                retrieved(self._say, documents, line["run_id"])
            case "on_chain_start" if not line["parent_ids"]:
                self._say.identify(name=line["name"], terminal=True)
                self._say.go_on()
            case "on_chain_end" if not line["parent_ids"]:
                self._end(line["run_id"], line["data"].get("output"))
            case "on_custom_event":
                self._graph.custom(line["data"])
            case "on_chain_start" | "on_chain_stream" | "on_chain_end" | "on_prompt_start" | "on_prompt_end":
                pass
            case "on_chat_model_start" | "on_llm_start" | "on_retriever_stream" | "on_tool_stream":
                pass
            case _:
                raise Unmapped

    # version v3

    def _event(self, method: str, namespace: list[str], data: Any) -> None:
        if method == "messages" and "event" in data[0]:
            self._block(namespace, data[0], data[1].get("run_id", ""))
        elif method == "tools":
            self._tool(namespace, data)
        else:
            self._graph.take(method, namespace, data)

    def _block(self, namespace: list[str], block: dict[str, Any], run_id: str) -> None:
        """A piece of a message. The whole comes with the values that follow."""
        match block["event"]:
            case "message-start":
                self._ids[run_id] = block.get("id") or run_id
            case "content-block-delta":
                delta = block["delta"]
                if namespace:
                    pass
                elif delta["type"] == "text-delta":
                    self._say.text(self._ids.get(run_id, run_id), delta["text"])
                elif delta["type"] == "reasoning-delta":
                    self._say.think(delta["reasoning"])
            case "content-block-finish":
                if not namespace:
                    citations(self._say, [block["content"]])
            case "message-finish":
                id_ = self._ids.pop(run_id, run_id)
                self._graph.is_new("usage", id_)
                report_usage(
                    self._say, {"usage_metadata": block.get("usage"), "response_metadata": block.get("metadata")}
                )
            case "content-block-start":
                pass
            case _:
                raise Unmapped

    def _tool(self, namespace: list[str], tool: dict[str, Any]) -> None:
        id_ = tool["tool_call_id"]
        match tool["event"]:
            case "tool-started":
                self._names[id_] = tool["tool_name"]
                inside, nested = self._graph.around(namespace), bool(namespace)
                self._tools.start(id_, tool["tool_name"], tool.get("input"), parent=inside, nested=nested)
            case "tool-finished":
                self._graph.is_new("tool", id_)
                self._tools.end(id_, self._names.pop(id_, id_), tool.get("output"))
            case "tool-error":
                self._graph.is_new("tool", id_)
                self._tools.fail(id_, self._names.pop(id_, id_), tool.get("message") or tool.get("error"))
            case "tool-output-delta":
                self._say.progress(id_, tool.get("delta"))
            case _:
                raise Unmapped

    # version v2

    def _inside(self, line: dict[str, Any]) -> str | None:
        """The tool in which this runs, if it runs in one."""
        for run_id in reversed(line.get("parent_ids") or ()):
            if self._say.is_running(run_id):
                return str(run_id)
        return None

    def _piece(self, line: dict[str, Any]) -> None:
        chunk = line["data"]["chunk"]
        if self._inside(line) is not None:
            return  # its whole text is told as progress when it is there
        if type(chunk) is str:
            chunk = {"content": chunk}
        thought = thought_of(chunk)
        if thought:
            self._say.think(thought)
        self._say.text(line["run_id"], text_of(chunk["content"] if "content" in chunk else chunk.get("text")))

    def _said(self, line: dict[str, Any]) -> None:
        """A model has said all. One that does not stream says it here for the first time."""
        output, run_id = line["data"]["output"], line["run_id"]
        if "generations" in output:
            output = _generated(output)
        text, inside = text_of(output["content"]), self._inside(line)
        report_usage(self._say, output)
        if inside is not None:
            self._say.progress(inside, text)
            return
        self._say.complete(run_id, text)
        citations(self._say, output["content"])
        if text:
            self._answer = run_id
            self._say.cite(text, origin="text")
        if not line.get("parent_ids"):  # a model that runs alone
            self._say.declare("completed", message_id=self._answer, text=text or None)

    def _end(self, run_id: str, output: Any) -> None:
        """The outermost chain gave its result: a state with messages, a message, a text, or a value of its own."""
        messages = output.get("messages") if type(output) is dict else None
        last = messages[-1] if type(messages) is list and messages else output
        text = text_of(last["content"]) if is_assistant(last) else last if type(last) is str else None
        if text and self._answer is None:
            self._say.complete(run_id, text)
            self._answer = run_id
        self._say.declare("completed", message_id=self._answer, text=text)


def _generated(output: dict[str, Any]) -> dict[str, Any]:
    """The message, or the text, of the first generation."""
    first = output["generations"][0][0]
    message = first.get("message")
    return message if type(message) is dict else {"content": first["text"]}
