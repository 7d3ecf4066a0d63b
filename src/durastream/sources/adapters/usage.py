"""How much was used? What providers and agents count, as `usage.reported` has it.

`input_tokens` is the whole prompt, what was read from a cache or written to one included; `output_tokens` is all that
the model wrote, thought included.
"""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters.narrator import Narrator

__all__ = ["Tally", "of_codex", "of_messages", "of_responses", "total"]


def total(*amounts: Any) -> int | None:
    """The sum of what is known; None when nothing is."""
    known = [amount for amount in amounts if type(amount) is int]
    return sum(known) if known else None


def of_messages(usage: dict[str, Any]) -> dict[str, Any]:
    """As Anthropic's Messages API counts: what goes through the cache stands beside the rest of the prompt."""
    prompt, cached = usage.get("input_tokens"), usage.get("cache_read_input_tokens")
    return {
        "input_tokens": None if prompt is None else total(prompt, cached, usage.get("cache_creation_input_tokens")),
        "cached_tokens": cached,
        "output_tokens": usage.get("output_tokens"),
        "reasoning_tokens": (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
    }


def of_responses(usage: dict[str, Any]) -> dict[str, Any]:
    """As OpenAI's Responses API counts, and what took over its form."""
    return {
        "input_tokens": usage.get("input_tokens"),
        "cached_tokens": (usage.get("input_tokens_details") or {}).get("cached_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "reasoning_tokens": (usage.get("output_tokens_details") or {}).get("reasoning_tokens"),
    }


def of_codex(usage: dict[str, Any]) -> dict[str, Any]:
    """As Codex counts: over the thread."""
    return {
        "input_tokens": usage.get("input_tokens"),
        "cached_tokens": usage.get("cached_input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "reasoning_tokens": usage.get("reasoning_output_tokens"),
    }


class Tally:
    """Usage of several requests, each told again and again while it grows: the sum as it stands now."""

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._request: Any = None
        self._now: dict[str, float] = {}
        self._before: dict[str, float] = {}

    def report(self, request: Any, **amounts: Any) -> None:
        """What a request has used so far. Amounts that are no numbers are unknown."""
        if request != self._request:
            self._request = request
            self._before = self._sum()
            self._now = {}
        now = self._now.copy()
        for name, amount in amounts.items():
            if type(amount) in (int, float) and amount >= 0:
                now[name] = amount
        if now == self._now:
            return
        self._now = now
        self._say.use(scope="run", mode="replace", model=None, **self._sum())

    def _sum(self) -> dict[str, float]:
        return {name: self._before.get(name, 0) + self._now.get(name, 0) for name in {**self._before, **self._now}}
