"""The sessions that Codex keeps on disk: `~/.codex/sessions/YYYY/MM/DD/rollout-*.jsonl`.

    {"timestamp":…,"type":"session_meta","payload":{"id":…,"cwd":…,"cli_version":…}}
    {"timestamp":…,"type":"response_item","payload":{"type":"function_call","name":…,"arguments":"{…}","call_id":…}}
    {"timestamp":…,"type":"event_msg","payload":{"type":"task_complete","last_agent_message":…}}

The same thing is told twice: as an item of the model's history, and as an event or a finished item for those who watch.
What the model said and called is taken from the history, which every build writes; from the rest what only that tells:
the prompt, usage, how commands ended, which files changed, what a script ran, and the end of a turn.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import arguments, title_of
from durastream.sources.adapters.codex_calls import called, changed, given, patched, seconds
from durastream.sources.adapters.plans import plan_of
from durastream.sources.adapters.times import from_iso, told
from durastream.sources.adapters.usage import of_codex

__all__ = ["CodexSession"]

_TYPES = frozenset({"session_meta", "response_item", "event_msg", "turn_context", "compacted"})
_REMEMBERED = 512
_STATUS = {"completed": "ok", "failed": "failed", "declined": "denied"}
_CHANGES = {"add": "add", "delete": "delete", "update": "update"}
_NOTHING = frozenset({"compaction", "context_compaction", "ghost_snapshot"})
_TOLD_TWICE = frozenset({
    "agent_message", "agent_reasoning", "agent_reasoning_raw_content", "context_compacted", "view_image_tool_call",
    "web_search_end", "entered_review_mode", "exited_review_mode", "thread_goal_updated",
})  # fmt: skip


class CodexSession:
    name: ClassVar[str] = "codex-session"
    note: ClassVar[str] = "OpenAI Codex: the session files in ~/.codex/sessions"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = False  # builds that tell the start of a turn tell its end too: see task_started

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._session: str | None = None
        self._model: str | None = None
        self._prompted = False
        self._prompter: str | None = None
        self._messages = 0
        self._searches = 0
        self._answer: str | None = None
        self._calls: OrderedDict[str, str] = OrderedDict()  # open calls, each with its patch if it is one
        self._known: OrderedDict[str, None] = OrderedDict()  # what was told, for it is told again soon after

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or line.get("type") not in _TYPES:
            return NO
        return STRONG if "timestamp" in line and type(line.get("payload")) is dict else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_iso(told(line, "timestamp"))

    def take(self, line: Any) -> None:
        payload = line["payload"]
        match line["type"]:
            case "response_item":
                self._item(payload)
            case "event_msg":
                self._event(payload)
            case "turn_context":
                if payload.get("model") and payload["model"] != self._model:
                    self._model = payload["model"]
                    self._say.identify(model=self._model)
            case "session_meta":
                self._meta(payload)
            case "compacted":
                self._say.log("the context was compacted")
            case "world_state":
                pass
            case _:
                raise Unmapped

    def _meta(self, meta: dict[str, Any]) -> None:
        """The first one is of this session; a fork repeats the lines of the one that it began from."""
        if self._session is None:
            self._session = meta.get("id") or meta["session_id"]
            self._say.identify(
                name="codex", version=meta.get("cli_version"), session_id=self._session, cwd=meta.get("cwd")
            )

    def _first(self, what: str) -> bool:
        """Whether this is told for the first time, as far as is remembered."""
        if what in self._known:
            return False
        self._known[what] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return True

    # the history

    def _item(self, item: dict[str, Any]) -> None:
        kind = item["type"]
        if kind in _NOTHING:
            return
        match kind:
            case "message":
                if item["role"] == "assistant":
                    self._message(item)
            case "reasoning":
                for part in item.get("summary") or []:
                    self._say.think(part["text"] + "\n\n")
            case "function_call":
                self._call(item["call_id"], called(item), arguments(item["arguments"]))
            case "custom_tool_call":
                self._call(item["call_id"], item["name"], item["input"])
            case "local_shell_call":
                self._call(item["call_id"], "shell", item["action"])
            case "function_call_output" | "custom_tool_call_output":
                self._output(item["call_id"], item["output"])
            case "web_search_call":
                self._search(item)
            case _:
                raise Unmapped

    def _message(self, item: dict[str, Any]) -> None:
        text = "".join(part["text"] for part in item["content"] if part["type"] == "output_text")
        self._messages += 1
        id_ = str(item.get("id") or f"m{self._messages}")
        if text and self._first(f"message {id_}"):
            self._answer = id_
            self._say.complete(id_, text)

    def _call(self, id_: str, name: str, taken: Any) -> None:
        plan = plan_of(name, taken)
        if plan is not None:
            self._say.plan(plan)
            self._first(f"step {id_}")
            return
        title, patch = title_of(name, taken), ""
        if type(taken) is dict and type(taken.get("command")) is list:
            title = f"{name} {' '.join(map(str, taken['command']))}"
        elif name == "apply_patch" and type(taken) is str:
            title, patch = changed(path for path, _ in patched(taken)), taken
        self._say.start(id_, title, kind="agent" if name == "spawn_agent" else "tool", input=taken)
        self._calls[id_] = patch

    def _output(self, id_: str, output: Any) -> None:
        if not self._first(f"step {id_}"):
            return
        if not self._say.is_running(id_):
            raise Unmapped
        self._end(id_, *given(output))

    def _end(self, id_: str, status: str, output: Any, code: Any, duration: Any) -> None:
        say = self._say
        error = None if status == "ok" else f"exit code {code}" if code else output
        say.end(id_, status, output=output or None, error=error, duration=duration)
        patch = self._calls.pop(id_, "")
        if status == "ok" and patch and self._first(f"files {id_}"):
            for path, action in patched(patch):
                say.artifact(path, action)

    def _search(self, item: dict[str, Any]) -> None:
        action = item.get("action") or {}
        self._searches += 1
        id_ = item.get("id") or f"web-search-{self._searches}"
        asked = action.get("query") or " ".join(action.get("queries") or []) or action.get("url") or ""
        self._say.start(id_, f"web search {asked}".strip(), input=action)
        self._say.end(id_, _STATUS.get(item.get("status", "completed"), "failed"))
        if action.get("url"):
            self._say.cite(action["url"], origin="tool", step_id=id_)

    # the events

    def _event(self, event: dict[str, Any]) -> None:
        say, kind = self._say, event["type"]
        if kind in _TOLD_TWICE:
            return
        match kind:
            case "token_count":
                used = (event.get("info") or {}).get("total_token_usage") or {}
                say.use(scope="thread", mode="replace", **of_codex(used))
            case "user_message":
                self._prompt(kind, event["message"])
            case "item_completed":
                self._finished(event)
            case "exec_command_end":
                output = event.get("aggregated_output") or event.get("stdout")
                self._ran(event, event["call_id"], output)
            case "mcp_tool_call_end":
                self._served(event)
            case "patch_apply_end":
                self._patched(event, event["call_id"], "ok" if event.get("success") else "failed")
            case "task_started":
                say.identify(terminal=True)
                self._prompter = None
                say.go_on()
            case "task_complete":
                self._complete(event)
            case "turn_aborted":
                say.declare("failed", error=f"the turn was aborted: {event.get('reason')}")
            case "error":
                say.fail(event["message"])
            case "thread_rolled_back":
                say.log(f"rolled back by {event.get('num_turns')} turns")
            case _:
                raise Unmapped

    def _prompt(self, by: str, text: str) -> None:
        """What the user asked for: the first time the prompt, then a message of its own. One sort of line tells it."""
        if self._prompter not in (None, by):
            return
        self._prompter = by
        if not self._prompted:
            self._prompted = True
            self._say.identify(prompt=text)
            return
        self._messages += 1
        self._say.begin(f"m{self._messages}", "user")
        self._say.complete(f"m{self._messages}", text)

    def _finished(self, event: dict[str, Any]) -> None:
        """An item of a turn, as later builds keep them: what a script of the model ran has no other record."""
        item = event["item"]
        match item["type"]:
            case "UserMessage":
                self._prompt("item", "".join(part["text"] for part in item["content"] if part["type"] == "text"))
            case "CommandExecution":
                self._ran(item, item["id"], item.get("aggregated_output"))
            case "FileChange":
                status = _STATUS.get(item.get("status") or "completed", "failed")
                self._patched(item, item["id"], status)
            case "McpToolCall":
                self._served({**item, "call_id": item["id"], "invocation": item})
            case "AgentMessage" | "Reasoning" | "WebSearch" | "ContextCompaction":
                pass
            case _:
                raise Unmapped

    def _ran(self, ran: dict[str, Any], id_: str, output: Any) -> None:
        if not self._first(f"step {id_}"):
            return
        code, command = ran.get("exit_code"), ran.get("command")
        title = " ".join(command) if type(command) is list else str(command or "command")
        status = "failed" if code else _STATUS.get(ran.get("status") or "completed", "failed")
        if not self._say.is_running(id_):
            self._say.start(id_, title, parent=self._script(), input={"command": command})
        self._end(id_, status, output, code, seconds(ran.get("duration")))

    def _served(self, event: dict[str, Any]) -> None:
        id_, call, result = event["call_id"], event["invocation"], event.get("result")
        if not self._first(f"step {id_}"):
            return
        given = result.get("Ok", result) if type(result) is dict else None
        error = (result.get("Err") if type(result) is dict else None) or event.get("error")
        if type(error) is dict:
            error = error.get("message", error)
        failed = error is not None or (type(given) is dict and (given.get("isError") or given.get("is_error")))
        title = f"{call['server']}.{call['tool']}"
        if not self._say.is_running(id_):
            self._say.start(id_, title, parent=self._script(), input=call.get("arguments"))
        self._calls.pop(id_, None)
        duration = seconds(event.get("duration"))
        self._say.end(id_, "failed" if failed else "ok", output=given, error=error, duration=duration)
        if given and not failed:
            self._say.cite(given, origin="tool", step_id=id_)

    def _patched(self, made: dict[str, Any], id_: str, status: str) -> None:
        changes = made.get("changes") or {}
        if status == "ok" and self._first(f"files {id_}"):
            for path, change in changes.items():
                self._say.artifact(path, _CHANGES.get(change["type"], "update"))
        if self._first(f"step {id_}"):
            if not self._say.is_running(id_):
                self._say.start(id_, changed(changes), parent=self._script(), input={"files": list(changes)})
            self._calls.pop(id_, None)
            self._say.end(id_, status, output=made.get("stdout") or None, error=made.get("stderr") or None)

    def _script(self) -> str | None:
        """The call that is open: what runs without a call of its own was run by it."""
        return next(reversed(self._calls), None)

    def _complete(self, event: dict[str, Any]) -> None:
        say, error = self._say, event.get("error")
        if error:
            message = error.get("message") if type(error) is dict else error
            say.fail(message, fatal=True)
            say.declare("failed", error=str(message)[:1000])
        else:
            say.declare("completed", message_id=self._answer, text=event.get("last_agent_message"))
