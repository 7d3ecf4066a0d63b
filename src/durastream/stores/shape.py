"""What stands in the schema of a SQLite recording that durastream did not put there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

__all__ = ["Entry", "faults"]

Entry = tuple[object, object, object, object]
"""A row of sqlite_master: type, name, tbl_name, sql."""

_MOST = 20
_ENTRIES = "select type, name, tbl_name, sql from sqlite_master"


def faults(entries: Iterable[Entry], script: str) -> list[str]:
    """How the schema of a file differs from the one that a script makes, one sentence for each table, index or view."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(script)
        ours = {row[1]: row for row in connection.execute(_ENTRIES)}
    finally:
        connection.close()
    found, seen = [], set()
    for entry in entries:
        kind, name, _, _ = entry
        if name not in ours or name in seen:
            found.append(f"the file holds a {_said(kind)} {_said(name)}, which durastream did not make")
        elif tuple(entry) != tuple(ours[name]):
            found.append(f"the {ours[name][0]} {name} is not the one that durastream makes")
        seen.add(name)
    found += [f"the {ours[name][0]} {name} is missing" for name in ours if name not in seen]
    return found[:_MOST]


def _said(value: object) -> str:
    return str(value)[:80]
