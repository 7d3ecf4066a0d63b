from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from durastream.events import Event
from durastream.state import RunState, fold


class Log:
    """Events of a run as a test tells them: `log.add(4.0, "step.started", step_id="s", title="find")`."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, t: float, type_: str, **data: Any) -> Event:
        seq = len(self.events) + 1
        ts = f"2026-11-23T06:00:{int(t) % 60:02}.000000Z"
        event = Event(seq, ts, t, type_, data, body=f'{{"seq":{seq}}}', hash=bytes([seq % 256]) * 32)
        self.events.append(event)
        return event

    def start(self, name: str = "review") -> Log:
        self.add(0.0, "run.started", run_id="k3v9p2", name=name, command=["python", "agent.py"], cwd="/", format=1)
        return self

    def plan(self, t: float, done: int, *titles: str, type_: str = "plan.updated") -> None:
        status = ["done"] * done + ["active"] + ["pending"] * len(titles)
        steps = [
            {"id": str(index), "title": title, "status": status[index]} for index, title in enumerate(titles, start=0)
        ]
        self.add(t, type_, steps=steps)

    def state(self) -> RunState:
        return fold(self.events)


def text_of(renderable: RenderableType, width: int = 80) -> str:
    """What a renderable prints, without colours and without the blanks at the ends of lines."""
    out = io.StringIO()
    Console(file=out, width=width, height=200, color_system=None, legacy_windows=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n"))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def printed() -> Any:
    return text_of
