"""The events of one stream on their way into a recording: held back as long as a secret may have begun, in order."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from durastream.events import Aside, Deltas, Found, Pending, Src, dumps, expanded
from durastream.redaction.catalogue import SECRET_NAME, Rules, mask
from durastream.redaction.pieces import Mark, Pieces, masked

__all__ = ["Guard", "Patch", "clean"]

_PIECES = frozenset({"log.line", "reasoning.delta", "terminal.output", "text.delta"})
_ENDS = frozenset({"run.declared", "text.completed", "text.retracted"})
_TORN = "raw.rejected"
_FIELDS = {"log.line": "stream", "terminal.output": ""}
_MOST = 20_000
_FEW = 16
_GIVE_UP = 1 << 20
_LONG = 2.0
_SHORT = 0.1
_ASIDES = 64

_Key = tuple[str, str]


class Patch(NamedTuple):
    """What of the bytes that an event came from is replaced by what: the text as it was, and the parts of it."""

    src: Src
    text: str
    parts: list[tuple[int, int, str]]


class _Slot(Mark):
    """One event in the line."""

    __slots__ = ("given", "pending", "sums", "whole")

    def __init__(self, pending: Pending) -> None:
        super().__init__()
        self.pending = pending
        self.sums: tuple[str, str] | None = None
        self.whole = False
        self.given = False
        """Whether it went out before it was decided."""


class _Text:
    """One message, or what comes like one, with the hash of its text as it was and as it is stored."""

    def __init__(self, rules: Rules, key: _Key) -> None:
        self.key = key
        self.type = type_ = key[0]
        self.ways = [Pieces(rules, glue="\n" if type_ == "log.line" else "")]
        if type_ == "log.line":
            self.ways.append(Pieces(rules, split=True))
        self.slots: list[_Slot] = []
        self.restart()

    def restart(self) -> None:
        self._was = hashlib.sha256()
        self._is: Any = None

    def go_on(self, stored: Any) -> None:
        """Take the hash of what is stored for that of the text as it is, where the two may differ."""
        if self._is is not None or self.slots:
            self._is = stored

    def add(self, was: str, is_: str) -> None:
        if was != is_ and self._is is None:
            self._is = self._was.copy()
        if self.type == "text.delta":
            self._was.update(was.encode("utf-8", "replace"))
        if self._is is not None:
            self._is.update(is_.encode("utf-8", "replace"))

    def passed(self, pieces: Sequence[str]) -> None:
        """Take in pieces that are clean."""
        for way in self.ways:
            way.passed(pieces)
        if self.type == "text.delta":
            self.add(whole := "".join(pieces), whole)

    @property
    def sums(self) -> tuple[str, str] | None:
        """The hash of the text as it was, and as it is; None when nothing was taken out."""
        return None if self._is is None else (self._was.hexdigest(), self._is.hexdigest())

    @property
    def undecided(self) -> bool:
        return any(way.undecided for way in self.ways)


class _Part(NamedTuple):
    """Pieces of one text that follow each other in a batch, and the event that ends it, if one does."""

    text: _Text
    pieces: list[Pending]
    texts: list[str]
    end: Pending | None = None


class Guard:
    """Takes the events of one stream in, and gives them out in their order with secrets masked.

    `counts` is how many were masked, by kind. `patches` are what is to be done to the raw bytes for secrets that are
    split over events; whoever takes them empties the list.
    """

    def __init__(self, rules: Rules, counts: Counter[str]) -> None:
        self._rules = rules
        self._counts = counts
        self._texts: dict[_Key, _Text] = {}
        self._asides: dict[str, _Text] = {}
        self._queue: deque[_Slot] = deque()
        self._since: float | None = None
        self.patches: list[Patch] = []

    @property
    def holds(self) -> bool:
        """Whether an event waits."""
        return bool(self._queue)

    @property
    def undecided_at(self) -> int | None:
        """The first byte of the stream whose event is undecided; None when there is none."""
        return self.first_undecided()

    def first_undecided(self, stream: str | None = None) -> int | None:
        """The first byte of a stream whose event is undecided, where events of many come."""
        places = [
            slot.pending.src.offset
            for text in (*self._texts.values(), *self._asides.values())
            for slot in text.slots
            if slot.pending.src is not None and stream in (None, slot.pending.src.stream)
        ]
        return min(places, default=None)

    def sift(self, found: list[Found]) -> list[Found]:
        """As `take`, and what was found together stays so when there is nothing to be done about it."""
        out: list[Found] = []
        if self._queue or any(text.undecided for text in self._texts.values()):
            few, found = _cut(found, _FEW)  # what waits is mostly decided by the next few
            out += self.take(expanded(few))
        if self._clear(found):
            return out + found if out else found
        most, rest = _cut(found, -_FEW)  # mostly it is only the last that may be the beginning of a secret
        if most and self._clear(most):
            out += most
            found = rest
        return out + self.take(expanded(found))

    def _clear(self, found: Sequence[Found]) -> bool:
        """Take events in that nothing is to be done about, which is nearly always so; False when there may be."""
        if self._queue or any(text.undecided or text.slots for text in self._texts.values()):
            return False
        whole, parts = self._parts(found)
        ended: set[_Key] = set()
        for part in parts:
            text, _, texts, end = part
            if end is not None and text.sums is not None:
                return False
            ways = text.ways if text.key not in ended else _Text(self._rules, text.key).ways
            if end is not None and self._rules.joined:  # what only looks like a beginning is none
                whole += [way.joined(texts) for way in ways]
            elif texts and any(way.clean(texts) < len(texts) for way in ways):
                return False
            if end is not None:
                ended.add(text.key)
        if self._rules.suspects("\n".join(whole)):
            return False
        for part in parts:
            self._passed(*part)
        return True

    def overhear(self, asides: Sequence[Aside]) -> None:
        """Take in what no event shows as it comes: it delays none, and is masked in the raw bytes. To be called before
        the events of the same bytes are taken in."""
        if not asides:
            return
        self._give_up(self._asides, asides[0].src)
        named: dict[str, list[Aside]] = {}
        for aside in asides:
            named.setdefault(aside.name, []).append(aside)
        for name, some in named.items():
            text = self._asides.pop(name, None) or _Text(self._rules, ("", name))
            self._asides[name] = text  # the last of them
            texts = [aside.text for aside in some]
            (way,) = text.ways
            if clean := way.clean(texts):
                way.passed(texts[:clean])
            if clean == len(some):
                continue
            taken = [_Slot(Pending("", {"text": each.text}, "", each.src)) for each in some[clean:]]
            text.slots += taken
            way.take(list(zip(taken, texts[clean:], strict=True)))
            self._settle(text)
        while len(self._asides) > _ASIDES:
            self._finish(self._asides.pop(next(iter(self._asides))))

    def take(self, found: list[Pending]) -> list[Pending]:
        """Take events in; returns those that are decided."""
        if not found:
            return found
        self._give_up(self._texts, found[0].src)
        out: list[Pending] = []
        few = _FEW
        while len(found) > few and any(text.undecided for text in self._texts.values()):
            out += self._take_in(found[:few])  # what waits is mostly decided by the next few
            found = found[few:]
            few *= 4
        found = self._take_in(found)
        return out + found if out else found

    def _take_in(self, found: list[Pending]) -> list[Pending]:
        whole, parts = self._parts(found)
        suspect = bool(whole) and self._rules.suspects("\n".join(whole))
        left: list[_Part] = []
        behind: set[_Key] = set()
        for part in parts:  # what comes behind the rest of the same text waits for that
            rest = part if part.text.key in behind else self._pass(part)
            if rest is not None:
                left.append(rest)
                behind.add(part.text.key)
        if not (suspect or left or self._queue):
            return found
        clear = 0 if suspect or self._queue else _first(found, left)
        slots = {id(pending): _Slot(pending) for pending in (found[clear:] if clear else found)}
        if suspect:
            for slot in slots.values():
                slot.whole = slot.pending.type == _TORN or self._rules.suspects(slot.pending.json)
        for part in left:
            self._take(part, slots)
        self._queue += slots.values()
        out = self._release()
        while len(self._queue) > _MOST and self._rules.patient:  # the text that the first of them belongs to went
            self._finish(next(text for text in self._texts.values() if self._queue[0] in text.slots))  # on no further
            out += self._release()
        if len(self._queue) > _MOST:
            self._let_go()
            out += self._release()
        return found[:clear] + out

    def overdue(self, now: float) -> list[Pending] | None:
        """What waited too long to be decided: no view is to wait for it. None when nothing did."""
        if not self._queue:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        weak = all(way.weak for text in self._texts.values() for way in text.ways if way.undecided)
        if now - self._since < (_SHORT if weak else _LONG):
            return None
        return self.flush()

    def flush(self) -> list[Pending]:
        """Everything that waits, decided or not."""
        self._since = None
        self._let_go()
        return self._release()

    def forget(self, stored: Mapping[str, Any]) -> None:
        """Give out nothing of what waits: it is in the recording already. How it goes on is still to be seen.

        `stored` are hashes of the messages as they are stored, to go on with: whether a beginning went out before it
        was decided is not in the bytes.
        """
        if stored:
            self._let_go()
            for (type_, name), text in self._texts.items():
                if type_ == "text.delta" and name in stored:
                    text.go_on(stored[name])
        self._queue.clear()

    def close(self) -> list[Pending]:
        """Everything that waits: the stream ends here."""
        for text in (*self._texts.values(), *self._asides.values()):
            self._finish(text)
        return self._release()

    def _parts(self, found: Sequence[Found]) -> tuple[list[str], list[_Part]]:
        """The JSON of what is to be looked at whole; what are pieces of texts, and where texts end.

        Of what was found together there are the texts alone.
        """
        parts: list[_Part] = []
        whole: list[str] = []
        open_: dict[_Key, tuple[list[Pending], list[str]]] = {}
        last: list[Pending] = []
        texts: list[str] = []
        last_type = last_field = ""
        last_name: Any = None
        for pending in found:  # the hot path
            if isinstance(pending, Deltas):
                key = ("text.delta", pending.message_id)
                if key not in open_:
                    open_[key] = [], []
                    whole.append(key[1])
                open_[key][1].extend(pending.texts)
                continue
            type_, data, json_, _ = pending
            if type_ == last_type and len(data) == 2 and data.get(last_field) == last_name:  # nine of ten
                last.append(pending)
                texts.append(data["text"])
                continue
            if type_ in _PIECES:
                last_field = _FIELDS.get(type_, "message_id")
                last_name = data.get(last_field)
                key = (type_, last_name or "")
                if key not in open_:
                    open_[key] = [], []
                    whole.append(key[1])
                last_type, (last, texts) = type_, open_[key]
                last.append(pending)
                texts.append(data["text"])
                if len(data) > 2:
                    whole.append(json_)
                continue
            whole.append(json_)
            if type_ == _TORN and "base64" in data:
                whole.append(base64.b64decode(data["base64"]).decode("latin-1"))
            if type_ in _ENDS:
                last_type = ""
                told: Any = data if type_ != "run.declared" else data.get("answer")
                key = ("text.delta", str(told.get("message_id")) if type(told) is dict else "")
                if key in open_ or key in self._texts:
                    parts.append(_Part(self._text(key), *open_.pop(key, ([], [])), pending))
        parts += [_Part(self._text(key), *each) for key, each in open_.items()]
        return whole, parts

    def _text(self, key: _Key) -> _Text:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = _Text(self._rules, key)
        return text

    def _pass(self, part: _Part) -> _Part | None:
        """Take in the first of some pieces, about which there is nothing to be done. Returns the rest, if any."""
        text, pieces, texts, end = part
        self._texts[text.key] = text  # a text that ended before in the same batch begins anew
        if text.undecided or (end is not None and text.sums is not None):
            return part
        if pieces:
            count = min(way.clean(texts) for way in text.ways)
            if count < len(pieces):
                if count:
                    text.passed(texts[:count])
                return _Part(text, pieces[count:], texts[count:], end)
        self._passed(text, pieces, texts, end)
        return None

    def _passed(self, text: _Text, _: Sequence[Pending], texts: Sequence[str], end: Pending | None) -> None:
        """Take in pieces that are clean, and the end of their text."""
        self._texts[text.key] = text  # one that ended before in the same batch begins anew
        if texts:
            text.passed(texts)
        if end is not None:
            for way in text.ways:
                way.finish()
            if end.type != "run.declared":
                text.restart()
                del self._texts[text.key]

    def _take(self, part: _Part, slots: dict[int, _Slot]) -> None:
        text, pieces, texts, end = part
        taken = [slots[id(pending)] for pending in pieces]
        text.slots += taken
        for way in text.ways:
            way.take(list(zip(taken, texts, strict=True)))
        self._settle(text)
        if end is not None:
            self._finish(text)
            slot = slots[id(end)]
            slot.sums = text.sums
            if slot.sums is not None and end.src is not None and slot.sums[0] in end.json:
                self.patches.append(Patch(end.src, slot.sums[0], [(0, 64, slot.sums[1])]))
            if end.type == "text.retracted":
                text.restart()

    def _finish(self, text: _Text) -> None:
        for way in text.ways:
            way.finish()
        self._settle(text)

    def _give_up(self, texts: Mapping[Any, _Text], src: Src | None) -> None:
        """What did not go on for a mebibyte of the stream is no beginning: memory is finite."""
        for text in [*texts.values()]:
            first = text.slots[0].pending.src if text.slots else None
            if first is not None and src is not None and src.stream == first.stream:
                if src.offset - first.offset <= _GIVE_UP:
                    continue
                self._finish(text)

    def _let_go(self) -> None:
        """Give out everything; what is undecided still waits for the sake of the raw bytes, which nobody waits for."""
        for text in self._texts.values():
            if not text.undecided:
                continue
            instead = {}
            for slot in text.slots:
                instead[id(slot)] = _Slot(slot.pending)
                instead[id(slot)].given = True
            for way in text.ways:
                way.let_go(instead)
            self._settle(text, given=True)
            text.slots = [slot for slot in instead.values() if slot.waits]

    def _settle(self, text: _Text, *, given: bool = False) -> None:
        """Note what became of pieces that are decided, or `given` out undecided."""
        for way in text.ways:
            if text.type:  # else it is counted in the event that shows all of it
                self._counts.update(span.kind for span in way.found)
            way.found.clear()
        decided = 0
        for slot in text.slots:
            if slot.waits:
                break
            decided += 1
            was = slot.pending.data["text"]
            if not slot.given:
                text.add(was, masked(was, slot.parts))
            if slot.parts and slot.pending.src is not None and not given:
                self.patches.append(Patch(slot.pending.src, was, slot.parts))
        del text.slots[:decided]

    def _release(self) -> list[Pending]:
        out = []
        while self._queue and not self._queue[0].waits:
            out.append(self._done(self._queue.popleft()))
        if not self._queue:
            self._since = None
        return out

    def _done(self, slot: _Slot) -> Pending:
        pending = slot.pending
        if not (slot.parts or slot.whole or slot.sums):
            return pending
        data = dict(pending.data)
        text = data.get("text")
        if slot.whole:
            piece = pending.type in _PIECES
            apart = "text" if piece else "base64" if pending.type == _TORN else ""
            rest = {name: value for name, value in data.items() if name != apart}
            masks: list[tuple[str, list[tuple[int, int, str]]]] = []
            data |= clean(self._rules, rest, self._counts, masks=masks)
            if pending.src is not None:
                self.patches += [Patch(pending.src, text, parts) for text, parts in masks]
            if pending.type == _TORN and type(data.get("base64")) is str:
                data["base64"] = _clean_base64(self._rules, data["base64"], self._counts)
        if slot.parts and type(text) is str:
            data["text"] = masked(text, slot.parts)
        if slot.sums is not None:
            data = _corrected(data, slot.sums)
        return pending if data == pending.data else Pending(pending.type, data, dumps(data), pending.src)


def _cut(found: list[Found], at: int) -> tuple[list[Found], list[Found]]:
    """The first so many of what was found, or all but so many for a number below 0, and the rest.

    What was found together is cut where it is first, or last, and long.
    """
    edge = found[0 if at > 0 else -1] if found else None
    if not isinstance(edge, Deltas) or len(edge.texts) <= abs(at):
        return found[:at], found[at:]
    place = at % len(edge.texts)
    first, then = edge.part(0, place), edge.part(place, len(edge.texts))
    return ([first], [then, *found[1:]]) if at > 0 else ([*found[:-1], first], [then])


def _first(found: list[Pending], parts: list[_Part]) -> int:
    """The place of the first event of some parts."""
    wanted = {id(part.pieces[0] if part.pieces else part.end) for part in parts}
    at = len(found)
    while wanted:
        at -= 1
        wanted.discard(id(found[at]))
    return at


def _corrected(data: dict[str, Any], sums: tuple[str, str]) -> dict[str, Any]:
    """What is said of a text that is stored otherwise: its hash, if it was right, is that of what is stored."""
    if data.get("sha256") == sums[0]:
        return {**data, "sha256": sums[1]}
    answer = data.get("answer")
    if type(answer) is dict and answer.get("sha256") == sums[0]:
        return {**data, "answer": {**answer, "sha256": sums[1]}}
    return data


def _clean_base64(rules: Rules, text: str, counts: Counter[str]) -> str:
    data = base64.b64decode(text)
    return base64.b64encode(clean(rules, data.decode("latin-1"), counts).encode("latin-1")).decode()


def clean(
    rules: Rules,
    value: Any,
    counts: Counter[str],
    name: str = "",
    masks: list[tuple[str, list[tuple[int, int, str]]]] | None = None,
) -> Any:
    """A value of JSON without secrets, those in the names of its fields included.

    What a field with the name of a secret holds is looked at as if it were assigned. `masks` takes each text in which
    something was masked, and the parts of it.
    """
    if type(value) is str:
        before = f'{name}="' if name and SECRET_NAME.search(name) else ""
        found = rules.find(before + value)
        counts.update(span.kind for span in found)
        at = len(before)
        whole = [
            (max(0, s.start - at), s.end - at, mask(s.kind, s.end - max(s.start, at))) for s in found if s.end > at
        ]
        if whole and masks is not None:
            masks.append((value, whole))
        return masked(value, whole)
    if type(value) is list:
        return [clean(rules, each, counts, masks=masks) for each in value]
    if type(value) is dict:
        made = {
            clean(rules, key, counts, masks=masks): clean(rules, each, counts, key, masks)
            for key, each in value.items()
        }
        text, said = value.get("text"), value.get("sha256")
        if (
            type(text) is str
            and made["text"] != text
            and said == hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        ):
            made["sha256"] = hashlib.sha256(made["text"].encode("utf-8", "replace")).hexdigest()
        return made
    return value
