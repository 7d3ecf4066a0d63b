"""What the streams of model providers have in common.

A provider's stream shows that the model *asks* for a tool. The agent runs it, and nothing of that is in the stream: the
call may have failed or never have been made. So what is recorded is the request, a step of kind `model` that is
complete once its input is known, and no step of kind `tool`, which would have to claim an end that nobody saw. A turn
that ends in such requests has ended well. Tools that the provider runs itself have both ends in the stream: they are
steps of kind `tool`.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from durastream.sources.adapters.narrator import Narrator
from durastream.sources.adapters.plans import is_plan_tool, plan_in

__all__ = ["Tally", "Thoughts", "arguments", "request"]


def arguments(text: Any) -> Any:
    """The input of a call, which models write as JSON text; the text itself when it is none."""
    if type(text) is not str:
        return text
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return text


def request(say: Narrator, call_id: Any, name: Any, given: Any) -> None:
    """The model asks for a tool that the agent is to run. A plan tool is the plan and no step."""
    if is_plan_tool(name) and (plan := plan_in(given)) is not None:
        say.plan(plan)
        return
    step_id = f"request/{call_id}"
    say.start(step_id, f"request {name}", kind="model", input=given)
    say.end(step_id)


class Thoughts:
    """Thought that comes in several texts: a blank line stands between them."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._ended = False

    def add(self, text: str) -> None:
        if text:
            self._say.think("\n\n" + text if self._ended else text)
            self._ended = False

    def end(self) -> None:
        """What was added last is whole."""
        self._ended = True


class Tally:
    """Usage of several requests, each told again and again while it grows: the sum as it stands now."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._request: Any = None
        self._now: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def report(self, request: Any, **amounts: Any) -> None:
        """What a request has used so far. Amounts that are no numbers are unknown."""
        if request != self._request:
            self._request = request
            self._before = self._sum()
            self._now = {}
        now = self._now.copy()
        for name, amount in amounts.items():
            if type(amount) in (int, float) and amount >= 0:
                now[name] = amount
        if now == self._now:
            return
        self._now = now
        self._say.use(scope="run", mode="replace", model=None, **self._sum())

    def _sum(self) -> dict[str, float]:
        return {name: self._before.get(name, 0) + self._now.get(name, 0) for name in {**self._before, **self._now}}
