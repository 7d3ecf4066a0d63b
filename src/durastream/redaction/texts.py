"""What the events of a batch say: of which texts they are pieces, and where these end."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from durastream.events import Deltas, Found, Pending, Src
from durastream.redaction.catalogue import Rules
from durastream.redaction.pieces import Mark, Pieces
from durastream.redaction.values import strings

__all__ = ["PIECES", "TORN", "Key", "Part", "Slot", "Text", "parted", "ways_of"]

PIECES = frozenset({"log.line", "reasoning.delta", "terminal.output", "text.delta"})
"""The types of events whose `text` goes on in the next of their kind."""

TORN = "raw.rejected"

_ENDS = frozenset({"run.declared", "text.completed", "text.retracted"})
_FIELDS = {"log.line": "stream", "terminal.output": ""}

Key = str | tuple[str, str]
"""A message, by its name; another text by the type of its pieces, and their stream."""

Part = tuple[Key, list[Pending], list[str], Pending | None, bool]
"""Pieces of one text that follow each other in a batch, what they say, the event that ends it, if one does, and whether
they are all of it. A plain tuple: there may be one for each line."""


class Slot(Mark):
    """One event in the line."""

    __slots__ = ("given", "pending", "sums", "whole")

    def __init__(self, pending: Pending) -> None:
        super().__init__()
        self.pending = pending
        self.sums: tuple[str, str] | None = None
        self.whole = False
        self.given = False
        """Whether it went out before it was decided."""


class Text:
    """One message, or what comes like one, with the hash of its text as it was and as it is stored."""

    def __init__(self, rules: Rules, key: Key) -> None:
        self.key = key
        self.type = "text.delta" if isinstance(key, str) else key[0]
        self.ways = ways_of(rules, key)
        self.slots: list[Slot] = []
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

    @property
    def sums(self) -> tuple[str, str] | None:
        """The hash of the text as it was, and as it is; None when nothing was taken out."""
        return None if self._is is None else (self._was.hexdigest(), self._is.hexdigest())

    def first(self, stream: str | None) -> Src | None:
        """Where the first piece of a stream that is undecided came from."""
        for slot in self.slots:  # mostly it is the first
            src = slot.pending.src
            if src is not None and (stream is None or stream == src.stream):
                return src
        return None

    @property
    def undecided(self) -> bool:
        return any(way.undecided for way in self.ways)


def ways_of(rules: Rules, key: Key) -> list[Pieces]:
    """How the pieces of a text are looked at: lines of a log as lines, and as pieces of one."""
    if not isinstance(key, str) and key[0] == "log.line":
        return [Pieces(rules, glue="\n"), Pieces(rules, split=True)]
    return [Pieces(rules)]


def parted(found: Iterable[Found], known: Callable[[Key], bool], *, apart: bool) -> tuple[list[str], list[Part]]:
    """What is to be looked at whole, as JSON; and what are pieces of texts, in the order in which these end.

    `known` says of which texts there was something before, or may be declared something yet. A text that is not among
    them and ends in here stands alone. Of what was found together there are the texts only. With `apart` the strings of
    what is looked at whole are there beside its JSON, which spells some of their characters otherwise.
    """
    changed: dict[Key, bool] = {}
    parts: list[Part] = []
    whole: list[str] = []
    open_: dict[Key, tuple[list[Pending], list[str]]] = {}
    last: list[Pending] = []
    texts: list[str] = []
    last_type = last_field = ""
    last_name: Any = None
    size = 0  # of data that holds the text and the name only
    key: Key
    for pending in found:  # the hot path
        if isinstance(pending, Deltas):
            key = pending.message_id
            if key not in open_:
                open_[key] = [], []
                whole.append(key)
            open_[key][1].extend(pending.texts)
            continue
        type_, data, json_, _ = pending
        if type_ == last_type and len(data) == size and data.get(last_field) == last_name:  # nine of ten
            last.append(pending)
            texts.append(data["text"])
        elif type_ in PIECES:
            last_type = type_
            last_field = _FIELDS.get(type_, "message_id")
            last_name = data.get(last_field)
            size = 1 if last_name is None else 2
            key = last_name if type_ == "text.delta" else (type_, last_name or "")
            both = open_.get(key)
            if both is None:
                open_[key] = last, texts = [pending], [data["text"]]
                whole.append(last_name or "")
            else:
                last, texts = both
                last.append(pending)
                texts.append(data["text"])
            if len(data) > size:
                whole.append(json_)
                whole += strings(data) if apart else ()
        else:
            whole.append(json_)
            whole += strings(data) if apart else ()
            if type_ in _ENDS:
                last_type = ""
                told: Any = data if type_ != "run.declared" else data.get("answer")
                key = str(told.get("message_id")) if type(told) is dict else ""
                both = open_.pop(key, None)
                if type_ == "run.declared":  # may be of a text that ended in here
                    last, texts = both or ([], [])
                    parts.append((key, last, texts, pending, False))
                    if both is not None:
                        changed[key] = True
                elif changed[key] if key in changed else known(key):
                    last, texts = both or ([], [])
                    parts.append((key, last, texts, pending, False))
                    changed[key] = False
                elif both is not None:
                    last, texts = both
                    parts.append((key, last, texts, pending, True))
            elif type_ == TORN and "base64" in data:
                whole.append(base64.b64decode(data["base64"]).decode("latin-1"))
    parts += [(key, last, texts, None, False) for key, (last, texts) in open_.items()]
    return whole, parts
