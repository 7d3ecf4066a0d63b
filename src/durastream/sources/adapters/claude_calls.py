"""What the agents of Claude Code's family do with their tools: steps, plans, sources and files.

A *lane* is one conversation: None is the agent's own, any other the id of the tool call that runs a subagent. The plan
of the run is the agent's own; a subagent's plan is progress of its step.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from durastream.sources.adapters import Entry, Narrator
from durastream.sources.adapters.agenda import plan_status
from durastream.sources.adapters.calls import reads_web, sources_of, title_of
from durastream.sources.adapters.plans import bare, plan_of

__all__ = ["Calls"]

AGENTS = frozenset({"agent", "task"})
TASKS = frozenset({"taskcreate", "taskget", "tasklist", "taskupdate", "todoread"})
WRITES = frozenset({"createfile", "edit", "editfile", "multiedit", "notebookedit", "write", "writefile"})

_NUMBER = re.compile(r"#(\w+)")
_PATHS = ("file_path", "path", "absolute_path", "notebook_path")
_REFUSED = ("Claude requested permissions to ", "Permission to use ", "The user doesn't want to proceed")
_OVER = {"completed": "ok", "failed": "failed", "killed": "failed", "stopped": "failed"}


class _Call(NamedTuple):
    """A tool call without a result yet. `silent` says that it is about the plan, and no step; `before` is the entry
    that a TaskUpdate may have to give back."""

    name: str
    lane: str | None
    input: dict[str, Any]
    silent: bool = False
    before: Entry | None = None


class Calls:
    """The open calls of all lanes, their plans, and the work that goes on behind a call that has returned."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._open: dict[str, _Call] = {}
        self._plans: dict[str | None, dict[str, Entry]] = {}
        self._tasks: dict[str, str] = {}
        self._behind: set[str] = set()
        self._asked: set[str] = set()
        self._denied: set[str] = set()
        self.waits = True
        """Whether the end of an agent in the background will be told, so that its step stays open until then."""

    def agent(self) -> str | None:
        """The call of the agent that was started last and has no result."""
        return next((id_ for id_, call in reversed(self._open.items()) if call.name in AGENTS), None)

    def start(self, block: dict[str, Any], lane: str | None) -> None:
        """A block that asks for a tool."""
        id_, name, given = block["id"], bare(block["name"]), block.get("input") or {}
        if id_ in self._open:
            return
        plan = plan_of(block["name"], given)
        if plan is not None:
            self._tell(lane, plan)
            self._open[id_] = _Call(name, lane, given, silent=True)
        elif name in TASKS:
            before = self._updated(given, lane) if name == "taskupdate" else None
            self._open[id_] = _Call(name, lane, given, silent=True, before=before)
        else:
            kind = "agent" if name in AGENTS else "tool"
            self._say.start(id_, title_of(block["name"], given), kind=kind, parent=lane, input=given)
            self._open[id_] = _Call(name, lane, given)

    def end(self, block: dict[str, Any], detail: Any) -> None:
        """A block with a tool's result; `detail` is its structured form, where the agent prints one."""
        say, id_ = self._say, block["tool_use_id"]
        call = self._open.get(id_)
        output = _plain(block.get("content"))
        failed = block.get("is_error") is True or (type(output) is dict and str(output.get("type")).endswith("_error"))
        detail = detail if type(detail) is dict else {}
        refused = failed and type(output) is str and output.startswith(_REFUSED)
        if call is not None and call.silent:
            self._tasks_answered(call, failed or detail.get("success") is False, output, detail)
        elif refused:
            self.deny(id_, id_ if call is None else call.name, output)
        elif call is None or say.is_running(id_):  # else it was told before that it is denied
            if call is not None and not failed:
                self._found(id_, call, output, detail)
            if failed:
                say.end(id_, "failed", error=output)
            elif self.waits and (id_ in self._behind or detail.get("status") == "async_launched"):
                self._behind.add(id_)
                say.progress(id_, output)
            else:
                say.end(id_, output=output)
        if id_ in self._asked:
            self._asked.discard(id_)
            say.decide(id_, "allowed")
        if id_ not in self._behind:
            self._plans.pop(id_, None)
        self._open.pop(id_, None)

    def searched(self, block: dict[str, Any]) -> None:
        """A block with what a search by the provider found; an object instead of a list is its error."""
        found = block["content"]
        if type(found) is list:
            self.end({**block, "content": None}, {"results": [{"content": found}]})
        else:
            self.end(block, None)

    def drop(self, id_: str) -> bool:
        """The agent takes a call back, if it is one that has no result."""
        if self._open.pop(id_, None) is None:
            return False
        if self._say.is_running(id_):
            self._say.end(id_, "skipped")
        return True

    # permission

    def ask(self, request: dict[str, Any], request_id: Any) -> None:
        """Somebody is asked whether a tool may run; its result, or a denial, will tell the decision."""
        id_ = request.get("tool_use_id") or request_id
        self._say.ask(id_, title_of(request["tool_name"], request.get("input") or {}))
        self._asked.add(id_)

    def deny(self, id_: str, name: Any, message: Any = None) -> None:
        """A tool may not run. It may be told up to three times: by a line, by the tool's result, at the end."""
        if id_ in self._denied:
            return
        if id_ not in self._asked:
            self._say.ask(id_, name)
        self._say.decide(id_, "denied")
        if self._say.is_running(id_):
            self._say.end(id_, "denied", error=message)
        self._asked.discard(id_)
        self._denied.add(id_)

    def forget_denials(self) -> None:
        self._denied.clear()

    # work in the background

    def task_started(self, line: dict[str, Any]) -> None:
        """An agent or a command was set to work. A call's step is its step; without a call it gets its own."""
        task, step = line["task_id"], line.get("tool_use_id")
        if step is None:
            step = f"task/{task}"
            self._say.start(step, line.get("description") or task, kind="agent")
            self._behind.add(step)
        elif line.get("is_backgrounded"):
            self._put_behind(step)
        self._tasks[task] = step

    def task_progress(self, line: dict[str, Any]) -> None:
        self._say.progress(self._step_of(line), line.get("summary") or line.get("description"))

    def task_updated(self, line: dict[str, Any]) -> None:
        step, patch = self._step_of(line), line["patch"]
        if patch.get("is_backgrounded"):
            self._put_behind(step)
        if patch.get("status") in _OVER:
            self._task_over(step, patch["status"], patch.get("error"))

    def task_notification(self, line: dict[str, Any]) -> None:
        self._task_over(self._step_of(line), line["status"], line.get("summary"))
        self._tasks.pop(line["task_id"], None)

    def _step_of(self, line: dict[str, Any]) -> str:
        return str(self._tasks.get(line["task_id"]) or line.get("tool_use_id") or f"task/{line['task_id']}")

    def _put_behind(self, step: str) -> None:
        """Only an agent's step waits for its work: a command that was left running has done what it was asked."""
        call = self._open.get(step)
        if call is not None and call.name in AGENTS:
            self._behind.add(step)

    def _task_over(self, step: str, status: str, words: Any) -> None:
        if step in self._behind:
            if _OVER.get(status) == "ok":
                self._say.end(step, output=words)
            else:
                self._say.end(step, "failed", error=words or status)
            self._behind.discard(step)
            self._plans.pop(step, None)
        elif words and self._say.is_running(step):
            self._say.progress(step, words)
        elif words:
            self._say.log(words)

    # plans

    def _updated(self, given: dict[str, Any], lane: str | None) -> Entry | None:
        """A change of a task is told at once, so that what is done next stands under it. Gives the task before it."""
        plan = self._plans.setdefault(lane, {})
        id_ = _first(given, "taskId", "task_id", "id")
        before = plan.get(id_)
        title, status = (before.title, before.status) if before is not None else (f"Task #{id_}", "pending")
        plan[id_] = Entry(given.get("subject") or title, given.get("status") or status, id_)
        self._tell(lane, list(plan.values()))
        return before

    def _tasks_answered(self, call: _Call, failed: bool, output: Any, detail: dict[str, Any]) -> None:
        plan = self._plans.setdefault(call.lane, {})
        if call.name == "taskupdate" and failed:
            id_ = _first(call.input, "taskId", "task_id", "id")
            plan.pop(id_)
            if call.before is not None:
                plan[id_] = call.before
        elif call.name == "taskcreate" and not failed:
            id_ = _created(output, detail)
            plan[id_] = Entry(_first(call.input, "subject", "title", "content", "description"), "pending", id_)
        elif call.name == "tasklist" and not failed:
            for task in detail.get("tasks") or ():
                plan[task["id"]] = Entry(task["subject"], task["status"], task["id"])
        else:
            return
        self._tell(call.lane, list(plan.values()))

    def _tell(self, lane: str | None, plan: list[Entry]) -> None:
        if lane is None:
            self._say.plan(plan)
        elif plan:
            states = [plan_status(entry.status) for entry in plan]
            active = plan[states.index("active")].title if "active" in states else None
            self._say.progress(lane, active, states.count("done") / len(plan))

    # what tools bring

    def _found(self, id_: str, call: _Call, output: Any, detail: dict[str, Any]) -> None:
        found = detail.get("results")
        if type(found) is list and reads_web(call.name):
            self._pages(id_, found)
        else:
            sources_of(self._say, id_, call.name, call.input, output)
        path, told = detail.get("filePath"), detail.get("type")
        if path and (told in ("create", "update") or "structuredPatch" in detail):
            self._say.artifact(path, "add" if told == "create" else "update")
        elif not detail and call.name in WRITES:
            new = call.name == "createfile" or (type(output) is str and "created" in output.lower())
            self._say.artifact(_first(call.input, *_PATHS), "add" if new else "update")

    def _pages(self, id_: str, results: list[Any]) -> None:
        """What a search found, with titles; among it may be words of the model."""
        for result in results:
            if type(result) is dict:
                for page in result["content"]:
                    self._say.source(url=page["url"], title=page.get("title"), step_id=id_, origin="tool")


def _first(given: dict[str, Any], *keys: str) -> Any:
    """The value under the first of these keys that has one. Models misspell the keys of their tools."""
    for key in keys:
        if given.get(key):
            return given[key]
    raise KeyError(keys[0])


def _created(output: Any, detail: dict[str, Any]) -> Any:
    """The number that a new task was given, which is told only in the result."""
    if "task" in detail:
        return detail["task"]["id"]
    match = _NUMBER.search(output)
    if match is None:
        raise ValueError("no task id")
    return match[1]


def _plain(content: Any) -> Any:
    """A tool's output: its text, where it is nothing but text."""
    if type(content) is list and all(type(block) is dict and "text" in block for block in content):
        return "\n".join(block["text"] for block in content) or None
    return content
