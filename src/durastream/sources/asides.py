"""What frames hold in pieces: the input of a tool as a model writes it, whichever the format."""

from __future__ import annotations

import re
from typing import Any

from durastream.events import Aside, Src

__all__ = ["add_pieces", "has_pieces"]

_PIECES = frozenset({"args", "args_delta", "arguments", "delta", "inputTextDelta", "partial_json"})
_TELLS = ("index", "item_id", "parent_tool_use_id", "toolCallId", "tool_call_id")
"""What tells two inputs apart that are written at the same time."""

has_pieces = re.compile(rf'"(?:{"|".join(sorted(_PIECES))})"[ \t]*:[ \t]*"[^"]'.encode()).search
"""Whether the bytes of a frame may hold a piece: one expression, which takes a third of the time of six looks."""


def add_pieces(found: list[Aside], value: Any, src: Src, name: str = "") -> None:
    """Add the pieces in the JSON of a frame, each named by the place where it stands."""
    if type(value) is list:
        for each in value:
            if type(each) is dict:
                add_pieces(found, each, src, name)
        return
    for tell in _TELLS:
        if tell in value:
            name = f"{name} {value[tell]}"
    for key, each in value.items():
        kind = type(each)
        if kind is str:
            if each and key in _PIECES:
                found.append(Aside(f"{name}/{key}", each, src))
        elif each and (kind is dict or kind is list):
            add_pieces(found, each, src, f"{name}/{key}")
