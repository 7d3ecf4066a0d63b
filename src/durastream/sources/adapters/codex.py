"""Codex: `codex exec --json`.

    {"type":"thread.started","thread_id":…}
    {"type":"item.started","item":{"id":"item_3","type":"command_execution",…}}
    {"type":"turn.completed","usage":{…}}

Texts come whole. The last agent message is the answer once `turn.completed` was seen, and not before.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Entry, Narrator, Unmapped
from durastream.sources.adapters.usage import of_codex

__all__ = ["Codex"]

_STATUS = {"completed": "ok", "failed": "failed", "declined": "denied"}
_CHANGES = {"add": "add", "delete": "delete", "update": "update"}
_TOP = frozenset({"thread.started", "turn.started", "turn.completed", "turn.failed"})
_ITEM = frozenset({"item.started", "item.updated", "item.completed"})


class Codex:
    name: ClassVar[str] = "codex"
    note: ClassVar[str] = "OpenAI Codex: codex exec --json"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ("codex",)
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._answer: str | None = None  # the last message, and its text
        self._text = ""

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if kind == "thread.started" and "thread_id" in line:
            return STRONG
        if kind in _ITEM and type(item := line.get("item")) is dict and "type" in item:
            return STRONG
        return STRONG if kind in _TOP else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        kind = line["type"]
        match kind:
            case "item.completed" | "item.started" | "item.updated":
                self._item(line["item"], ended=kind == "item.completed")
            case "thread.started":
                self._say.identify(name="codex", session_id=line["thread_id"])
            case "turn.started":
                self._say.go_on()
            case "turn.completed":
                self._say.use(scope="thread", mode="replace", **of_codex(line.get("usage") or {}))
                self._say.cite(self._text, origin="text")
                self._say.declare("completed", message_id=self._answer)
            case "turn.failed":
                self._say.fail(line["error"]["message"], fatal=True)
                self._say.declare("failed", error=str(line["error"]["message"])[:1000])
            case "error":  # the turn.failed that follows has the same words; a retry has no such follower
                self._say.log(line["message"])
            case _:
                raise Unmapped

    def _item(self, item: dict[str, Any], *, ended: bool) -> None:
        say, id_ = self._say, item["id"]
        match item["type"]:
            case "agent_message":
                if ended:
                    say.complete(id_, item["text"])
                    self._answer, self._text = id_, item["text"]
            case "reasoning":
                if ended:
                    say.think(item["text"] + "\n\n")
            case "todo_list":
                self._plan(item["items"])
            case "command_execution":
                self._step(item, ended, item["command"], {"command": item["command"]}, item.get("aggregated_output"))
            case "file_change":
                self._files(item, ended)
            case "mcp_tool_call":
                self._mcp(item, ended)
            case "web_search":
                self._search(item, ended)
            case "collab_tool_call":
                self._collab(item, ended)
            case "error":
                say.fail(item["message"], severity="warning")
            case _:
                raise Unmapped

    def _plan(self, items: list[dict[str, Any]]) -> None:
        """Codex tells only done or not: the first open entry is taken to be in progress."""
        entries, active = [], True
        for item in items:
            done = bool(item["completed"])
            entries.append(Entry(item["text"], "done" if done else "active" if active else "pending"))
            active = active and done
        self._say.plan(entries)

    def _step(self, item: dict[str, Any], ended: bool, title: Any, taken: Any, given: Any, error: Any = None) -> None:
        say, id_ = self._say, item["id"]
        if not ended:
            say.start(id_, title, input=taken)
            if given:
                say.progress(id_, str(given)[-500:])
            return
        status = _STATUS.get(item.get("status", "completed"), "failed")
        code = item.get("exit_code")
        if status == "failed" and error is None and code is not None:
            error = f"exit code {code}"
        if not say.is_running(id_):
            say.start(id_, title, input=taken)
        say.end(id_, status, output=given or None, error=error)

    def _files(self, item: dict[str, Any], ended: bool) -> None:
        changes = item["changes"]
        self._step(item, ended, "change " + ", ".join(str(change["path"]) for change in changes[:5]), changes, None)
        if ended and item.get("status") == "completed":
            for change in changes:
                self._say.artifact(change["path"], _CHANGES.get(change.get("kind"), "update"))

    def _mcp(self, item: dict[str, Any], ended: bool) -> None:
        result, error = item.get("result"), item.get("error")
        if type(error) is dict:
            error = error.get("message", error)
        self._step(item, ended, f"{item['server']}.{item['tool']}", item.get("arguments"), result, error)
        if ended and result:
            self._say.cite(result, origin="tool", step_id=item["id"])

    def _search(self, item: dict[str, Any], ended: bool) -> None:
        """A search begins without its query: the end tells it."""
        query, action = item.get("query") or "", item.get("action")
        if ended and query:
            self._say.progress(item["id"], query)
        self._step(item, ended, f"web search {query}".strip(), action if query else None, action if ended else None)
        if ended and type(action) is dict and action.get("url"):
            self._say.cite(action["url"], origin="tool", step_id=item["id"])

    def _collab(self, item: dict[str, Any], ended: bool) -> None:
        say, id_, tool = self._say, item["id"], item["tool"]
        states = item.get("agents_states") or {}
        if not say.is_running(id_):
            say.start(id_, tool, kind="agent", input={"prompt": item.get("prompt")})
        for agent, state in states.items():
            if state.get("message"):
                say.progress(id_, f"{agent}: {state['message']}")
        if ended:
            say.end(id_, _STATUS.get(item.get("status", "completed"), "failed"), output=states or None)
