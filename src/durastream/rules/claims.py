"""What an answer claims to rest on: the links and the [n] in it, and whether a viewer had seen those sources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from durastream.events import Event
from durastream.message import Message
from durastream.rules.course import Course
from durastream.rules.finding import Finding, Place, counted
from durastream.state import RunState

__all__ = ["Claim", "claims", "late", "missing", "places"]

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.S)
_LINK = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]]+")
_CITED = re.compile(r"(?<![\w\])!\\])\[(\d{1,3})\](?![(:])")
_LISTED = re.compile(r"^\s*\[(\d{1,3})\]:?\s", re.M)
_SHOWN = 5


class Claim(NamedTuple):
    """A link, or a number in brackets, at a character of the answer."""

    at: int
    words: str
    link: bool


def claims(text: str) -> list[Claim]:
    """Everything that a text cites, outside of code. A number that the text itself lists is no claim of its own."""
    text = _CODE.sub(lambda code: " " * len(code[0]), text)
    listed = {match[1] for match in _LISTED.finditer(text)}
    found = [Claim(match.start(), _trimmed(match[0]), link=True) for match in _LINK.finditer(text)]
    found += [Claim(m.start(), m[1], link=False) for m in _CITED.finditer(text) if m[1] not in listed]
    return sorted(found)


def _trimmed(link: str) -> str:
    """A link without the punctuation of the sentence around it."""
    link = link.rstrip(".,;:!?*_")
    while link.endswith(")") and link.count("(") < link.count(")"):
        link = link[:-1].rstrip(".,;:!?*_")
    return link


def _same(url: str) -> str:
    """What is equal in two ways to write the same address."""
    return url.partition("#")[0].rstrip("/").partition("://")[2].removeprefix("www.").lower()


def cited(state: RunState) -> tuple[Message, list[Claim]] | None:
    """The answer and its claims. A command that only prints is no agent, and what it prints claims nothing."""
    answer = state.answer
    if answer is None or (answer.message_id == "stdout" and not state.sources):
        return None
    text = answer.short()
    return None if not text else (answer, claims(text))


def _sources(state: RunState) -> Mapping[str, dict[str, Any]]:
    """The sources by address, by id, and by their place in the order in which they came."""
    known: dict[str, dict[str, Any]] = {}
    for place, (source_id, data) in enumerate(state.sources.items(), start=1):
        known.setdefault(str(place), data)
        known.setdefault(source_id, data)
        if isinstance(data.get("url"), str):
            known.setdefault(_same(data["url"]), data)
    return known


def missing(state: RunState) -> list[Finding]:
    """Claims without a source, each once."""
    told = cited(state)
    if told is None:
        return []
    answer, found = told
    known = _sources(state)
    numbered = not state.sources  # an answer with [1] in it and no source at all may mean anything by it
    out: list[Finding] = []
    seen: set[str] = set()
    for claim in found:
        key = _same(claim.words) if claim.link else claim.words
        if key in known or key in seen or (numbered and not claim.link):
            continue
        seen.add(key)
        place = Place(answer.message_id, claim.at)
        if claim.link:
            out.append(
                Finding("source-missing", f"the answer links {claim.words}, and no source was added", None, place)
            )
        else:
            count = counted(len(state.sources), "source")
            out.append(Finding("citation-unknown", f"the answer cites [{claim.words}], of {count}", None, place))
    only = [data for data in state.sources.values() if data.get("origin") == "text"]
    if only:
        named = ", ".join(str(data.get("url") or data.get("title")) for data in only[:_SHOWN])
        what = f"{len(only)} sources of the answer were" if len(only) > 1 else "1 source of the answer was"
        out.append(Finding("source-unseen", f"{what} seen nowhere else: {named}"))
    return out


def wanted(state: RunState) -> list[Place]:
    """The places of the answer whose events `late` wants to know."""
    told = cited(state)
    if told is None or not state.sources:
        return []
    answer, found = told
    known = _sources(state)
    keys = ((claim.at, _same(claim.words) if claim.link else claim.words) for claim in found)
    return [Place(answer.message_id, at) for at, key in keys if key in known and known[key].get("origin") != "text"]


def late(state: RunState, course: Course, written: Mapping[Place, int]) -> list[Finding]:
    """Sources that were added after the words that cite them, by the events that wrote those words."""
    told = cited(state)
    if told is None:
        return []
    answer, found = told
    known = _sources(state)
    out: dict[str, Finding] = {}
    for claim in found:
        data = known.get(_same(claim.words) if claim.link else claim.words)
        seq = written.get(Place(answer.message_id, claim.at))
        source_id = str((data or {}).get("source_id"))
        added = course.sources.get(source_id)
        by_words = data is None or data.get("origin") != "native"
        if not by_words:
            seq = course.completed.get(answer.message_id)  # formats send a citation right behind the words it is of
        if seq is None or added is None or added <= seq or source_id in out:
            continue
        what = f"source {source_id} was added after event {seq}, which {'cites it' if by_words else 'ends the answer'}"
        out[source_id] = Finding("source-late", what, added)
    return list(out.values())


def places(batches: Iterable[Sequence[Event]], asked: Iterable[Place]) -> dict[Place, int]:
    """The events that wrote these characters, found by reading the log once more."""
    by_message: dict[str, list[Place]] = {}
    for place in set(asked):
        by_message.setdefault(place.message_id, []).append(place)
    found: dict[Place, int] = {}
    lengths = dict.fromkeys(by_message, 0)
    last = dict.fromkeys(by_message, 0)
    for batch in batches:
        for event in batch:
            if event.type not in ("text.delta", "text.retracted") or not isinstance(event.data, dict):
                continue
            message_id = event.data.get("message_id")
            if not isinstance(message_id, str) or message_id not in by_message:
                continue
            if event.type == "text.retracted":
                lengths[message_id] = 0
                for place in by_message[message_id]:
                    found.pop(place, None)
                continue
            text = event.data.get("text")
            if not isinstance(text, str):
                continue
            start = lengths[message_id]
            lengths[message_id] = start + len(text)
            last[message_id] = event.seq
            for place in by_message[message_id]:
                if place not in found and _holds(place, text, start):
                    found[place] = event.seq
    for message_id, asked_here in by_message.items():
        for place in asked_here:
            if last[message_id]:
                found.setdefault(place, last[message_id])  # it is behind the end of what was streamed
    return found


def _holds(place: Place, text: str, start: int) -> bool:
    if place.declared is not None:
        return place.declared[start : start + len(text)] != text
    return place.at is not None and start <= place.at < start + len(text)
