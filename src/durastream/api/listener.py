"""Records what comes by in a stream of events: finds whose they are, and lets the adapter for that format say them."""

from __future__ import annotations

import os

from durastream import forks
from durastream.api import messages
from durastream.api.objects import plain
from durastream.api.shapes import as_event, as_line, format_of
from durastream.api.sink import complain
from durastream.api.steps import step_in
from durastream.api.values import clean, text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any

    from durastream.api.sink import Sink
    from durastream.sources.adapters import Adapter

__all__ = ["Listener"]

_LOOKS = 20
_KEPT = 1 << 20


class Listener:
    """One stream of one run. Nothing raises: a fault of its own is in the log, once, and the program goes on.

    The ids of messages and steps are its own: several streams of a run may count theirs in the same way.
    """

    def __init__(self, sink: Sink, format_: str | None = None) -> None:
        self._sink = sink
        self._format = format_
        self._adapter: Adapter | None = None
        self._mark = f"{forks.new_id('t')}/"
        self._around = step_in(sink)
        self._looks = 0
        self._faulty = False
        self._pid = os.getpid()
        self.ended = False

    def hear(self, item: object) -> None:
        """Record an item of the stream."""
        try:
            self._hear(item)
        except Exception as error:  # noqa: BLE001 - the agent is not to feel that it is recorded
            self._fault(error)

    def end(self, result: object = None) -> None:
        """The stream is over. `result` is the object that it came from, if that knows the final output."""
        self.ended = True
        if self._format != "openai-agents":
            return
        try:
            if hasattr(result, "final_output"):
                waiting = [plain(asked.raw_item) for asked in getattr(result, "interruptions", None) or ()]
                output = plain(result.final_output)
                self._take({"type": "run_result", "final_output": output, "interruptions": waiting})
        except Exception as error:  # noqa: BLE001 - as in hear
            self._fault(error)

    def cut(self, error: object) -> None:
        """The stream stopped half way, by an exception or because nobody wanted more: what was running has failed."""
        if self.ended or os.getpid() != self._pid:  # a forked child has a copy of the stream, and lets go of it
            return
        self.ended = True
        try:
            if isinstance(error, Exception):
                self._sink.write("error.raised", {"message": text_of(error), "severity": "error", "fatal": False})
            if self._adapter is not None:
                self._say.cut(text_of(error))
                self._tell()
        except Exception as fault:  # noqa: BLE001 - as in hear
            self._fault(fault)

    def _hear(self, item: Any) -> None:
        if isinstance(item, (str, bytes, bytearray)):
            text = item if isinstance(item, str) else item.decode(errors="replace")
            messages.stream(self._sink, clean(text))
            return
        if item is None:
            return
        event = as_event(item)
        if event is not None and "." in event[0]:
            self._sink.write(*event)
            return
        if self._adapter is None:
            self._find(item)
        line = plain(item) if self._format is None else as_line(self._format, item)
        if line is not None:
            self._take(line)

    def _find(self, item: Any) -> None:
        """Find whose events these are: as told, by their shape, or by what an adapter says of them."""
        with forks.loading:  # as for all that is loaded late
            from durastream.errors import UsageError
            from durastream.sources.adapters import STRONG, Narrator, adapters, find
        name, found = self._format or format_of(item), None
        if name is not None:
            try:
                found = find(name)
            except UsageError as error:
                complain(f"tap: {error}")
                self._format = None
        elif self._looks < _LOOKS:
            self._looks += 1
            line = plain(item)
            found = next((adapter for adapter in adapters() if adapter.matches(line) == STRONG), None)
        if found is not None:
            self._format = found.name
            self._say = Narrator()
            self._adapter = found(self._say)
            self._say.identify(format=found.name)

    def _take(self, line: Any) -> None:
        if self._adapter is None:
            self._keep(line, "no format")
            return
        try:
            self._adapter.take(line)
        except Exception as error:  # noqa: BLE001 - no item is lost for the fault of an adapter
            from durastream.sources.adapters import Unmapped  # loaded with the adapter

            self._say.unsay()
            self._keep(line, "no mapping" if isinstance(error, Unmapped) else f"unexpected shape: {error!r}"[:200])
        else:
            self._tell()

    def _keep(self, line: Any, reason: str) -> None:
        from durastream.events import dumps  # loaded with the adapters

        kept = line if len(dumps(line)) <= _KEPT else text_of(line)
        self._sink.write("raw.event", {"json": kept, "reason": reason})

    def _tell(self) -> None:
        """Write what the adapter has said."""
        for type_, data in self._say.drain():
            known: dict[str, Any] = {name: self._own(value) if name in _IDS else value for name, value in data.items()}
            if type_ == "step.started" and "parent" not in known and self._around is not None:
                known["parent"] = self._around
            elif type_ == "plan.created":
                type_ = "plan.updated" if self._sink.planned else type_
                self._sink.planned = True
            elif type_ == "run.declared":  # what an agent says of its own end
                type_ = "run.completed"
                answer = known.get("answer") or {}
                if "message_id" in answer:
                    known["answer"] = {**answer, "message_id": self._own(answer["message_id"])}
            elif type_ == "agent.identified":
                known.pop("terminal", None)  # the program may well stop listening: how it ends is its own to say
            self._sink.write(type_, known)

    def _own(self, id_: str) -> str:
        return f"{self._mark}{id_}"[:200]

    def _fault(self, error: Exception) -> None:
        if self._faulty:
            return
        self._faulty = True
        try:
            what = {"message": f"durastream.tap: {text_of(error)}", "severity": "warning", "fatal": False}
            self._sink.write("error.raised", what)
        except Exception as trouble:  # noqa: BLE001 - as in hear
            complain(f"tap: {text_of(trouble)}")


_IDS = frozenset({"approval_id", "message_id", "parent", "step_id"})
