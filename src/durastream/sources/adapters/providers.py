"""What the streams of model providers have in common.

A provider's stream shows that the model *asks* for a tool. The agent runs it, and nothing of that is in the stream: the
call may have failed or never have been made. So what is recorded is the request, a step of kind `model` that is
complete once its input is known, and no step of kind `tool`, which would have to claim an end that nobody saw. A turn
that ends in such requests has ended well. Tools that the provider runs itself have both ends in the stream: they are
steps of kind `tool`.
"""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters.calls import title_of
from durastream.sources.adapters.narrator import Narrator
from durastream.sources.adapters.plans import plan_of

__all__ = ["Thoughts", "request"]


def request(say: Narrator, call_id: Any, name: Any, given: Any) -> None:
    """The model asks for a tool that the agent is to run. A plan tool is the plan and no step."""
    plan = plan_of(name, given)
    if plan is not None:
        say.plan(plan)
        return
    step_id = f"request/{call_id}"
    say.start(step_id, f"request {title_of(str(name), given)}", kind="model", input=given)
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
