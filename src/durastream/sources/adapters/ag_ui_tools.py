"""Tools, steps and subagents of AG-UI: all that becomes steps of ours."""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters import Narrator, Unmapped
from durastream.sources.adapters.calls import Calls, arguments

__all__ = ["Tools"]


class Tools:
    """What is open of the work: calls whose input still comes, named steps, subagents."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._calls = Calls(say)
        self._written: dict[str, tuple[str, Any, list[str]]] = {}  # calls whose input still comes
        self._open_steps: list[tuple[Any, str, str]] = []
        self._steps = 0
        self.chunk: str | None = None
        """The call that comes in chunks."""

    def call(self, line: dict[str, Any]) -> None:
        self._written[line["toolCallId"]] = (line["toolCallName"], line.get("subagentRunId"), [])

    def arguments(self, line: dict[str, Any]) -> None:
        self._written[line["toolCallId"]][2].append(line["delta"])

    def call_end(self, line: dict[str, Any]) -> None:
        self._called(line["toolCallId"])

    def call_chunk(self, line: dict[str, Any]) -> None:
        id_ = line.get("toolCallId") or self.chunk
        if id_ != self.chunk:
            self.close_chunk()
            self.call({**line, "toolCallId": id_})
            self.chunk = id_
        self.arguments({"toolCallId": id_, "delta": line.get("delta") or ""})

    def close_chunk(self) -> None:
        """A call that came in chunks has no end of its own: the next event of another kind ends it."""
        if self.chunk is not None:
            ended, self.chunk = self.chunk, None
            self._called(ended)

    def _called(self, id_: str) -> None:
        """The input of a call is known."""
        name, agent, parts = self._written[id_]
        self._calls.start(id_, name, arguments("".join(parts)), parent=self._parent(agent), own=not agent)
        del self._written[id_]

    def result(self, line: dict[str, Any]) -> None:
        """What a tool gave. There is no flag for an error, except in a list of messages."""
        id_, content = line["toolCallId"], line["content"]
        if id_ in self._written:
            self._called(id_)
        given = arguments(content) if type(content) is str and content[:1] == "{" else None
        error = line.get("error") or (given.get("error") or given.get("isError") if type(given) is dict else None)
        words = None if error is True else error or None
        self._calls.end(id_, "failed" if error else "ok", output=content, error=words)

    def step_started(self, line: dict[str, Any]) -> None:
        agent, name = line.get("subagentRunId"), line["stepName"]
        self._steps += 1
        id_ = f"step-{self._steps}"
        self._say.start(id_, name, kind="task", parent=self._parent(agent))
        self._open_steps.append((agent, name, id_))

    def step_finished(self, line: dict[str, Any]) -> None:
        """Steps have no id, and a name may come again: the last that is open is meant."""
        agent, name = line.get("subagentRunId"), line["stepName"]
        for place in range(len(self._open_steps) - 1, -1, -1):
            if self._open_steps[place][:2] == (agent, name):
                self._say.end(self._open_steps.pop(place)[2])
                return
        raise Unmapped

    def _parent(self, agent: Any) -> Any:
        if agent:
            return agent
        own = [id_ for whose, _, id_ in self._open_steps if not whose]
        return self._say.active_entry or (own[-1] if own else None)

    def agent_started(self, line: dict[str, Any]) -> None:
        parent = line.get("parentSubagentRunId") or line.get("parentToolCallId") or self._parent(None)
        self._say.start(line["subagentRunId"], line["name"], kind="agent", parent=parent, input=line.get("description"))

    def agent_finished(self, line: dict[str, Any]) -> None:
        suspended = (line.get("outcome") or {}).get("type") == "suspended"
        self._say.end(
            line["subagentRunId"],
            "skipped" if suspended else "ok",
            output=line.get("result"),
            error="suspended" if suspended else None,
            kind="agent",
        )

    def agent_error(self, line: dict[str, Any]) -> None:
        self._say.end(line["subagentRunId"], "failed", error=line["message"], kind="agent")
