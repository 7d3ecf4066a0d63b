"""What does the call of a tool tell, whoever makes it? A title, the plan, sources, an end."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from durastream.sources.adapters.narrator import Narrator, Unmapped
from durastream.sources.adapters.plans import bare, is_plan_tool, plan_of
from durastream.sources.decode import decode

__all__ = ["Call", "Calls", "arguments", "reads_web", "sources_of", "title_of"]

_TELLING = (
    *("command", "cmd", "file_path", "filePath", "path", "absolute_path", "notebook_path", "pattern", "query", "url"),
    *("title", "description", "prompt"),
)
_WEB = re.compile("brows|crawl|fetch|lookup|retriev|scrape|search|url|web")
_LOCAL = re.compile("code|content|dir|file|glob|grep|tool")


def arguments(text: Any) -> Any:
    """The input of a call, which models write as JSON in a text; the text itself when it is none, None when empty."""
    if type(text) is not str:
        return text
    try:
        return decode(text.encode()) if text else None
    except ValueError:
        return text


def title_of(name: str, taken: Any) -> str:
    """A title for the step of a call: the tool and the first thing that tells what it is called for."""
    if type(taken) is dict:
        for key in _TELLING:
            word = taken.get(key)
            if type(word) is str and word:
                return f"{name} {word[:200]}"
    return name


def reads_web(name: str) -> bool:
    """Whether a tool of this name finds its sources on the web: what it belongs to does not count."""
    word = bare(name.rpartition("__")[2])
    return _WEB.search(word) is not None and _LOCAL.search(word) is None


def sources_of(say: Narrator, step_id: Any, name: str, taken: Any, given: Any) -> None:
    """The addresses that a tool for the web was sent to as sources; if it was sent to none, those that it found."""
    if reads_web(name) and not say.cite(taken, origin="tool", step_id=step_id):
        say.cite(given, origin="tool", step_id=step_id)


class Call(NamedTuple):
    """A call that has no result yet."""

    name: str
    input: Any


class Calls:
    """The calls of an agent. One that takes the plan tells it and is no step."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self.open: dict[str, Call | None] = {}
        """By id; None for one that told the plan."""

    def start(
        self, id_: str, name: str, taken: Any, *, title: Any = None, parent: Any = None, own: bool = True
    ) -> bool:
        """A tool is called. Begun twice counts once. Whether it told the plan: that of a subagent (`own` is false) is
        none of the run's."""
        if type(name) is not str:
            raise Unmapped
        if id_ in self.open:
            return False
        plan = plan_of(name, taken)
        if plan is None:
            self._say.start(id_, title or title_of(name, taken), parent=parent, input=taken)
            self.open[id_] = Call(name, taken)
            return False
        if own:
            self._say.plan(plan)
        self.open[id_] = None
        return own

    def end(
        self, id_: str, status: str = "ok", *, output: Any = None, error: Any = None, name: Any = None
    ) -> Call | None:
        """A call has its result. Gives the call if it ended well, for what else it did; `name` is that of a call whose
        begin was not told."""
        call = self.open.pop(id_, None) if id_ in self.open else Call(str(name or id_), None)
        if call is None or (is_plan_tool(call.name) and not self._say.is_running(id_)):
            return None
        self._say.end(id_, status, output=output, error=error, title=call.name)
        if status != "ok":
            return None
        sources_of(self._say, id_, call.name, call.input, output)
        return call
