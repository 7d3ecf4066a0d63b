"""What any Python value is in an event: its text, its JSON, its number; and what an exception means."""

from __future__ import annotations

from durastream import forks

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["clean", "encode", "number", "outcome", "text_of"]

_DEEPEST = 64  # the recorder's JSON reader stops at 200 levels
_LONGEST_STAND_IN = 2000


def text_of(value: object) -> str:
    """The text of any value, bounded."""
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, (bytes, bytearray)):
            words = repr(value[:_LONGEST_STAND_IN])
        elif isinstance(value, BaseException):
            words = f"{type(value).__name__}: {value}".removesuffix(": ")
        else:
            words = str(value)
    except Exception as trouble:  # noqa: BLE001 - a program's own __str__ may raise anything
        words = f"<{type(value).__name__} without text: {type(trouble).__name__}>"
    return words if len(words) <= _LONGEST_STAND_IN else words[:_LONGEST_STAND_IN] + "…"


def clean(text: str) -> str:
    """The text with every lone surrogate, which UTF-8 cannot hold, replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """A value as JSON can hold it: no cycle, no NaN, not too deep."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 4096 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if len(inside) < _DEEPEST and id(value) not in inside:
        inside = (*inside, id(value))
        if isinstance(value, dict):
            return {text_of(key): _plain(held, inside) for key, held in list(value.items())}
        if isinstance(value, (list, tuple)):
            return [_plain(held, inside) for held in list(value)]
        if isinstance(value, (set, frozenset)):
            return [_plain(held, inside) for held in sorted(value, key=text_of)]
    return text_of(value)


def encode(type_: str, data: dict[str, Any]) -> bytes:
    with forks.lock:  # a fork waits for it: the child could never finish an import that another thread began
        import json  # 10 ms to import: a program that nobody records does not pay it

    event = {"type": type_, "data": data}
    try:
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        deep = line.count("[") + line.count("{") > _DEEPEST
    except (TypeError, ValueError, RuntimeError):
        deep = True
        line = ""
    if deep:
        line = json.dumps(_plain(event), ensure_ascii=False, separators=(",", ":"))
    return clean(line).encode() + b"\n"


def number(value: Any) -> Any:
    """A number as JSON can hold it, foreign numbers (numpy) included; None for what is not finite, and so unknown."""
    if value is None or type(value) is int:
        return value
    try:
        known = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if known - known != 0:
        return None
    return int(known) if known.is_integer() else known


def outcome(error: BaseException | None) -> tuple[int, str | None]:
    """The exit code that an exception means for a process, and the error to record."""
    if error is None:
        return 0, None
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0, None
        return 1, text_of(error.code)
    return 130 if isinstance(error, KeyboardInterrupt) else 1, text_of(error)
