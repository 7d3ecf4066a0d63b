"""`durastream diff`: two runs side by side."""

from __future__ import annotations

import json
import shutil
import sys

from durastream.cli.common import find, open_found, put
from durastream.diff import ASPECTS, DEFAULT, diff
from durastream.errors import UsageError
from durastream.state import RunState
from durastream.stores import FolderStore
from durastream.views.comparison import lines
from durastream.views.safe import json_line

__all__ = ["compare"]

_WIDE = 100


def compare(store: FolderStore, refs: tuple[str, str], select: list[str], *, as_json: bool) -> int:
    """Print what differs between two runs; 1 when something does under the selected aspects, else 0."""
    aspects = _aspects(select)
    (left_id, left), (right_id, right) = (_state(store, ref) for ref in refs)
    found = diff(left, right, aspects)
    if as_json:
        document = {
            "left": left_id,
            "right": right_id,
            "aspects": aspects,
            "same": not found,
            "differences": [each._asdict() for each in found],
        }
        put(json_line(json.dumps(document)))
    else:
        width = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
        for line in lines(found, left, right, aspects, width):
            put(line)
    return 1 if found else 0


def _aspects(select: list[str]) -> list[str]:
    """The aspects that were asked for, in their order."""
    asked = [word.strip() for words in select for word in words.split(",")]
    for word in asked:
        if word not in (*ASPECTS, "all"):
            raise UsageError(f"--select {word}: some of {', '.join(ASPECTS)}, or all")
    chosen = (ASPECTS if "all" in asked else asked) if asked else DEFAULT
    return [aspect for aspect in ASPECTS if aspect in chosen]


def _state(store: FolderStore, ref: str) -> tuple[str, RunState]:
    reader = open_found(store, find(store, ref))
    return reader.run_id, reader.state()
