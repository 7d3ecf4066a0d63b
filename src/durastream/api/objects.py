"""Any object as a JSON value: what frameworks hand about are data classes, models, tuples and what tools made."""

from __future__ import annotations

from durastream.api.values import text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["plain"]

_DEEPEST = 40
_MOST = 20_000
_LONGEST = 4 << 20


def plain(value: object) -> Any:
    """The value as JSON: models as they dump themselves, data classes by their fields, anything else by its words.

    Bounded in depth and size. Never raises.
    """
    return value if type(value) is str and len(value) <= _LONGEST else _Walk().take(value, 0)


class _Walk:
    """One conversion, and how many values it may still take."""

    def __init__(self) -> None:
        self._left = _MOST

    def take(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if value.bit_length() < 64 else float(value) if value.bit_length() < 1024 else text_of(value)
        if kind is float:
            return value if value - value == 0 else str(value)
        self._left -= 1
        if depth >= _DEEPEST or self._left < 0:
            return "…"
        try:
            return self._object(value, depth + 1)
        except Exception:  # noqa: BLE001 - properties, dumps and keys of other people's classes may raise anything
            return _words(value)

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return {text_of(key): self.take(held, depth) for key, held in list(value.items())[:_MOST]}
        if isinstance(value, (list, tuple)):
            return [self.take(held, depth) for held in value[:_MOST]]
        if isinstance(value, (set, frozenset)):
            return [self.take(held, depth) for held in sorted(value, key=text_of)[:_MOST]]
        if isinstance(value, type):
            return _words(value)
        if callable(getattr(value, "model_dump", None)):
            return self.take(_dumped(value), depth)
        fields = getattr(value, "__dataclass_fields__", None)
        if fields is not None:
            return {name: self.take(getattr(value, name, None), depth) for name in fields if name[0] != "_"}
        if isinstance(value, (str, int, float)):  # enumerations and numbers of other libraries
            plain_type = next(base for base in (str, int, float) if isinstance(value, base))
            return self.take(plain_type(getattr(value, "value", value)), depth)
        if isinstance(value, (bytes, bytearray, BaseException)):
            return text_of(value)
        if callable(getattr(value, "isoformat", None)):
            return str(value.isoformat())
        if getattr(type(value), "__str__", None) is not object.__str__ and _is_small(value):
            return text_of(value)
        return _words(value)


def _dumped(model: Any) -> Any:
    """A pydantic model's own JSON; its Python form where something in it has none."""
    try:
        return model.model_dump(mode="json", warnings=False)
    except Exception:  # noqa: BLE001 - what a tool put in, a custom serializer, another signature
        return model.model_dump()


def _is_small(value: object) -> bool:
    """Whether its words are its value: paths, UUIDs, decimals."""
    return type(value).__module__.partition(".")[0] in ("pathlib", "uuid", "decimal", "ipaddress")


def _words(value: object) -> str:
    try:
        words = repr(value)
    except Exception:  # noqa: BLE001
        words = text_of(value)
    return words if len(words) <= 2000 else f"{words[:2000]}…"
