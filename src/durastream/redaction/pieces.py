"""A text that comes in pieces, and secrets that are split over them.

What may be the beginning of a secret is undecided until it is seen how the text goes on. What a piece becomes is a
function of the text alone, whatever the size of its pieces: a recorder that goes on where another was killed finds
the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from durastream.redaction.catalogue import Rules, Span, mask

__all__ = ["Mark", "Pieces", "masked"]

_CONTEXT = 160  # characters kept of what is decided: what goes before a secret is not longer


class Mark:
    """What comes to be of one piece: the parts that are masked, and of how many texts it waits to be decided."""

    __slots__ = ("parts", "waits")

    def __init__(self) -> None:
        self.parts: list[tuple[int, int, str]] = []
        self.waits = 0


class _Open:
    """A piece that is not decided."""

    __slots__ = ("mark", "text")

    def __init__(self, mark: Mark, text: str) -> None:
        self.mark = mark
        self.text = text


class Pieces:
    """One text. With `glue` between its pieces; with `split` only secrets that are split over pieces are looked for."""

    def __init__(self, rules: Rules, *, glue: str = "", split: bool = False) -> None:
        self._rules = rules
        self._glue = glue
        self._split = split
        self._text = ""  # a part of what is decided, and what is open: not joined anew for each piece
        self._kept = 0  # how much of it is decided
        self._open: list[_Open] = []
        self.found: list[Span] = []
        """The secrets that were decided since this was last emptied; places mean nothing."""

    @property
    def undecided(self) -> bool:
        return bool(self._open)

    @property
    def weak(self) -> bool:
        """Whether so few characters fit that it is hardly the beginning of a secret."""
        return len(self._text) - self._rules.begun(self._text) < 4

    def clean(self, texts: Sequence[str]) -> int:
        """How many of these pieces hold no secret and no beginning of one, and what waits neither if there are any;
        those `passed` may take in."""
        text = self.joined(texts)
        if self._rules.suspects(text):
            return 0
        hold, end, count = self._rules.begun(text), len(text), len(texts)
        while count and end > hold:
            count -= 1
            end -= len(texts[count]) + len(self._glue)
        return count

    def passed(self, texts: Sequence[str]) -> None:
        """Take in pieces that are clean, with what waited."""
        last = texts[-1]
        self._text = (last if len(last) >= _CONTEXT else self.joined(texts))[-_CONTEXT:]
        self._kept = len(self._text)
        for piece in self._open:
            piece.mark.waits -= 1
        self._open.clear()

    def joined(self, texts: Sequence[str]) -> str:
        """Pieces as they are looked at, behind what they follow."""
        return self._glue.join((self._text, *texts))

    def take(self, pieces: Sequence[tuple[Mark, str]]) -> None:
        """Take pieces in. Their marks wait as long as they are not decided."""
        for mark, text in pieces:
            mark.waits += 1
            self._open.append(_Open(mark, text))
        self._text = self.joined([text for _, text in pieces])
        self._decide(self._rules.begun(self._text))

    def finish(self) -> None:
        """The text ends here: what looked like a beginning was none."""
        self._decide(len(self._text) + 1)
        self._text = ""
        self._kept = 0

    def let_go(self, instead: Mapping[int, Mark]) -> None:
        """Give out what is undecided as it is. What follows is still read as its continuation.

        `instead` are marks that go on waiting, by the identity of those that do so no more.
        """
        found = self._find(self._text)
        for piece, start in self._places():
            _note(piece.mark, found, start, len(piece.text))
            piece.mark.waits -= 1
            piece.mark = instead[id(piece.mark)]
            piece.mark.waits += 1

    def _places(self) -> list[tuple[_Open, int]]:
        places, at = [], self._kept
        for piece in self._open:
            at += len(self._glue)
            places.append((piece, at))
            at += len(piece.text)
        return places

    def _find(self, text: str) -> list[Span]:
        found = self._rules.find(text)
        if self._split:
            borders = [start for _, start in self._places()]
            found = [span for span in found if any(span.start < at < span.end for at in borders)]
            found = [span for span in found if span.kind not in ("password", "secret", "bearer", "auth")]
        return found

    def _decide(self, hold: int) -> None:
        """Mark the pieces that end before `hold`, or before a secret that goes on behind it."""
        if not self._open or self._kept + len(self._glue) + len(self._open[0].text) > hold:
            return
        text = self._text
        found = self._find(text)
        for span in found:
            if span.end > hold:
                hold = min(hold, span.start)
                break
        places = self._places()
        decided = [place for place in places if place[1] + len(place[0].text) <= hold]
        if not decided:
            return
        first = decided[0][1]
        end = decided[-1][1] + len(decided[-1][0].text)
        for piece, start in decided:
            _note(piece.mark, found, start, len(piece.text))
            piece.mark.waits -= 1
        self.found += [span for span in found if first < span.end <= end]
        self._open = self._open[len(decided) :]
        cut = next((span.start for span in found if span.start < end < span.end), end)  # the rest is known by its start
        start = max(0, cut - _CONTEXT)
        self._text = text[start:]
        self._kept = end - start


def _note(mark: Mark, found: list[Span], start: int, length: int) -> None:
    """What of the secrets stands in one piece, in places of the piece, each with its part of the mask."""
    for span in found:
        if span.start < start + length and span.end > start:
            low, high = max(span.start, start), min(span.end, start + length)
            part = mask(span.kind, span.end - span.start)[low - span.start : high - span.start]
            mark.parts.append((low - start, high - start, part))


def masked(text: str, parts: Sequence[tuple[int, int, str]]) -> str:
    """A text with some parts of it replaced by others of the same length."""
    for start, end, part in parts:
        text = text[:start] + part + text[end:]
    return text
