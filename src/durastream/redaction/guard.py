"""The events of one stream on their way into a recording: held back as long as a secret may have begun, in order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from durastream.events import Aside, Deltas, Found, Pending, Src, dumps, expanded
from durastream.redaction.catalogue import Rules
from durastream.redaction.pieces import masked
from durastream.redaction.texts import PIECES, TORN, Key, Part, Slot, Text, parted, ways_of
from durastream.redaction.values import clean, clean_base64, corrected, strings

__all__ = ["Guard", "Patch"]

_MOST = 20_000
_FEW = 16
_GIVE_UP = 1 << 20
_LONG = 2.0
_SHORT = 0.1
_ASIDES = 64
_TOLD = 1000


class Patch(NamedTuple):
    """What of the bytes that an event came from is replaced by what: the text as it was, and the parts of it."""

    src: Src
    text: str
    parts: list[tuple[int, int, str]]


class Guard:
    """Takes the events of one stream in, and gives them out in their order with secrets masked.

    `counts` is how many were masked, by kind. `patches` are what is to be done to the raw bytes for secrets that are
    split over events; whoever takes them empties the list.
    """

    def __init__(self, rules: Rules, counts: Counter[str]) -> None:
        self._rules = rules
        self._counts = counts
        self._texts: dict[Key, Text] = {}
        self._open: dict[Key, Text] = {}
        """Those of `_texts` that are undecided: there may be many others, which cost a batch nothing."""
        self._asides: dict[str, Text] = {}
        self._told: dict[Key, tuple[str, str]] = {}
        self._queue: deque[Slot | list[Pending]] = deque()
        self._held = self._queued = 0
        self._came: deque[tuple[int, float]] = deque()
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
        firsts = [text.first(stream) for text in (*self._open.values(), *self._asides.values())]
        return min([src.offset for src in firsts if src is not None], default=None)

    def sift(self, found: list[Found]) -> list[Found]:
        """As `take`, and what was found together stays so when there is nothing to be done about it."""
        if Deltas not in map(type, found):
            return cast("list[Found]", self.take(cast("list[Pending]", found)))
        out: list[Found] = []
        if self._waits:
            few, found = _cut(found, _FEW)  # what waits is mostly decided by the next few
            out += self.take(expanded(few))
        if self._clear(found):
            return out + found
        most, rest = _cut(found, -_FEW)  # mostly it is only the last that may be the beginning of a secret
        if most and self._clear(most):
            out += most
            found = rest
        return out + self.take(expanded(found))

    @property
    def _waits(self) -> bool:
        return bool(self._queue or self._open)

    def _clear(self, found: Sequence[Found]) -> bool:
        """As `_all_clear` for events of which some were found together; False also while something waits."""
        return not self._waits and self._all_clear(*parted(found, self._knows, apart=not self._rules.joined))

    def _knows(self, key: Key) -> bool:
        """Whether a text began before, or something may be declared of it yet."""
        return key in self._texts or key in self._told

    def _all_clear(self, whole: Sequence[str], parts: Sequence[Part]) -> bool:
        """Take a batch in of which nothing is a secret or may be the beginning of one; False, and nothing done, if
        something may."""
        joined = self._rules.joined  # else each text is looked at by itself
        look = [*whole]
        ended: set[Key] = set()
        for key, _, texts, end, alone in parts:
            if alone and joined:
                look.append("".join(texts))
                continue
            text = None if key in ended else self._texts.get(key)
            ways = text.ways if text is not None else ways_of(self._rules, key)
            if end is not None:
                if key in self._told or (text is not None and text.sums is not None):
                    return False
                ended.add(key)
                if joined:  # what only looks like a beginning is none
                    look += [way.joined(texts) for way in ways]
                    continue
            if texts and any(way.clean(texts) < len(texts) for way in ways):
                return False
        if self._rules.suspects_any(look):
            return False
        for part in parts:
            if not part[4]:
                self._passed(part)
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
            text = self._asides.pop(name, None) or Text(self._rules, ("", name))
            self._asides[name] = text  # the last of them
            texts = [aside.text for aside in some]
            (way,) = text.ways
            if clean := way.clean(texts):
                self._pass_on(text, texts[:clean])
            if clean == len(some):
                continue
            taken = [Slot(Pending("", {"text": each.text}, "", each.src)) for each in some[clean:]]
            text.slots += taken
            way.take(list(zip(taken, texts[clean:], strict=True)))
            self._settle(text)
        while len(self._asides) > _ASIDES:
            self._finish(self._asides.pop(next(iter(self._asides))))

    def take(self, found: list[Pending]) -> list[Pending]:
        """Take events in; returns those that are decided."""
        if not found:
            return found
        self._give_up(self._open, found[0].src)
        whole, parts = parted(found, self._knows, apart=not self._rules.joined)
        if not self._waits and self._all_clear(whole, parts):
            return found
        suspect = self._rules.suspects_any(whole)
        if self._rules.joined and not self._rules.suspects("\n".join(["".join(each[2]) for each in parts if each[4]])):
            parts = [part for part in parts if not part[4]]
        out: list[Pending] = []
        left: list[Part] = []
        behind: set[Key] = set()
        for part in parts:  # what comes behind the rest of the same text waits for that
            rest = part if part[0] in behind else self._pass(part)
            if rest is not None:
                left.append(rest)
                behind.add(part[0])
        if self._queue:
            out = self._release()
        if not (suspect or left or self._queue):
            return out + found if out else found
        clear = 0 if suspect else _first(found, left)
        slots = {id(pending): Slot(pending) for pending in (found[clear:] if clear else found)}
        if suspect:
            for slot in slots.values():
                slot.whole = slot.pending.type == TORN or self._suspects(slot.pending)
        for part in left:
            self._take(part, slots)
        if clear:
            self._queue.append(found[:clear])
        self._queue += slots.values()
        self._held += len(found)
        self._queued += len(found)
        out += self._release()
        while self._held > _MOST and self._rules.patient:  # the text that the first of them belongs to went no further
            self._finish(next(text for text in self._open.values() if self._queue[0] in text.slots))
            out += self._release()
        if self._held > _MOST:
            self._let_go()
            out += self._release()
        return out

    def overdue(self, now: float) -> list[Pending] | None:
        """What waited too long to be decided: no view is to wait for it. None when nothing did."""
        if not self._queue:
            self._came.clear()
            return None
        gone = self._queued - self._held
        while self._came and self._came[0][0] <= gone:
            self._came.popleft()
        if not self._came or self._came[-1][0] < self._queued:
            self._came.append((self._queued, now))
        waited = now - self._came[0][1]
        if waited < _SHORT or (waited < _LONG and not self._weak):
            return None
        return self.flush()

    @property
    def _weak(self) -> bool:
        return all(way.weak for text in self._open.values() for way in text.ways if way.undecided)

    def flush(self) -> list[Pending]:
        """Everything that waits, decided or not."""
        self._came.clear()
        self._let_go()
        return self._release()

    def forget(self, stored: Mapping[str, Any]) -> None:
        """Give out nothing of what waits: it is in the recording already. How it goes on is still to be seen.

        `stored` are hashes of the messages as they are stored, to go on with: whether a beginning went out before it
        was decided is not in the bytes.
        """
        if stored:
            self._let_go()
            for key, text in self._texts.items():
                if isinstance(key, str) and key in stored:
                    text.go_on(stored[key])
            for key, (was, _) in self._told.items():
                if isinstance(key, str) and key in stored:
                    self._told[key] = was, stored[key].hexdigest()
        self._queue.clear()
        self._held = 0

    def close(self) -> list[Pending]:
        """Everything that waits: the stream ends here."""
        for text in (*self._texts.values(), *self._asides.values()):
            self._finish(text)
        return self._release()

    def _suspects(self, pending: Pending) -> bool:
        if self._rules.joined:
            return self._rules.suspects(pending.json)
        return self._rules.suspects_any([pending.json, *strings(pending.data)])

    def _text(self, key: Key) -> Text:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = Text(self._rules, key)
        return text

    def _pass(self, part: Part) -> Part | None:
        """Take in the first of some pieces, about which there is nothing to be done. Returns the rest, if any."""
        key, pieces, texts, end, _ = part
        text = self._texts.get(key)
        if end is not None and (key in self._told or (text is not None and text.sums is not None)):
            return part
        if text is not None and text.undecided and not texts:
            return part
        if texts:
            ways = text.ways if text is not None else ways_of(self._rules, key)
            count = min(way.clean(texts) for way in ways)
            if count < len(texts):
                if count:
                    self._pass_on(self._text(key), texts[:count])
                return key, pieces[count:], texts[count:], end, False
        self._passed(part)
        return None

    def _passed(self, part: Part) -> None:
        """Take in pieces that are clean, and the end of their text."""
        key, _, texts, end, _ = part
        whole = end is not None and end.type != "run.declared"
        text = self._texts.get(key)
        if texts and (not whole or (text is not None and text.slots)):
            self._pass_on(self._text(key), texts)
        if whole:
            self._texts.pop(key, None)
        elif end is not None and key in self._texts:
            for way in self._texts[key].ways:
                way.finish()

    def _pass_on(self, text: Text, pieces: Sequence[str]) -> None:
        """Take in pieces that are clean, with what waited for how it goes on."""
        for way in text.ways:
            way.passed(pieces)
        if text.slots:
            self._settle(text)
        if text.type == "text.delta":
            text.add(whole := "".join(pieces), whole)

    def _take(self, part: Part, slots: dict[int, Slot]) -> None:
        key, pieces, texts, end, _ = part
        text = self._text(key) if pieces else self._texts.get(key)
        if text is not None:
            taken = [slots[id(pending)] for pending in pieces]
            text.slots += taken
            for way in text.ways:
                way.take(list(zip(taken, texts, strict=True)))
            self._settle(text)
        if end is None:
            return
        if text is not None:
            self._finish(text)
            if end.type != "run.declared":
                del self._texts[key]
                self._tell(key, text.sums if end.type == "text.completed" else None)
        slots[id(end)].sums = sums = (text.sums if text is not None else None) or self._told.get(key)
        if sums is not None and end.src is not None and sums[0] in end.json:
            self.patches.append(Patch(end.src, sums[0], [(0, 64, sums[1])]))

    def _tell(self, key: Key, sums: tuple[str, str] | None) -> None:
        """Keep the hashes of a message that is whole, for what is declared of it at the end of the run."""
        self._told.pop(key, None)
        if sums is not None:
            self._told[key] = sums
            if len(self._told) > _TOLD:
                del self._told[next(iter(self._told))]

    def _finish(self, text: Text) -> None:
        for way in text.ways:
            way.finish()
        self._settle(text)

    def _give_up(self, texts: Mapping[Any, Text], src: Src | None) -> None:
        """What did not go on for a mebibyte of the stream is no beginning: memory is finite."""
        for text in [*texts.values()]:
            first = text.slots[0].pending.src if text.slots else None
            if first is not None and src is not None and src.stream == first.stream:
                if src.offset - first.offset <= _GIVE_UP:
                    continue
                self._finish(text)

    def _let_go(self) -> None:
        """Give out everything; what is undecided still waits for the sake of the raw bytes, which nobody waits for."""
        for text in [*self._open.values()]:
            instead = {}
            for slot in text.slots:
                instead[id(slot)] = Slot(slot.pending)
                instead[id(slot)].given = True
            for way in text.ways:
                way.let_go(instead)
            self._settle(text, given=True)
            text.slots = [slot for slot in instead.values() if slot.waits]
            self._mark_open(text)

    def _settle(self, text: Text, *, given: bool = False) -> None:
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
        self._mark_open(text)

    def _mark_open(self, text: Text) -> None:
        if text.slots and text.type:
            self._open[text.key] = text
        else:
            self._open.pop(text.key, None)

    def _release(self) -> list[Pending]:
        out: list[Pending] = []
        while self._queue:
            first = self._queue[0]
            if isinstance(first, list):
                out += first
            elif first.waits:
                break
            else:
                out.append(self._done(first))
            self._queue.popleft()
        self._held -= len(out)
        return out

    def _done(self, slot: Slot) -> Pending:
        pending = slot.pending
        if not (slot.parts or slot.whole or slot.sums):
            return pending
        data = dict(pending.data)
        text = data.get("text")
        if slot.whole:
            piece = pending.type in PIECES
            apart = "text" if piece else "base64" if pending.type == TORN else ""
            kept = {name: data[name] for name in data.keys() & {apart}}  # masked by itself
            masks: list[tuple[str, list[tuple[int, int, str]]]] = []
            data = clean(self._rules, {**data, **dict.fromkeys(kept)}, self._counts, masks=masks) | kept
            if pending.src is not None:
                self.patches += [Patch(pending.src, text, parts) for text, parts in masks]
            if pending.type == TORN and type(data.get("base64")) is str:
                data["base64"] = clean_base64(self._rules, data["base64"], self._counts)
        if slot.parts and type(text) is str:
            data["text"] = masked(text, slot.parts)
        if slot.sums is not None:
            data = corrected(data, slot.sums)
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


def _first(found: list[Pending], parts: list[Part]) -> int:
    """The place of the first event of some parts; behind all of them without a part."""
    wanted = {id(pieces[0] if pieces else end) for _, pieces, _, end, _ in parts}
    at = len(found)
    while wanted:
        at -= 1
        wanted.discard(id(found[at]))
    return at
