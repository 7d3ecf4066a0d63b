"""Finds the options of a project: `durastream.toml`, or `[tool.durastream]` of `pyproject.toml`, here or above."""

from __future__ import annotations

import os
import tomllib
from typing import Any

from durastream.errors import UsageError
from durastream.rules.policy import Settings

__all__ = ["find_settings"]


def find_settings(cwd: str) -> Settings:
    """What the nearest file says of `verify`; nothing where there is none.

    Raises UsageError when it cannot be read, or holds what cannot be meant.
    """
    folder = cwd
    while True:
        own = _load(os.path.join(folder, "durastream.toml"))
        if own is not None:
            return _settings(own, os.path.join(folder, "durastream.toml"), "verify")
        shared = _load(os.path.join(folder, "pyproject.toml"))
        tool = shared.get("tool") if shared is not None else None
        if isinstance(tool, dict) and isinstance(tool.get("durastream"), dict):
            where = os.path.join(folder, "pyproject.toml")
            return _settings(tool["durastream"], where, "tool.durastream.verify")
        parent = os.path.dirname(folder)
        if parent == folder:
            return Settings()
        folder = parent


def _settings(table: dict[str, Any], path: str, name: str) -> Settings:
    part = table.get("verify", {})
    if not isinstance(part, dict):
        raise UsageError(f"{path}: [{name}] is a table")
    return Settings(part, f"{path}: [{name}]")


def _load(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
