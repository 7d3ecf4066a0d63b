"""`durastream formats`: what stdout of an agent may hold, and how far each mapping is proven."""

from __future__ import annotations

import json

from durastream.cli.common import put
from durastream.sources import FORMATS
from durastream.sources.adapters import adapters
from durastream.views.safe import json_line, one_line

__all__ = ["list_formats"]

_PROVEN = {"hand-made": "hand-made, never held against the real program"}


def list_formats(*, as_json: bool) -> int:
    """The formats that `--format` takes, the agents' own in the order in which they are tried."""
    found = [(name, note, "") for name, note in FORMATS.items()]
    found += [(adapter.name, adapter.note, adapter.proven) for adapter in adapters()]
    if as_json:
        fields = [{"name": name, "note": note, "proven": proven or None} for name, note, proven in found]
        put(json_line(json.dumps(fields)))
        return 0
    names = max(len(name) for name, _, _ in found)
    for name, note, proven in found:
        put(one_line(f"{name:<{names}}  {note}" + (f" ({_PROVEN.get(proven, proven)})" if proven else ""), 300))
    return 0
