"""Which variables of an environment hold secrets. Nothing slow to import: an agent waits for this."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

__all__ = ["SHORTEST", "looks_secret", "mentioned", "settings"]

SHORTEST = 8
"""Characters of the shortest value that is taken for a secret wherever it stands."""

_SECRET = (
    "APIKEY", "API_KEY", "ACCESS_KEY", "AUTHORIZATION", "CREDENTIAL", "PASSPHRASE", "PASSWD", "PASSWORD", "PRIVATE_KEY",
    "SECRET", "TOKEN",
)  # fmt: skip
_ENDS = ("KEY", "_AUTH", "_PASS", "_PAT", "_PWD")
_NOT = ("TOKENIZER", "MAX_TOKEN", "TOKENS", "KEYBOARD")
_HARMLESS = re.compile(r"\d+|/[\w./-]*|(?i:true|false|none|null|disabled|enabled)|https?://[^:@]*", re.ASCII)


def looks_secret(name: str, names: Iterable[str] = ()) -> bool:
    """Whether a variable of this name holds a secret; `names` are more of them, with * and ?."""
    if _named(name, names):
        return True
    upper = name.upper()
    if any(part in upper for part in _NOT):
        return False
    return any(part in upper for part in _SECRET) or upper.endswith(_ENDS)


def _named(name: str, names: Iterable[str]) -> bool:
    return any(fnmatchcase(name.upper(), each.upper()) for each in names)


def settings(environ: Mapping[str, str], asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a recorder is told: `on`, the secret `values` by the names of their variables, `patterns` of the user.

    `asked` is the table `redact` of the configuration.
    """
    asked = asked or {}
    if not asked.get("enabled", True):
        return {"on": False}
    names = asked.get("names", ())
    values = {
        name: value
        for name, value in environ.items()
        if len(value) >= SHORTEST
        and looks_secret(name, names)
        and (_named(name, names) or not _HARMLESS.fullmatch(value))  # who names a variable knows
    }
    return {"on": True, "values": values, "names": list(names), "patterns": list(asked.get("patterns", ()))}


def mentioned(cwd: str) -> bool:
    """Whether a file here or above may say something of redaction: reading TOML takes longer than starting a run."""
    folder = cwd
    while True:
        for name in ("durastream.toml", "pyproject.toml"):
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if b"redact" in file.read() or name == "durastream.toml":
                    return True
        parent = os.path.dirname(folder)
        if parent == folder:
            return False
        folder = parent
