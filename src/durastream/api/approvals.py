"""Questions that someone decides: asked, and answered."""

from __future__ import annotations

from durastream.api.context import current
from durastream.api.facts import emit
from durastream.api.values import text_of
from durastream.forks import new_id

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable

    from durastream.api.sink import Sink

__all__ = ["Approval", "approval"]


class Approval:
    """A question that someone decides."""

    def __init__(self, approval_id: str, sink: Sink | None) -> None:
        self.approval_id = approval_id
        self._sink = sink

    def resolve(self, decision: str) -> None:
        if self._sink is not None:
            data = {"approval_id": self.approval_id, "decision": text_of(decision)}
            self._sink.write("approval.resolved", data)


def approval(title: str, options: Iterable[str] | None = None, *, approval_id: str | None = None) -> Approval:
    """Write that the agent asks for leave; call `resolve(decision)` on what this returns. Nobody is asked by it."""
    asked = Approval(approval_id or new_id("a"), current())
    choices = None if options is None else list(options)
    emit("approval.requested", approval_id=asked.approval_id, title=text_of(title), options=choices)
    return asked
