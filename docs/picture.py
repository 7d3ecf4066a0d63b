"""Paints docs/live-view.svg, the picture in the README, from the sample recording of the demo.

python docs/picture.py
"""

from __future__ import annotations

from pathlib import Path

from durastream.events import Event
from durastream.state import fold
from durastream.stores.folder import open_reader
from durastream.views.live import picture

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "live-view.svg"
MOMENT = 6.6
"""Seconds into the demo: the draft is being written."""


def paint() -> str:
    """The live view of the demo at that moment, as SVG."""
    reader = open_reader(str(_demo()))
    events: list[Event] = [event for event in reader.read(limit=100_000) if event.t <= MOMENT]
    reader.close()
    return picture(fold(events), run_id=reader.run_id, width=112, height=28, title="durastream attach", now=MOMENT)


def _demo() -> Path:
    """Where the recording of the demo is."""
    for path in sorted((HERE.parent / "recordings").glob("*.jsonl")):
        reader = open_reader(str(path))
        if reader.info().name == "demo":
            return path
    raise SystemExit("recordings/ holds no recording of the demo: sh recordings/make.sh")


if __name__ == "__main__":
    PICTURE.write_text(paint(), encoding="utf-8")
