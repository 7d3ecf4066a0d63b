"""What people and programs see of a run: each view renders stored events and nothing else.

`live` paints a screen with Rich, `plain` prints one line per change, `jsonl` prints the events as stored. Each has a
`show(batches, …)`: a batch is a sequence of events, an empty one says that time has passed. Nothing that an agent wrote
reaches an output except through `safe`. Importing this package imports no Rich; only `live` does.
"""

from __future__ import annotations

from durastream.views.outcome import Batches, Outcome
from durastream.views.safe import one_line, visible

__all__ = ["Batches", "Outcome", "one_line", "visible"]
