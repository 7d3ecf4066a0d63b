"""Finds the options of a project: `durastream.toml`, or `[tool.durastream]` of `pyproject.toml`, here or above.

An agent waits for this module: what takes long is imported where there is a file to be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from durastream.errors import UsageError
from durastream.redaction import environment

if TYPE_CHECKING:
    from durastream.rules.policy import Settings

__all__ = ["asked_redaction", "find_redaction", "find_settings"]

_TABLES = ("redact", "verify")


def find_settings(cwd: str) -> Settings:
    """What the nearest file says of `verify`; nothing where there is none.

    Raises UsageError when it cannot be read, or holds what cannot be meant.
    """
    from durastream.rules.policy import Settings

    part, where = _part(cwd, "verify")
    return Settings(part, where) if where else Settings()


def asked_redaction(environ: Mapping[str, str], cwd: str) -> dict[str, Any]:
    """What is taken out of a run of this environment, as `environment.settings` says it. Raises UsageError."""
    return environment.settings(environ, find_redaction(cwd) if environment.mentioned(cwd) else None)


def find_redaction(cwd: str) -> dict[str, Any]:
    """What the nearest file says of `redact`: enabled, patterns, names. Raises UsageError as `find_settings` does."""
    part, where = _part(cwd, "redact")
    for name, value in part.items():
        if name == "enabled" and type(value) is bool:
            continue
        if name not in ("patterns", "names") or type(value) is not list or not all(type(each) is str for each in value):
            raise UsageError(f"{where}: {name}: there is enabled (true or false), patterns and names (lists of texts)")
    for pattern in part.get("patterns", ()):
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{where}: {pattern!r} is no regular expression: {error}") from error
    return part


def _part(cwd: str, name: str) -> tuple[dict[str, Any], str]:
    """One table of the nearest file, and what to call it; two empty ones where there is no file."""
    folder = cwd
    while True:
        path = os.path.join(folder, "durastream.toml")
        own = _load(path)
        if own is not None:
            return _table(own, name, path, "")
        path = os.path.join(folder, "pyproject.toml")
        shared = _load(path)
        tool = shared.get("tool") if shared is not None else None
        if isinstance(tool, dict) and isinstance(tool.get("durastream"), dict):
            return _table(tool["durastream"], name, path, "tool.durastream.")
        parent = os.path.dirname(folder)
        if parent == folder:
            return {}, ""
        folder = parent


def _table(tables: dict[str, Any], name: str, path: str, before: str) -> tuple[dict[str, Any], str]:
    for other in tables:
        if other not in _TABLES:
            there = " and ".join(f"[{before}{each}]" for each in _TABLES)
            raise UsageError(f"{path}: there is no [{before}{other}]: there are {there}")
    part = tables.get(name, {})
    where = f"{path}: [{before}{name}]"
    if not isinstance(part, dict):
        raise UsageError(f"{where} is a table")
    return part, where


def _load(path: str) -> dict[str, Any] | None:
    if not os.path.isfile(path):  # a pipe of that name would be waited for
        return None
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
