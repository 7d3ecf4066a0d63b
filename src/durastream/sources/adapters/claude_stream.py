"""The stream of Claude Code, and of the agents that took over its form.

    {"type":"system","subtype":"init","session_id":…,"claude_code_version":…}
    {"type":"stream_event","event":{"type":"content_block_delta",…},"parent_tool_use_id":null,…}
    {"type":"assistant","message":{"id":…,"content":[one block]},"parent_tool_use_id":null,…}
    {"type":"user","message":{"content":[{"type":"tool_result",…}]},"tool_use_result":…}
    {"type":"result","subtype":"success","is_error":false,"result":…}

What a subagent says is progress of its step, and no part of the draft.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import Narrator, Unmapped
from durastream.sources.adapters.claude_calls import Calls
from durastream.sources.adapters.claude_texts import Texts
from durastream.sources.adapters.times import from_iso, told
from durastream.sources.adapters.usage import of_messages, total

__all__ = ["ClaudeStream"]

_SILENT = frozenset(
    {
        "background_tasks_changed",
        "commands_changed",
        "hook_progress",
        "hook_started",
        "session_state_changed",
        "status",
        "thinking_tokens",
    }
)
_LOGGED = frozenset(
    {
        "api_error",
        "api_retry",
        "compact_boundary",
        "hook_response",
        "informational",
        "local_command",
        "local_command_output",
        "notification",
    }
)
_WORDS = ("message", "content", "text", "summary", "error", "hook_name")
_BROKEN_OFF = frozenset(
    {"aborted_streaming", "aborted_tools", "api_error", "blocking_limit", "image_error", "model_error"}
)
_NOT_A_PROMPT = ("isSynthetic", "isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")
_NOTICES = (
    *("[Request interrupted by user", "<bash-", "<command-", "<local-command-", "<system-reminder>"),
    "<task-notification>",
)


class ClaudeStream:
    """Common to the family. A format says its name, what its lines look like, and where it differs."""

    name: ClassVar[str]
    terminal: ClassVar[bool] = True
    version_key: ClassVar[str] = "claude_code_version"

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._calls = Calls(say)
        self._texts = Texts(say)
        self._identified = self._prompted = False

    @staticmethod
    def when(line: Any) -> float | None:
        return from_iso(told(line, "timestamp"))

    def take(self, line: Any) -> None:
        match line["type"]:
            case "stream_event":
                if line.get("parent_tool_use_id") is None:
                    self._texts.stream(line["event"])
            case "assistant":
                self._message(line, line.get("parent_tool_use_id"))
            case "user":
                self._user(line, line.get("parent_tool_use_id"))
            case "system":
                self._system(line)
            case "result":
                self._result(line)
            case "tool_progress":
                self._say.progress(line["tool_use_id"], f"{line['elapsed_time_seconds']} s")
            case "tool_use_summary":
                self._say.log(line["summary"])
            case "rate_limit_event":
                if (status := line["rate_limit_info"]["status"]) != "allowed":
                    self._say.log(f"rate limit: {status}")
            case "auth_status":
                self._say.log(line.get("error") or line["output"])
            case "control_request" if line["request"]["subtype"] == "can_use_tool":
                self._calls.ask(line["request"], line["request_id"])
            case "keep_alive":
                pass
            case _:
                raise Unmapped

    # whole messages

    def _message(self, line: dict[str, Any], lane: str | None) -> None:
        if lane is None:
            self._say.go_on()  # a task in the background that is done makes a turn of its own
        self._assistant(line, lane)

    def _assistant(self, line: dict[str, Any], lane: str | None) -> str | None:
        """One or more whole blocks. Gives the last text of the agent's own lane that is no error's."""
        message = line["message"]
        for uuid in line.get("supersedes") or ():
            for id_ in self._texts.recall(uuid):
                if not self._calls.drop(id_):
                    self._texts.retract(id_, "superseded")
        if lane is not None:
            self._subagent(message["content"], lane)
            return None
        self._texts.enter(message.get("id") or line.get("uuid"))
        told, last = [], None
        for block in message["content"]:
            match block["type"]:
                case "text":
                    id_, text = self._texts.next_whole(), block["text"]
                    if self._is_error(line, text):
                        self._failed_instead(id_, text)
                        continue
                    self._texts.whole(id_, text, block.get("citations") or ())
                    told.append(id_)
                    last = text or last
                case "thinking":
                    self._texts.thought(block["thinking"])
                case "redacted_thinking":
                    pass
                case "tool_use" | "server_tool_use" | "mcp_tool_use":
                    self._calls.start(block, None)
                    told.append(block["id"])
                case "web_search_tool_result":
                    self._calls.searched(block)
                case "web_fetch_tool_result" | "mcp_tool_result" | "code_execution_tool_result":
                    self._calls.end(block, None)
                case _:
                    raise Unmapped
        self._texts.remember(line.get("uuid"), told)
        return last

    def _subagent(self, blocks: list[dict[str, Any]], lane: str) -> None:
        for block in blocks:
            if block["type"] == "text":
                self._say.progress(lane, block["text"])
            elif block["type"] == "tool_use":
                self._calls.start(block, lane)

    def _is_error(self, line: dict[str, Any], text: str) -> bool:
        """Whether a text is the program's own on a failure, put in the place of an answer."""
        if line.get("error") or line.get("isApiErrorMessage"):
            return True
        return line["message"].get("model") == "<synthetic>" and text.startswith("API Error")

    def _failed_instead(self, id_: str, text: str) -> None:
        """The result that follows raises the same words as an error."""
        if self._say.is_open(id_):
            self._texts.retract(id_, "an error, no answer")
        self._say.log(text)

    def _user(self, line: dict[str, Any], lane: str | None) -> None:
        content = line["message"]["content"]
        blocks = [{"type": "text", "text": content}] if type(content) is str else content
        results = [block for block in blocks if block["type"] == "tool_result"]
        detail = line.get("tool_use_result", line.get("toolUseResult"))
        for block in results:
            self._calls.end(block, detail if len(results) == 1 else None)
        if lane is None and not any(line.get(sign) for sign in _NOT_A_PROMPT):
            text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
            if text.startswith(_NOTICES):
                self._notice(text)
            elif text:
                self._prompt(text, line.get("uuid") or "user")

    def _notice(self, text: str) -> None:
        """Words that the program puts into the user's mouth."""
        self._say.log(text)

    def _prompt(self, text: str, id_: str) -> None:
        if not self._prompted:
            self._say.identify(prompt=text)
            self._prompted = True
            return
        self._say.go_on()
        self._say.begin(id_, "user")
        self._say.complete(id_, text)

    # the program's own words

    def _system(self, line: dict[str, Any]) -> None:
        match line["subtype"]:
            case "init":  # once more with each turn
                if not self._identified:
                    self._identify(line, line.get(self.version_key), line["session_id"])
                self._say.go_on()
            case "task_started":
                self._calls.task_started(line)
            case "task_progress":
                self._calls.task_progress(line)
            case "task_updated":
                self._calls.task_updated(line)
            case "task_notification":
                self._calls.task_notification(line)
            case "permission_denied":
                self._calls.deny(line["tool_use_id"], line["tool_name"], line.get("message"))
            case "files_persisted":
                for file in line["files"]:
                    self._say.artifact(file["filename"])
            case subtype if subtype in _LOGGED:
                words = next((line[key] for key in _WORDS if type(line.get(key)) is str), None)
                self._say.log(f"{subtype}: {words}" if words else subtype)
            case subtype if subtype in _SILENT:
                pass
            case _:
                raise Unmapped

    def _identify(self, line: dict[str, Any], version: Any, session: Any) -> None:
        self._say.identify(
            name=self.name, version=version, model=line.get("model"), session_id=session, cwd=line.get("cwd")
        )
        self._identified = True

    # the end

    def _result(self, line: dict[str, Any]) -> None:
        """The end of a turn; a later one replaces it."""
        self._texts.leave()
        self._usage(line)
        for denial in line.get("permission_denials") or ():
            self._calls.deny(denial["tool_use_id"], denial["tool_name"])
        self._calls.forget_denials()
        failure = self._failure(line)
        if failure is not None:
            self._say.fail(failure, fatal=True)
            self._say.declare("failed", error=failure[:1000], subtype=line["subtype"])
            return
        text, structured = line.get("result") or None, line.get("structured_output")
        self._say.declare("completed", message_id=self._texts.answer, text=text, structured_output=structured)

    def _failure(self, line: dict[str, Any]) -> str | None:
        """Why the turn failed; None when it did not. An API error is told as a success with is_error."""
        subtype, reason = line["subtype"], line.get("terminal_reason")
        if subtype == "success" and not line.get("is_error") and reason not in _BROKEN_OFF:
            return None
        error = line.get("error")
        if type(error) is dict:
            error = error.get("message")
        words = "; ".join(str(one) for one in line.get("errors") or ()) or error or line.get("result")
        return str(words or (reason if subtype == "success" else None) or subtype)

    def _usage(self, line: dict[str, Any]) -> None:
        """`modelUsage` is of all lanes and cumulative; `usage`, of the agent's own lane, is what older ones have."""
        models = line.get("modelUsage")
        if models is None:
            self._use(of_messages(line.get("usage") or {}), line.get("total_cost_usd"))
            return
        for model, used in models.items():
            self._say.use(
                mode="replace",
                model=model,
                input_tokens=total(
                    used.get("inputTokens"), used.get("cacheReadInputTokens"), used.get("cacheCreationInputTokens")
                ),
                output_tokens=used.get("outputTokens"),
                cached_tokens=used.get("cacheReadInputTokens"),
                cost_usd=used.get("costUSD"),
            )

    def _use(self, usage: dict[str, Any], cost: Any) -> None:
        used = {**usage, "cost_usd": cost}
        if any(used.values()):  # nothing but zeros is what is told where nothing is known
            self._say.use(mode="replace", **used)
