"""JSON in and out: a line into a value, leniently where it must be; the data of an event into its stored text."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from pydantic_core import from_json, to_json

from durastream.events import Pending, Src, dumps, escape_terminal

__all__ = ["decode", "decode_leniently", "encode", "rejected", "without_prefix"]

_KEPT = 1 << 20
_BOM = b"\xef\xbb\xbf"
_ESCAPES = re.compile(rb"^(?:\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[A-Za-z]|\s)+")


def decode(line: bytes) -> Any:
    """The value of a line. A byte order mark or a terminal's escapes before it are passed over.

    Raises ValueError when it is no JSON, whichever way it is read.
    """
    line = without_prefix(line)
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:
        return decode_leniently(line)


def without_prefix(line: bytes) -> bytes:
    """The line without a byte order mark or a terminal's escapes before it."""
    return _ESCAPES.sub(b"", line.removeprefix(_BOM)) if line[:1] in (b"\x1b", b"\xef") else line


def decode_leniently(line: bytes) -> Any:
    """Second reading, for what some programs write: lone surrogates, broken UTF-8, control characters, a BOM.

    What is no character is replaced visibly; the raw bytes keep it. Raises ValueError when it is no JSON either way.
    """

    def refuse(name: str) -> None:
        raise ValueError(name)

    text = line.removeprefix(_BOM).decode("utf-8", "replace")
    try:
        plain = json.dumps(json.loads(text, parse_constant=refuse, strict=False), ensure_ascii=False)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return from_json(plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def encode(data: dict[str, Any]) -> str:
    """The JSON text of values that `decode` gave, as it is stored: four times as fast as `events.dumps`.

    Raises ValueError for what no JSON can hold: a number that was read as infinity, such as 1e999.
    """
    text = to_json(data).decode()
    if "Infinity" in text:
        from_json(text, allow_inf_nan=False)  # it may be a word in a string
    return text if text.isascii() and "\x7f" not in text else escape_terminal(text)


def rejected(reason: str, line: bytes, src: Src) -> Pending:
    """A line that cannot be taken, with the reason. Its first MiB is in the event, all of it in the raw bytes."""
    kept = line[:_KEPT]
    data: dict[str, Any] = {"reason": reason.encode("utf-8", "replace").decode(), "length": len(line)}
    try:
        data["text"] = kept.decode()
    except UnicodeDecodeError:
        data["base64"] = base64.b64encode(kept).decode()
    return Pending("raw.rejected", data, dumps(data), src)
