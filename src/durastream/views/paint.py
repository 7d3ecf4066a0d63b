"""The painter of a screen: it remembers what stands there, and writes the rows that have become others.

Rich says how a style is written; what Rich would do beyond that (measure, crop and pad the whole screen for each frame)
was two thirds of what a frame cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console
from rich.text import Text

__all__ = ["Painter"]


class Painter:
    """The alternate screen of a console, as a context manager over `screen()`."""

    def __init__(self, console: Console) -> None:
        self.gone = False
        """Whether the terminal went away."""
        self._console = console
        self._colours: ColorSystem | None = COLOR_SYSTEMS.get(console.color_system or "")
        self._size = (0, 0)
        self._shown: list[Text] = []

    @contextmanager
    def screen(self) -> Iterator[None]:
        """Have the alternate screen, and put back the other one at the end, whatever happens."""
        try:
            self.take()
            yield
        finally:
            self.give_back()

    def take(self) -> None:
        """Turn to the alternate screen, or to it again; the next frame is painted whole."""
        self._shown = []
        with self._writing():
            self._console.set_alt_screen(True)
            self._console.show_cursor(False)

    def give_back(self) -> None:
        """Turn to the screen that was there before."""
        with self._writing():
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def forget(self) -> None:
        """Paint the next frame whole: somebody else may have written on the screen."""
        self._shown = []

    def paint(self, lines: Sequence[Text], size: tuple[int, int]) -> None:
        """Show these lines from the top of a screen of that size, which they do not exceed."""
        parts: list[str] = []
        if size != self._size or not self._shown:
            self._size, self._shown = size, []
            parts.append("\x1b[0m\x1b[H\x1b[2J")
        for number, text in enumerate(lines):
            before = self._shown[number] if number < len(self._shown) else None
            if text is before or (before is not None and text == before and text.style == before.style):
                continue
            rest = "\x1b[K" if text.cell_len < size[0] else ""
            parts.append(f"\x1b[{number + 1};1H{self._encoded(text)}{rest}")
        self._shown = list(lines)
        if parts:
            with self._writing():
                self._console.file.write("".join(parts))
                self._console.file.flush()

    def _encoded(self, text: Text) -> str:
        parts = []
        for piece, style, _ in text.render(self._console):
            if style and self._console.no_color:
                style = style.without_color
            parts.append(style.render(piece, color_system=self._colours) if style else piece)
        return "".join(parts)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self.gone = True
            with suppress(OSError, ValueError):  # what is still in its buffer would be written again at the end
                self._console.file.flush()
