"""What the keys of a view do. The same in live, attach and replay, as far as there is a player to tell.

`press` takes one key at a time and says whether the viewer wants to leave; what it changes is in `look`, and in the
player. The picture of the keys is made from the same table.
"""

from __future__ import annotations

from collections.abc import Callable

from durastream.events import Event
from durastream.player import Player
from durastream.views.look import Look
from durastream.views.progress import progress_of

__all__ = ["KEYS", "Controls"]

KEYS = (
    ("space", "stand still, go on"),
    ("← →", "5 seconds back, on"),
    ("[ ]", "the step before, the next"),
    (".", "one event on"),
    ("+ -", "faster, slower"),
    ("0 … 9", "to a tenth of the run"),
    ("home end", "to its start, its end"),
    ("f", "follow: to the end and stay there"),
    ("/ n", "search in text and steps, the next"),
    ("e", "the event that came last, as stored"),
    ("?", "these keys"),
    ("q d", "leave; the run goes on"),
)
"""Keys, and what they do, for people."""

_LEAVE = frozenset({"q", "d", "\x04"})
_LONGEST_SEARCH = 200


class Controls:
    """The keys of one view."""

    def __init__(self, player: Player | None) -> None:
        self.look = Look()
        self.changed = 0
        """Counts what was pressed, so that the next frame is known to be another."""
        self._player = player
        self._words = ""
        self._moves = _moves(player) if player is not None else {}

    def press(self, key: str) -> bool:
        """Do what a key asks for; returns whether it asks to leave."""
        self.changed += 1
        if self.look.prompt is not None:
            self._type(key)
            return key == "\x04"
        if key in _LEAVE:
            return True
        if key == "?":
            self.look.help = not self.look.help
        elif key == "esc":
            self.look.help, self.look.event = False, None
        elif (move := self._moves.get(key)) is not None:
            move()
        elif self._player is not None:
            self._ask(key, self._player)
        return False

    def _ask(self, key: str, player: Player) -> None:
        if key == "e":
            self.look.event = self._event() if self.look.event is None else None
        elif key == "/":
            self.look.prompt = ""
        elif key == "n" and self._words:
            player.search(self._words)

    def _event(self) -> Event | None:
        return self._player.event() if self._player is not None else None

    def _type(self, key: str) -> None:
        """One key of the words to search for."""
        typed = self.look.prompt or ""
        if key == "enter":
            self.look.prompt = None
            self._words = typed or self._words
            if self._words and self._player is not None:
                self._player.search(self._words)
        elif key == "esc" or (key == "backspace" and not typed):
            self.look.prompt = None
        elif key == "backspace":
            self.look.prompt = typed[:-1]
        elif len(key) == 1 and key.isprintable() and len(typed) < _LONGEST_SEARCH:
            self.look.prompt = typed + key

    def now(self) -> Look:
        """The look as it is now, with the place where the player stands."""
        if self._player is not None:
            self.look.progress = progress_of(self._player)
            if self.look.event is not None and self.look.event.seq != self._player.state.seq:
                self.look.event = self._player.event() or self.look.event
        return self.look


def _moves(player: Player) -> dict[str, Callable[[], None]]:
    moves: dict[str, Callable[[], None]] = {
        " ": player.toggle_pause,
        "left": lambda: player.skip(-5),
        "right": lambda: player.skip(5),
        "[": lambda: player.to_step(-1),
        "]": lambda: player.to_step(1),
        ".": player.one_event,
        "+": player.faster,
        "=": player.faster,
        "-": lambda: player.faster(-1),
        "home": player.to_start,
        "end": player.to_end,
        "f": player.follow,
    }
    for tenth in range(10):
        moves[str(tenth)] = lambda part=tenth / 10: player.to_part(part)  # type: ignore[misc]
    return moves
