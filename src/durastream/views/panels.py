"""The sections of the screen, made from the state of a run: plan, steps, draft, sources, checks, errors, log, result.

Each function gives a Section, or None when the run has nothing of the kind. Nothing here reads a clock: what depends
on the time takes `now`, in seconds of the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from rich.style import Style
from rich.text import Text

from durastream.message import Message
from durastream.state import RunState
from durastream.views.draft import LIMIT, after_return, text_lines
from durastream.views.frame import Section, first, line, row, wrap
from durastream.views.plan import plan_section, steps_section
from durastream.views.words import (
    MARK,
    STYLE,
    amount,
    by_durastream,
    ending,
    finding,
    number,
    phrase,
    source,
    verdict,
    word,
)

__all__ = [
    "answer_of",
    "check_row",
    "sections_of_text",
    "sections_of_work",
    "source_row",
]

_LINK = re.compile(r"https?://[!-~]{1,2000}\Z")
"""What may become a link: an address of the web in plain ASCII, and so without anything that ends the sequence."""


def sections_of_work(state: RunState, now: float, seal: str = "") -> list[Section]:
    """What is done: result, approvals, plan, steps, checks, errors, files."""
    found = (
        _result(state, seal), _approvals(state), plan_section(state, now), steps_section(state, now),
        _checks(state), _errors(state), _files(state),
    )  # fmt: skip
    return [section for section in found if section is not None]


def sections_of_text(state: RunState, reasoning: str = "some", *, links: bool = False) -> list[Section]:
    """What is written: thoughts (some, all or none of them), draft, sources (links, if so), log."""
    found = (_thinking(state, reasoning), _draft(state), _sources(state, links), _log(state))
    return [section for section in found if section is not None]


def answer_of(state: RunState) -> Message | None:
    """The message that the answer packet names, else the draft as it stands."""
    packet = (state.completed or {}).get("answer")
    if isinstance(packet, dict):
        named = packet.get("message_id")
        if isinstance(named, str) and named in state.messages:
            return state.messages[named]
    return state.answer


def _result(state: RunState, seal: str) -> Section | None:
    packet = state.completed
    if packet is None:
        return None
    mark = MARK.get(word(packet.get("status")), "?")
    findings = packet.get("findings")
    found = [finding(item) for item in findings[:20]] if isinstance(findings, list) else []
    said = verdict(packet)

    def pick(width: int, room: int) -> list[Text]:
        lines = [row(mark, STYLE[mark], ending(packet), width)]
        if said is not None:
            lines.append(row(said[0], STYLE[said[0]], said[1], width))
        for text in found:
            lines += first(wrap(line(f"! {text}", "yellow"), width, 2), 3, width)
        if seal:
            lines += wrap(line(f"seal {phrase(seal)}", "dim"), width)
        return lines[:room]

    return Section("result", pick, least=3, weight=2, rank=0)


def _approvals(state: RunState) -> Section | None:
    waiting = [] if state.completed else [a for a in state.approvals.values() if not a.get("decision")]
    if not waiting:
        return None

    def pick(width: int, room: int) -> list[Text]:
        return [row("?", "bold yellow", phrase(each.get("title")), width) for each in waiting[-room:]]

    return Section("approve", pick, note="waiting", style="bold yellow", rank=1)


def _thinking(state: RunState, how: str) -> Section | None:
    length = state.reasoning.length
    if not length or (how == "some" and state.completed is not None):
        return None
    most = {"some": 2 if state.messages else 6, "all": 20, "none": 1}[how]

    def pick(width: int, room: int) -> list[Text]:
        if how == "none":
            return [line(f"{amount(length)} characters, folded", "dim")][:room]
        return text_lines(state.reasoning, width, min(room, most), style="dim italic", markup=False)

    return Section("thinking", pick, style="dim", least=4 if how == "all" else 1, rank=3 if how == "all" else 7)


def _draft(state: RunState) -> Section | None:
    message = answer_of(state)
    text = _packet_text(state)
    if message is None or (not message.length and text):
        if not text:
            return None
        message = Message("answer")
        message.append(text)
    note = f"{amount(message.length)} ch." if message.length else ""
    plain = message.message_id == "stdout"
    shown = message

    def pick(width: int, room: int) -> list[Text]:
        lines = text_lines(shown, width, room + 1, markup=not plain)
        cut = len(lines) > room or shown.length > LIMIT
        lines = lines[-room:]
        if cut and room > 3 and state.completed is not None:
            lines[0] = line(f"↑ this is the end of {amount(shown.length)} characters", "dim")
        if shown.retracted and room > 1:
            times = "once" if len(shown.retracted) == 1 else f"{len(shown.retracted)} times"
            why = f"rewritten {times}: {phrase(shown.retracted[-1])}"
            return [row("!", "yellow", why, width), *lines[-(room - 1) :]]
        return lines

    name = "answer" if state.completed is not None else "output" if plain else "draft"
    return Section(name, pick, note=note, least=4, weight=6, rank=3, most=500)


def _packet_text(state: RunState) -> str:
    packet = (state.completed or {}).get("answer")
    text = packet.get("text") if isinstance(packet, dict) else None
    return text if isinstance(text, str) else ""


def _sources(state: RunState, links: bool) -> Section | None:
    count = len(state.sources)
    if not count:
        return None

    def pick(width: int, room: int) -> list[Text]:
        last = list(islice(reversed(state.sources.values()), room))
        lines = []
        for index, data in zip(range(count - len(last) + 1, count + 1), reversed(last), strict=True):
            lines.append(source_row(index, data, width, links=links))
        return lines

    return Section("sources", pick, note=amount(count), rank=6)


def source_row(index: int, data: Mapping[str, Any], width: int, *, links: bool = False) -> Text:
    """A source on one line, with its number; with `links` a terminal that knows links has one there."""
    title, address = source(data)
    shown = row(f"{index:>2}", "cyan", title, width, detail=address)
    url = data.get("url")
    return _linked(shown.plain, url, width) if links and isinstance(url, str) and _LINK.match(url) else shown


@lru_cache(maxsize=256)
def _linked(plain: str, url: str, width: int) -> Text:
    shown = line(plain[:3], "cyan")
    shown.append(plain[3:], Style(link=url))
    return shown


def _checks(state: RunState) -> Section | None:
    checks = [check for check in state.checks if not by_durastream(check)]  # those are told by the verdict
    if not checks:
        return None
    passed = sum(1 for check in checks if check.get("outcome") == "pass")

    def pick(width: int, room: int) -> list[Text]:
        bad = [check for check in checks if check.get("outcome") != "pass"][-room:]
        good = [check for check in checks[-room:] if check.get("outcome") == "pass"]
        return [check_row(check, width) for check in (bad + good)[:room]]

    return Section("checks", pick, note=f"{passed}/{len(checks)}", rank=5)


def check_row(check: Mapping[str, Any], width: int) -> Text:
    """A quality check on one line."""
    mark = MARK.get(word(check.get("outcome")), "?")
    score = number(check.get("score"))
    name, detail = phrase(check.get("name"), 60), phrase(check.get("detail"))
    return row(mark, STYLE[mark], name, width, detail=detail, right="" if score is None else f"{score:.4g}")


def _errors(state: RunState) -> Section | None:
    if not state.errors:
        return None

    def pick(width: int, room: int) -> list[Text]:
        lines: list[Text] = []
        for error in reversed(state.errors[-room:]):
            said = phrase(error.get("message"), 400) or "an error without a message"
            lines = wrap(line(said, "red"), width)[: min(3, room - len(lines))] + lines
        return lines

    return Section("errors", pick, note=amount(len(state.errors)), style="red", rank=2)


def _files(state: RunState) -> Section | None:
    if not state.artifacts:
        return None
    signs = {"add": "+", "update": "~", "delete": "-"}

    def pick(width: int, room: int) -> list[Text]:
        last = state.artifacts[-room:]
        where = [
            (signs.get(word(each.get("action"), "add"), "+"), each.get("path") or each.get("url")) for each in last
        ]
        return [row(sign, "cyan", phrase(path), width) for sign, path in where]

    return Section("files", pick, note=amount(len(state.artifacts)), rank=8)


def _log(state: RunState) -> Section | None:
    if not state.log:
        return None

    def pick(width: int, room: int) -> list[Text]:
        last = reversed(list(islice(reversed(state.log), min(room, 8))))
        return [_log_line(text, width) for _, text in last]

    return Section("log", pick, style="dim", rank=6, most=8)


@lru_cache(maxsize=256)
def _log_line(text: str, width: int) -> Text:
    text = after_return(text).expandtabs(4)
    indent = " " * (len(text) - len(text.lstrip(" ")))  # a traceback is read by it
    shown = line(indent[: width // 2] + phrase(text, max(2 * width, 80)), "dim")
    shown.truncate(width, overflow="ellipsis")
    return shown
