"""Gemini API: what `streamGenerateContent` streams, as server-sent events or as the objects of the SDK, one a line.

    {"candidates":[{"content":{"parts":[{"text":"Mars has two"}]}}],"usageMetadata":{…},"responseId":…}
    {"candidates":[{"content":{"parts":[{"text":" moons."}]},"finishReason":"STOP"}],…}

A response is a turn: it ends with its finishReason, and with no repetition of its text. Several may follow in one
stream: the end of the last one is the run's. The counts of tokens grow with each line of a response: the last counts.
The SDK writes names in snake case. A function call is only requested here, see `providers`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.providers import request
from durastream.sources.adapters.usage import Tally, total

__all__ = ["GeminiAPI"]

_NAMES = {
    name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    for name in (
        "blockReason", "blockReasonMessage", "cachedContentTokenCount", "candidatesTokenCount", "citationMetadata",
        "citationSources", "codeExecutionResult", "executableCode", "fileData", "fileUri", "finishMessage",
        "finishReason", "functionCall", "groundingChunks", "groundingMetadata", "modelVersion", "partialArgs",
        "promptFeedback", "promptTokenCount", "responseId", "retrievedContext", "retrievedUrl", "thoughtsTokenCount",
        "toolCall", "toolResponse", "toolType", "toolUsePromptTokenCount", "urlContextMetadata", "urlMetadata",
        "urlRetrievalStatus", "usageMetadata", "webSearchQueries", "willContinue",
    )
}  # fmt: skip
_PLAIN = frozenset({"content", "index"})


def _get(value: dict[str, Any], name: str) -> Any:
    """A field in either of its spellings."""
    found = value.get(name)
    return value.get(_NAMES[name]) if found is None else found


class GeminiAPI:
    name: ClassVar[str] = "gemini-api"
    note: ClassVar[str] = "Gemini API, streamGenerateContent: server-sent events, or the SDK's chunks as JSON lines"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._tally = Tally(say)
        self._turns = 0
        self._calls = 0
        self._model: Any = None
        self._id = ""
        self._open = False
        self._over: Any = 0  # the response that ended last
        self._used: dict[str, Any] = {}
        self._searched = False
        self._links = Links()

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        candidates = line.get("candidates")
        first = candidates[0] if type(candidates) is list and candidates else None
        if type(first) is not dict:
            return STRONG if _get(line, "promptFeedback") and _get(line, "modelVersion") else NO
        if type(first.get("content")) is not dict and not _get(first, "finishReason"):
            return NO
        return STRONG if _get(line, "usageMetadata") or _get(line, "modelVersion") else WEAK

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        error = line.get("error")
        if error:
            self._fail(f"{error.get('status') or error.get('code')}: {error['message']}")
            return
        candidates, usage = line.get("candidates"), _get(line, "usageMetadata")
        for candidate in candidates or []:
            self._candidate(line, candidate)
        if usage and usage != self._used:  # most lines repeat it
            self._usage(usage)
        if not candidates:
            feedback = _get(line, "promptFeedback") or {}
            blocked = _get(feedback, "blockReason")
            if blocked:
                self._fail(f"the prompt was blocked: {_get(feedback, 'blockReasonMessage') or blocked}")
            elif not usage:
                raise Unmapped

    def _candidate(self, line: dict[str, Any], candidate: dict[str, Any]) -> None:
        if candidate.get("index"):
            self._say.log(candidate)  # an alternative is no part of the answer
            return
        parts = (candidate.get("content") or {}).get("parts") or []
        if not self._open:
            if _get(line, "responseId") == self._over and not any(part.get("text") != "" for part in parts):
                self._sources(candidate)  # a last line of the response that has ended
                return
            self._begin(line)
        for part in parts:
            self._part(part)
        if candidate.keys() <= _PLAIN:
            return
        self._sources(candidate)
        reason = _get(candidate, "finishReason")
        if reason:
            self._over = _get(line, "responseId")
            self._end(candidate, reason)

    def _begin(self, line: dict[str, Any]) -> None:
        """The first line of a response: what follows a finishReason."""
        id_, model = _get(line, "responseId") or "response", _get(line, "modelVersion")
        self._turns += 1
        self._id = str(id_) if self._turns == 1 else f"{id_}/{self._turns}"
        self._open, self._searched, self._used = True, False, {}
        if model != self._model:
            self._model = model
            self._say.identify(model=model)
        self._say.go_on()

    def _part(self, part: dict[str, Any]) -> None:
        say, id_, text = self._say, self._id, part.get("text")
        if text is not None:
            if part.get("thought"):
                say.think(text)
            else:
                self._links.add(text)
                say.text(id_, text)
        elif (call := _get(part, "functionCall")) and call.get("name") and not _get(call, "willContinue"):
            self._calls += 1
            request(say, call.get("id") or f"{id_}/{self._calls}", call["name"], call.get("args"))
        elif code := _get(part, "executableCode"):
            self._calls += 1
            say.start(code.get("id") or f"code/{self._calls}", "run code", input={"code": code.get("code")})
        elif ran := _get(part, "codeExecutionResult"):
            outcome = ran.get("outcome")
            ok = outcome == "OUTCOME_OK"
            say.end(
                ran.get("id") or f"code/{self._calls}", "ok" if ok else "failed",
                output=ran.get("output"), error=None if ok else outcome, title="run code",
            )  # fmt: skip
        elif call := _get(part, "toolCall"):
            say.start(call["id"], _get(call, "toolType") or "tool", input=call.get("args"))
        elif given := _get(part, "toolResponse"):
            say.end(given["id"], output=given.get("response"), title=_get(given, "toolType"))
        elif file := _get(part, "fileData"):
            say.artifact(None, url=_get(file, "fileUri"))
        else:
            say.log(part)

    def _sources(self, candidate: dict[str, Any]) -> None:
        """What the answer rests on: Google's search, pages that were opened, texts that are cited."""
        say = self._say
        if grounding := _get(candidate, "groundingMetadata"):
            queries = _get(grounding, "webSearchQueries")
            step_id = f"{self._id}/search"
            if queries and not self._searched:
                say.start(step_id, "web search", input={"queries": queries})
                say.end(step_id)
                self._searched = True
            for chunk in _get(grounding, "groundingChunks") or []:
                ground = chunk.get("web") or _get(chunk, "retrievedContext") or chunk.get("maps") or {}
                say.source(url=ground.get("uri"), title=ground.get("title"), snippet=ground.get("text"))
        if cited := _get(candidate, "citationMetadata"):
            for citation in cited.get("citations") or _get(cited, "citationSources") or []:
                say.source(url=citation.get("uri"), title=citation.get("title"))
        if opened := _get(candidate, "urlContextMetadata"):
            for page in _get(opened, "urlMetadata") or []:
                if str(_get(page, "urlRetrievalStatus")).endswith("_SUCCESS"):
                    say.source(url=_get(page, "retrievedUrl"), origin="tool")

    def _end(self, candidate: dict[str, Any], reason: Any) -> None:
        say, id_ = self._say, self._id
        say.complete(id_)
        self._links.cite(say)
        self._open = False
        if reason == "STOP":
            say.declare("completed", message_id=id_)
        else:
            said = _get(candidate, "finishMessage")
            self._fail(f"the response ended with finishReason {reason}" + (f": {said}" if said else ""))

    def _usage(self, usage: dict[str, Any]) -> None:
        self._used, thought = usage, _get(usage, "thoughtsTokenCount")
        self._tally.report(
            self._turns,
            input_tokens=total(_get(usage, "promptTokenCount"), _get(usage, "toolUsePromptTokenCount")),
            cached_tokens=_get(usage, "cachedContentTokenCount"),
            output_tokens=total(_get(usage, "candidatesTokenCount"), thought),
            reasoning_tokens=thought,
        )

    def _fail(self, message: str) -> None:
        self._open = False
        self._say.fail(message, fatal=True)
        self._say.declare("failed", error=message[:1000])
