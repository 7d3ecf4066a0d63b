"""The keys that move a player: the same on the screen of a run and on its terminal. No Rich in here."""

from __future__ import annotations

from collections.abc import Callable

from durastream.player import Player

__all__ = ["moves"]


def moves(player: Player) -> dict[str, Callable[[], None]]:
    """The keys that move a player, and what each does."""
    found: dict[str, Callable[[], None]] = {
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
        found[str(tenth)] = lambda part=tenth / 10: player.to_part(part)  # type: ignore[misc]
    return found
