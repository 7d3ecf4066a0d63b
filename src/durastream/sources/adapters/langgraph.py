"""LangGraph: what `astream(stream_mode=[…])` gives, one JSON value a line.

    ["messages",[{"type":"AIMessageChunk","id":…,"content":…},{"langgraph_checkpoint_ns":"model:7bd…"}]]
    ["tasks",{"id":…,"name":"tools","input":[…]}]
    ["updates",{"model":{"messages":[…]}}]

With subgraphs a namespace stands before the mode; in version v2 a line is an object with type, ns and data.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator
from durastream.sources.adapters.langchain_messages import Tools
from durastream.sources.adapters.langgraph_modes import MODES, Graph

__all__ = ["LangGraph"]


class LangGraph:
    name: ClassVar[str] = "langgraph"
    note: ClassVar[str] = "LangGraph: astream(stream_mode=[...]), one [mode, data] a line"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = False

    def __init__(self, say: Narrator) -> None:
        self._graph = Graph(say, Tools(say))

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is dict:
            mode, namespace, known = line.get("type"), line.get("ns"), "data" in line
        elif type(line) is list and len(line) in (2, 3):
            mode, namespace, known = line[-2], [] if len(line) == 2 else line[0], type(line[-1]) in (dict, list)
        else:
            return NO
        return STRONG if type(mode) is str and mode in MODES and type(namespace) is list and known else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        if type(line) is dict:
            mode, namespace, data = line["type"], line["ns"], line["data"]
        elif len(line) == 3:
            namespace, mode, data = line
        else:
            mode, data = line
            namespace = []
        self._graph.take(mode, namespace, data)
