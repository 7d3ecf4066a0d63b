"""Two runs side by side as text: one line a difference, the first run's on the left, the second's on the right.

    plan      ~ Write the answer          done                   active
    steps     - fetch the page            ok · 1.2 s
              + search                                           ok · 0.3 s

Text that differs is shown from the place on where it does. No colour, no Rich: it may go to a log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from textwrap import wrap
from typing import Any

from durastream.diff import ASPECTS, Difference
from durastream.rules import first_difference
from durastream.rules.course import by_durastream
from durastream.state import RunState
from durastream.views.safe import one_line
from durastream.views.words import amount, duration, headline, number, phrase

__all__ = ["lines"]

_MARK = {"missing": "-", "added": "+", "changed": "~"}
_TITLED = ("plan", "steps")
_FIRST = 9
_LINES = 8
_BEFORE = 16


def lines(
    found: Sequence[Difference], left: RunState, right: RunState, aspects: Sequence[str], width: int
) -> Iterator[str]:
    """The comparison in lines of at most `width` columns, if that is 60 or more."""
    table = _Table(max(60, width))
    yield table.row("", "", "", _called(left), _called(right))
    for aspect in ASPECTS:
        if aspect not in aspects:
            continue
        mine = [each for each in found if each.aspect == aspect]
        if not mine:
            yield table.row(aspect, "=", "same", *(_count(aspect, state) for state in (left, right)))
        for at, each in enumerate(mine):
            yield from table.rows("" if at else aspect, each)
    yield from wrap(_sum(found), max(60, width))


def _called(state: RunState) -> str:
    run_id = phrase((state.started or {}).get("run_id"), 64)
    return f"{run_id} {called}" if (called := headline(state, run_id)) != run_id else run_id


class _Table:
    """Columns: the aspect, a mark, what it is about, the first run's, the second run's."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._side = (width - _FIRST - 4) * 3 // 10
        self._what = width - _FIRST - 4 - 2 * self._side - 2

    def row(self, aspect: str, mark: str, what: str, left: str, right: str) -> str:
        cells = (_fit(aspect, _FIRST), _fit(mark, 1), _fit(what, self._what), _fit(left, self._side))
        return f"{cells[0]} {cells[1]} {cells[2]} {cells[3]} {_fit(right, self._side).rstrip()}".rstrip()

    def rows(self, aspect: str, found: Difference) -> Iterator[str]:
        mark = _MARK[found.change]
        if found.aspect == "answer":
            lengths = (f"{amount(len(text or ''))} characters" for text in (found.left, found.right))
            yield self.row(aspect, mark, found.what, *lengths)
            yield from self._text(found.left or "", found.right or "")
        elif found.what == "order":
            yield self.row(aspect, mark, found.what, "", "")
            for place, titles in (("-", found.left), ("+", found.right)):
                yield self._long(place, ", ".join(phrase(title) for title in titles))
        else:
            yield self.row(
                aspect, mark, phrase(found.what), *(_cell(found, side) for side in (found.left, found.right))
            )
            titles = [phrase(side["title"]) for side in (found.left, found.right) if found.aspect in _TITLED and side]
            if len(set(titles)) > 1:
                yield self._long("-", titles[0])
                yield self._long("+", titles[1])

    def _long(self, mark: str, text: str) -> str:
        room = self._width - _FIRST - 4
        return f"{'':<{_FIRST}}   {mark} {_fit(text, room - 2).rstrip()}"

    def _text(self, left: str, right: str) -> Iterator[str]:
        """The lines of two texts that differ, each from a little before the place where it does."""
        told = islice(_changed(left.split("\n"), right.split("\n")), _LINES + 1)
        for shown, (old, new) in enumerate(told):
            if shown == _LINES:
                yield self._long(" ", "… and more")
                return
            start = max(0, (first_difference(old or "", new or "") or 0) - _BEFORE)
            if old is not None:
                yield self._long("-", _from(old, start))
            if new is not None:
                yield self._long("+", _from(new, start))


def _changed(left: list[str], right: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """Lines that stand for each other and differ; of those that one text alone has, None for the other."""
    for tag, a, b, c, d in SequenceMatcher(None, left, right, autojunk=len(left) > 500).get_opcodes():
        if tag != "equal":
            yield from zip_longest(_said(left[a:b]), _said(right[c:d]))


def _said(block: list[str]) -> list[str]:
    """The lines that say something; a block of empty ones as one."""
    return [line for line in block if line.strip()] or block[:1]


def _from(text: str, start: int) -> str:
    return "…" * bool(start) + one_line(text[start:], 1000)


def _cell(found: Difference, side: Any) -> str:
    """What one run has, in few words."""
    if side is None:
        return ""
    if found.aspect == "duration":
        return duration(side)
    if found.aspect == "cost":
        return f"${number(side) or 0:.4g}"
    if found.aspect == "usage":
        return amount(side)
    if found.aspect == "sources":
        return phrase(side.get("title") or side.get("url"))
    if isinstance(side, Mapping):
        return " · ".join(filter(None, map(_part, ("status", "outcome", "score", "duration"), (side,) * 4)))
    return phrase(side)


def _part(name: str, side: Mapping[str, Any]) -> str:
    value = side.get(name)
    return duration(value) if name == "duration" else phrase(value)


def _count(aspect: str, state: RunState) -> str:
    """What a run has of an aspect, in a word or two."""
    match aspect:
        case "status":
            return phrase(state.status)
        case "plan":
            return (
                f"{sum(entry['status'] == 'done' for entry in state.plan)}/{len(state.plan)}" if state.plan else "none"
            )
        case "steps":
            return _tally(step.status for step in state.steps.values() if step.kind != "plan")
        case "answer":
            return f"{amount(state.answer.length if state.answer else 0)} characters"
        case "sources":
            return str(len(state.sources))
        case "checks":
            return _tally(phrase(check.get("outcome"), 20) for check in state.checks if not by_durastream(check))
        case "usage":
            tokens = [value for name, value in state.usage.items() if name.endswith("put_tokens")]
            return f"{amount(sum(tokens))} tokens" if tokens else "unknown"
        case "cost":
            return f"${state.usage['cost_usd']:.4g}" if "cost_usd" in state.usage else "unknown"
        case _:
            return duration(state.t)


def _tally(words: Iterator[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).items()) or "none"


def _sum(found: Sequence[Difference]) -> str:
    if not found:
        return "the same"
    count = Counter(each.aspect for each in found)
    told = ", ".join(f"{aspect} {count[aspect]}" for aspect in ASPECTS if count[aspect])
    return f"{len(found)} difference{'s' * (len(found) != 1)}: {told}"


def _fit(text: str, width: int) -> str:
    """The text in exactly so many columns."""
    if text.isascii():
        return f"{text:<{width}}" if len(text) <= width else text[: width - 1] + "…"
    from rich.cells import cell_len, set_cell_size  # 13 ms to import, where there is something to cut

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
