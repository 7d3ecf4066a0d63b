"""ACP, the Agent Client Protocol: a transcript of its JSON-RPC lines.

    {"jsonrpc":"2.0","method":"session/update","params":{"sessionId":…,"update":{"sessionUpdate":"plan",…}}}
    {"jsonrpc":"2.0","id":2,"result":{"stopReason":"end_turn"}}

The lines of the agent are enough. Those of the client may stand between them, plain or as `{"dir":"client->agent",
"msg":{…}}`: then the prompt and what the user allowed are known too. The response to `session/prompt` is the end.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Entry, Narrator, Unmapped
from durastream.sources.adapters.acp_tools import Tools, texts
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.usage import total

__all__ = ["Acp"]

_METHODS = frozenset({"session/update", "session/request_permission", "session/prompt", "session/new", "initialize"})
_ENDS = {"end_turn": "completed", "cancelled": "cancelled"}
_ASIDE = frozenset(
    {
        "usage_update", "available_commands_update", "current_mode_update", "config_option_update",
        "session_info_update", "plan_removed",
    }
)  # fmt: skip
_MODE = "[MODE_UPDATE] "


class Acp:
    name: ClassVar[str] = "acp"
    note: ClassVar[str] = "Agent Client Protocol: the lines between an agent and its client"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._links = Links()
        self._tools = Tools(say)
        self._session: str | None = None
        self._prompt: Any = None  # the id of the last request of that name, where the client's lines are seen
        self._loading: Any = None  # the id of a request that makes the agent tell an old session again
        self._message: str | None = None
        self._named = False  # whether the agent gave the message its id
        self._answer: str | None = None
        self._segments = 0
        self._usage: dict[str, Any] = {}

    @staticmethod
    def matches(line: Any) -> int:
        message = line.get("msg") if type(line) is dict and "dir" in line else line
        if type(message) is not dict or message.get("jsonrpc") != "2.0":
            return NO
        params, result = message.get("params"), message.get("result")
        if message.get("method") in _METHODS and type(params) is dict:
            return STRONG if "sessionId" in params or "protocolVersion" in params or "cwd" in params else NO
        known = type(result) is dict and "protocolVersion" in result and "agentCapabilities" in result
        return STRONG if known else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        client = None
        if "dir" in line:
            client, line = line["dir"].startswith("client"), line["msg"]
        if "method" in line:
            self._request(line)
        elif "result" in line:
            self._response(line["id"], line["result"])
        elif "error" in line:
            self._error(line["id"], line["error"], client)
        else:
            raise Unmapped

    def _request(self, line: dict[str, Any]) -> None:
        params = line.get("params") or {}
        match line["method"]:
            case "session/update":
                if self._session is None:
                    self._session = params["sessionId"]
                if params["sessionId"] != self._session:
                    raise Unmapped  # another session's: its text is not of this answer
                if self._loading is None:
                    self._update(params["update"])
            case "session/request_permission":
                self._close()
                self._tools.ask(line["id"], params["toolCall"], params["options"])
            case "elicitation/create":
                self._tools.question(line["id"], params["message"])
            case "session/load":
                self._loading, self._session = line["id"], params["sessionId"]
                self._say.identify(session_id=self._session, cwd=params.get("cwd"))
            case "session/prompt":
                self._prompt = line["id"]
                self._say.go_on()
                self._say.identify(prompt=texts(params["prompt"]))
            case "session/new":
                self._say.identify(cwd=params["cwd"])
            case _:
                pass  # files and terminals, which the tool calls tell of; and settings

    def _response(self, id_: Any, result: Any) -> None:
        """Ids of both directions overlap: it is the shape that says what was asked."""
        if self._loading is not None and id_ == self._loading:
            self._loading = None
        if type(result) is not dict:
            return
        if "stopReason" in result:
            self._end(result["stopReason"], result.get("usage") or {})
        elif "outcome" in result or "action" in result:
            self._tools.answered(id_, result)
        elif "sessionId" in result:
            self._session = result["sessionId"]
            self._say.identify(session_id=self._session, model=_model(result))
        elif "protocolVersion" in result:
            agent = result.get("agentInfo") or {}
            self._say.identify(name=agent.get("name"), version=agent.get("version"))

    def _error(self, id_: Any, error: dict[str, Any], client: bool | None) -> None:
        """What the client answers is the agent's affair, and only a prompt that failed ends the run."""
        if client:
            return
        if self._prompt is not None and id_ != self._prompt:
            self._say.fail(error["message"], severity="warning")
            return
        self._close(named=True)
        self._say.fail(error["message"], fatal=True)
        self._say.declare("failed", error=str(error["message"])[:1000])

    def _end(self, reason: str, usage: dict[str, Any]) -> None:
        self._close(named=True)
        self._use(**_amounts(usage))
        self._say.declare(_ENDS.get(reason, "failed"), message_id=self._answer, reason=reason)

    def _update(self, update: dict[str, Any]) -> None:
        kind = update["sessionUpdate"]
        if kind == "agent_message_chunk":
            self._chunk(update)
            return
        if kind not in _ASIDE:
            self._close()
        match kind:
            case "agent_thought_chunk":
                self._say.think(texts([update["content"]]))
            case "user_message_chunk":
                pass  # the prompt, or a session that is loaded
            case "tool_call" | "tool_call_update":
                self._tools.patch(update)
            case "plan":
                self._plan(update["entries"])
            case "plan_update" if update["plan"]["type"] == "items":
                self._plan(update["plan"]["entries"])
            case "usage_update":
                cost = update.get("cost") or {}
                if cost.get("currency") == "USD" and cost["amount"] != self._usage.get("cost_usd"):
                    self._use(cost_usd=cost["amount"])
            case _:
                if kind not in _ASIDE:
                    raise Unmapped

    def _plan(self, entries: list[dict[str, Any]]) -> None:
        self._say.plan([Entry(entry["content"], entry.get("status", "pending")) for entry in entries])

    def _use(self, **amounts: Any) -> None:
        """All amounts are of the whole session, told in two places: the last of each stands."""
        self._usage |= {name: amount for name, amount in amounts.items() if amount is not None}
        self._say.use(scope="thread", mode="replace", **self._usage)

    # text

    def _chunk(self, update: dict[str, Any]) -> None:
        """A message has an id or not; without one it lasts until something else is told."""
        content, id_ = update["content"], update.get("messageId")
        text = content.get("text")
        if not text or content["type"] != "text":
            return
        if text.startswith(_MODE):  # what Gemini says when a mode changes
            self._say.log(text)
            return
        if id_ is None and self._message is None:
            self._segments += 1
            id_, self._named = f"segment-{self._segments}", False
        elif id_ is not None and id_ != self._message:
            self._close(named=True)
            self._named = True
        if id_ is not None:
            self._message = self._answer = id_
        self._links.add(text)
        self._say.text(self._message, text)

    def _close(self, *, named: bool = False) -> None:
        """The message is complete; one with an id of the agent's own may go on after other things."""
        if self._message is not None and (named or not self._named):
            ended, self._message = self._message, None
            self._say.complete(ended)
            self._links.cite(self._say)


def _amounts(usage: dict[str, Any]) -> dict[str, Any]:
    """The sorts of tokens stand side by side, and add up to the total; unless that is of prompt and answer alone."""
    prompt, answer, cached = usage.get("inputTokens"), usage.get("outputTokens"), usage.get("cachedReadTokens")
    if prompt is not None and usage.get("totalTokens") != total(prompt, answer):
        prompt = total(prompt, cached, usage.get("cachedWriteTokens"))
        answer = total(answer, usage.get("thoughtTokens"))
    amounts = {"input_tokens": prompt, "cached_tokens": cached, "output_tokens": answer}
    return {**amounts, "reasoning_tokens": usage.get("thoughtTokens")}


def _model(session: dict[str, Any]) -> Any:
    if (models := session.get("models")) is not None:
        return models.get("currentModelId")
    options = session.get("configOptions") or []
    return next((option.get("currentValue") for option in options if option.get("id") == "model"), None)
