"""Tool calls of ACP, which are told by patches, and the questions whether they may run."""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters import Narrator
from durastream.sources.adapters.calls import reads_web
from durastream.sources.adapters.plans import is_plan_tool, plan_in

__all__ = ["Tools", "texts"]

_ACTIONS = {"accept": "approved", "decline": "denied", "cancel": "cancelled"}


class Tools:
    """The calls and the questions that are open."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._calls: dict[str, dict[str, Any]] = {}
        self._asked: dict[str, tuple[str | None, dict[str, str]]] = {}  # by request: the call, and the options' kinds
        self._denied: set[str] = set()

    def patch(self, update: dict[str, Any]) -> None:
        """Fields that are told replace those told before. The first may come as an update, and the input late."""
        id_, status = update["toolCallId"], update.get("status")
        call = self._calls.setdefault(id_, {})
        call |= {key: value for key, value in update.items() if value is not None}
        call.setdefault("name", call.get("title", ""))
        ended = status in ("completed", "failed")
        if not call.get("planned") and _is_plan(call) and (plan := plan_in(call["rawInput"])) is not None:
            call["planned"] = True
            self._say.plan(plan)
        if not call.get("planned") and (ended or _is_known(call)):
            self._start(id_, call)
        if status in ("in_progress", "completed"):
            self._decide(id_, "approved")  # it runs, so it may: the client's answer need not be seen
        if ended:
            if not call.get("planned") or self._say.is_running(id_):
                self._end(id_, call)
            del self._calls[id_]
            self._denied.discard(id_)

    def _start(self, id_: str, call: dict[str, Any]) -> None:
        say, taken = self._say, call.get("rawInput")
        if say.is_running(id_):
            return
        agent = type(taken) is dict and "subagent_type" in taken
        say.start(id_, call.get("title") or id_, kind="agent" if agent else "tool", input=taken or None)

    def _end(self, id_: str, call: dict[str, Any]) -> None:
        say, status, given = self._say, "ok", call.get("rawOutput")
        text = texts([part.get("content") or {} for part in call.get("content") or []])
        error = code = None
        if type(given) is dict:
            error = given.get("error")
            code = given.get("exit_code", (given.get("metadata") or {}).get("exit"))
        if call["status"] == "failed" or code:
            status = "denied" if id_ in self._denied else "failed"
            error = error or (f"exit code {code}" if code else text or None)
        say.end(id_, status, output=given or text or None, error=error if status != "ok" else None)
        if status == "ok":
            if _on_web(call) and not say.cite(call.get("rawInput"), origin="tool", step_id=id_):
                say.cite(given or text, origin="tool", step_id=id_)
            self._files(call)

    def _files(self, call: dict[str, Any]) -> None:
        """A difference names its file; without one, so do the places of a call that edits."""
        changes = [part for part in call.get("content") or [] if part.get("type") == "diff"]
        for change in changes:
            self._say.artifact(change["path"], "update" if change.get("oldText") else "add")
        if not changes and call.get("kind") in ("edit", "delete"):
            given = call.get("rawOutput")
            told = given.get("metadata") if type(given) is dict else None
            new = type(told) is dict and told.get("exists") is False
            action = "delete" if call["kind"] == "delete" else "add" if new else "update"
            for place in call.get("locations") or []:
                self._say.artifact(place["path"], action)

    # questions

    def ask(self, id_: Any, call: dict[str, Any], options: list[dict[str, Any]]) -> None:
        """The agent asks whether a call may run; what it tells of the call is a patch too."""
        known = self._calls.setdefault(call["toolCallId"], {})
        known |= {key: value for key, value in call.items() if value is not None}
        known.setdefault("name", known.get("title", ""))
        self._asked[str(id_)] = (call["toolCallId"], {option["optionId"]: option["kind"] for option in options})
        self._say.ask(str(id_), known.get("title") or call["toolCallId"], [*options])

    def question(self, id_: Any, message: Any) -> None:
        """The agent asks for words or choices."""
        self._asked[str(id_)] = (None, {})
        self._say.ask(str(id_), message)

    def answered(self, id_: Any, result: dict[str, Any]) -> None:
        """The client's answer. One that answers nothing that is open says nothing."""
        if str(id_) not in self._asked:
            return
        call, kinds = self._asked[str(id_)]
        if "action" in result:
            decision = _ACTIONS.get(result["action"], "answered")
        else:
            outcome = result["outcome"]
            chosen = kinds.get(outcome.get("optionId"), "")
            decision = "approved" if chosen.startswith("allow") else "denied" if chosen else str(outcome["outcome"])
        if call is not None and decision != "approved":
            self._denied.add(call)
        del self._asked[str(id_)]
        self._say.decide(str(id_), decision)

    def _decide(self, call: str, decision: str) -> None:
        for id_ in [id_ for id_, (about, _) in self._asked.items() if about == call]:
            del self._asked[id_]
            self._say.decide(id_, decision)


def texts(content: list[dict[str, Any]]) -> str:
    """The text in blocks of content."""
    return "".join([block["text"] for block in content if block.get("type") == "text"])


def _is_plan(call: dict[str, Any]) -> bool:
    taken = call.get("rawInput")
    return type(taken) is dict and (is_plan_tool(call["name"]) or "todos" in taken)


def _is_known(call: dict[str, Any]) -> bool:
    """Whether the input has come: not while the call is pending with nothing, or with the folder alone (opencode)."""
    if is_plan_tool(call["name"]):
        return False
    taken = call.get("rawInput") or {}
    return call.get("status", "pending") != "pending" or not taken.keys() <= {"cwd"}


def _on_web(call: dict[str, Any]) -> bool:
    kind = call.get("kind")
    return kind == "fetch" or (kind == "search" and reads_web(f"{call['name']} {call['toolCallId']}"))
