"""What `durastream selftest` says."""

from __future__ import annotations

import json

from durastream.cli.common import put
from durastream.location import make_store
from durastream.selftest import Tried, selftest
from durastream.stores import FolderStore

__all__ = ["run_selftest"]

_LOGS = {"sqlite": "SQLite", "jsonl": "JSON Lines"}


def run_selftest(store: FolderStore, *, as_json: bool) -> int:
    """Try the disk of a store, a line a thing; 0 when it can promise all, on both logs."""
    make_store(store.folder)
    tried = []
    for one in selftest(store.folder):
        tried.append(one)
        if not as_json:
            put(f"{'ok  ' if one.holds else 'FAIL' if one.needed else 'no  '}  {one.name:<11}  {one.said}")
    safe = [log for log in _LOGS if all(one.holds for one in tried if log in one.needed)]
    if as_json:
        put(json.dumps({"store": store.folder, "safe": safe, "tried": [_fields(one) for one in tried]}))
    else:
        for log, name in _LOGS.items():
            promise = (
                "what is stored survives kills, and power cuts if the disk is honest about syncs"
                if log in safe
                else "nothing is promised here"
            )
            put(f"{name}: {promise}")
    return 0 if len(safe) == len(_LOGS) else 1


def _fields(one: Tried) -> dict[str, object]:
    return {"name": one.name, "holds": one.holds, "said": one.said, "needed": list(one.needed)}
