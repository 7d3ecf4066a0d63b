"""Qwen Code: `qwen -p --output-format stream-json`. Claude Code's stream with its own plan tool and its own errors."""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator
from durastream.sources.adapters.claude_stream import ClaudeStream

__all__ = ["Qwen"]

_ERROR = "[API Error"


class Qwen(ClaudeStream):
    name: ClassVar[str] = "qwen"
    note: ClassVar[str] = "Qwen Code: qwen -p --output-format stream-json"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ("qwen",)
    version_key: ClassVar[str] = "qwen_code_version"

    def __init__(self, say: Narrator) -> None:
        super().__init__(say)
        self._erred = False

    @staticmethod
    def matches(line: Any) -> int:
        return STRONG if type(line) is dict and "qwen_code_version" in line and "session_id" in line else NO

    def _usage(self, line: dict[str, Any]) -> None:
        """Its sums are whole: what was read from a cache is in them."""
        used = line.get("usage") or {}
        told = {"input_tokens": used.get("input_tokens"), "output_tokens": used.get("output_tokens")}
        self._use({**told, "cached_tokens": used.get("cache_read_input_tokens")}, None)

    def _is_error(self, line: dict[str, Any], text: str) -> bool:
        """An error of the API comes as a text of the model, and costs nothing."""
        usage = line["message"].get("usage") or {}
        return text.startswith(_ERROR) and not usage.get("output_tokens")

    def _failed_instead(self, id_: str, text: str) -> None:
        super()._failed_instead(id_, text)
        self._erred = True

    def _failure(self, line: dict[str, Any]) -> str | None:
        """A run that ends in an error of the API says success all the same, and exits with 0."""
        failure, text = super()._failure(line), line.get("result")
        lie = failure is None and self._erred and type(text) is str and text.startswith(_ERROR)
        return text if lie else failure
