"""What Codex keeps of a call in its session files: its name, what it took and what it gave, partly as text in text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from durastream.sources.adapters.calls import arguments

__all__ = ["called", "changed", "given", "patched", "seconds"]

_FILES = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$", re.M)
_CODE = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d+)$", re.M)
_STOPPED = re.compile(r"\A(?:Wall time: [\d.]+ seconds\n)?(aborted|.*rejected) by user")
_HEAD = 1000


def called(item: dict[str, Any]) -> str:
    """The name of a tool; of one on an MCP server as server.tool."""
    name = item["name"]
    if item.get("namespace"):
        name = f"{item['namespace']}__{name}"
    return ".".join(name.split("__")[1:]) if name.startswith("mcp__") else str(name)


def given(output: Any) -> tuple[str, str, int | None, float | None]:
    """How a call ended, by what it gave: status, text, and the exit code and the duration where it tells them."""
    code = duration = None
    if type(output) is list:
        output = "\n".join(part["text"] for part in output if "text" in part)
    told = arguments(output) if output.startswith('{"output":') else None
    if type(told) is dict:
        metadata = told.get("metadata") or {}
        output, code, duration = str(told["output"]), metadata.get("exit_code"), metadata.get("duration_seconds")
    elif found := _CODE.search(output[:_HEAD]):
        code = int(found[1])
    stopped = _STOPPED.match(output)
    if stopped:
        status = "failed" if stopped[1] == "aborted" else "denied"
    else:
        status = "failed" if code or output.startswith("Script failed\n") else "ok"
    return status, output, code, duration


def patched(patch: str) -> list[tuple[str, str]]:
    """The files that a patch is about, each with what it does to them: add, update or delete."""
    return [(path.strip(), action.lower()) for action, path in _FILES.findall(patch)]


def changed(paths: Iterable[str]) -> str:
    """A title for a change of files."""
    return "change " + ", ".join(list(paths)[:5])


def seconds(duration: Any) -> float | None:
    """A duration as Rust writes it."""
    return float(duration["secs"] + duration["nanos"] / 1e9) if type(duration) is dict else None
