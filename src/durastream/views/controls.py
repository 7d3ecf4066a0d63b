"""What the keys of a view do. The same in live, attach and replay, as far as there is a player to tell.

`press` takes one key at a time and says whether the viewer wants to leave; what it changes is in `look`, and in the
player. `views.overlay` has the list of them for people.
"""

from __future__ import annotations

from collections.abc import Callable

from durastream.events import Event
from durastream.player import Player
from durastream.state import RunState
from durastream.views.look import Look
from durastream.views.moves import moves
from durastream.views.progress import progress_of
from durastream.views.zoom import move, panels

__all__ = ["Controls"]

_LEAVE = frozenset({"q", "d", "\x04"})
_LONGEST_SEARCH = 200


class Controls:
    """The keys of one view."""

    def __init__(self, state: RunState, player: Player | None) -> None:
        self.look = Look()
        self.room = (80, 20)
        """The columns and lines that the last picture had for its body."""
        self.changed = 0
        """Counts what was pressed, so that the next frame is known to be another."""
        self._state = state
        self._player = player
        self._words = ""
        self._held = False
        self._moves = {**self._views(), **(moves(player) if player is not None else {})}

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
            self._zoom("")
        elif (move := self._moves.get(key)) is not None:
            move()
        elif self._player is not None:
            self._ask(key, self._player)
        return False

    def _views(self) -> dict[str, Callable[[], None]]:
        """The keys that change how one looks, and not at what."""

        def page() -> int:
            return max(1, self.room[1] - 2)

        return {
            "up": lambda: self._scroll(-1),
            "down": lambda: self._scroll(1),
            "pgup": lambda: self._scroll(-page()),
            "pgdn": lambda: self._scroll(page()),
            "tab": lambda: self._next_panel(1),
            "backtab": lambda: self._next_panel(-1),
            "l": lambda: self._zoom("" if self.look.panel == "log" else "log"),
            "r": self._fold_reasoning,
        }

    def _scroll(self, by: int) -> None:
        """Up and down in the panel that is shown; in the whole picture that is the draft."""
        look = self.look
        if not look.panel:
            if by > 0 or "draft" not in panels(self._state):
                return
            look.panel = "draft"
        followed = look.place is None
        look.place = move(self._state, look.panel, look.place, by, *self.room)
        if self._player is not None and followed != (look.place is None):
            if followed:  # who reads is not put out when the run ends
                self._held, self._player.held = self._player.held, True
            else:
                self._player.held = self._held
        if look.place is None and by > 0 and look.panel == "draft":
            look.panel = ""

    def _next_panel(self, by: int) -> None:
        names = ["", *panels(self._state)]
        place = names.index(self.look.panel) if self.look.panel in names else 0
        self._zoom(names[(place + by) % len(names)])

    def _zoom(self, panel: str) -> None:
        if self.look.place is not None and self._player is not None:
            self._player.held = self._held
        self.look.panel, self.look.place = panel, None

    def _fold_reasoning(self) -> None:
        self.look.reasoning = {"some": "all", "all": "none", "none": "some"}[self.look.reasoning]

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
            self.look.progress, self.look.flow = progress_of(self._player), self._player.flow
            if self.look.event is not None and self.look.event.seq != self._player.state.seq:
                self.look.event = self._player.event() or self.look.event
        return self.look
