"""The draft as it is written: the end of a text, laid out line by line.

Markdown is marked up lightly and in place instead of being rendered: every word that the agent wrote stays to be
seen (a renderer drops HTML and link targets), the end of a text needs no beginning, and a line costs the same
wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rich.text import Text

from durastream.message import Message
from durastream.views.frame import line, wrap

__all__ = ["LIMIT", "after_return", "is_fence", "laid_out", "tail", "text_lines"]

LIMIT = 24_000
"""The most characters of a text that are ever laid out."""

_ALIGN = 1024
_BULLET = re.compile(r"(\s*)([-*+]|\d{1,3}[.)]) +")
_HEADING = re.compile(r"#{1,6} +")
_FENCE = re.compile(r"\s*(```+|~~~+)\s*([^`]*)$")
_INLINE = re.compile(r"\*\*([^*`]+)\*\*|`([^`]+)`|(?<![\w*])\*([^\s*`](?:[^*`]{0,200}[^\s*`])?)\*(?![\w*])")
_STYLES = ("bold", "cyan", "italic")

_ROWS = 2048
"""How many lines are kept as they were laid out: all that fit on a large screen, several times."""


def tail(message: Message, count: int) -> str:
    """About the last `count` characters of a message, cut so that the cut stays where it is while the text grows."""
    length = message.length
    start = max(0, length - min(count, LIMIT)) // _ALIGN * _ALIGN
    text = message.end(length - start)
    if start:
        _, newline, rest = text[:_ALIGN].partition("\n")
        if newline:
            return rest + text[_ALIGN:]
    return text


def text_lines(message: Message, width: int, room: int, *, style: str = "", markup: bool = True) -> list[Text]:
    """The last `room` lines of a message as they fit the width; Markdown is marked up unless it is plain output."""
    if room <= 0 or width <= 0:
        return []
    text = tail(message, width * (room + 1)).replace("\r\n", "\n").rstrip()
    if not text:
        return []
    raw = text.expandtabs(4).split("\n")
    parts = _roles(raw) if markup else [("output", part) for part in raw]
    return _last_lines(parts, width, room, style)


def after_return(text: str) -> str:
    """What a terminal would show of a line that begins again with each carriage return, as progress bars do."""
    return text.rstrip("\r").rpartition("\r")[2]


def is_fence(part: str) -> bool:
    """Whether a line begins or ends a block of code."""
    return _FENCE.match(part) is not None


def laid_out(part: str, *, code: bool) -> tuple[Text, int]:
    """One line of Markdown as it is shown, and its hanging indent; `code` says whether it stands in a block of code."""
    if fence := _FENCE.match(part):
        return _lay("language", fence[2], "")
    return _lay("code" if code else "prose", part, "")


def _last_lines(parts: Sequence[tuple[str, str]], width: int, room: int, style: str) -> list[Text]:
    """Lay out from the end, and only as much as there is room for."""
    blocks: list[Sequence[Text]] = []
    for role, part in reversed(parts):
        if room <= 0:
            break
        blocks.append(_rows(role, part, style, width)[-room:])
        room -= len(blocks[-1])
    lines = [text for block in reversed(blocks) for text in block]
    while lines and not lines[0].plain.strip():
        del lines[0]
    return lines


@lru_cache(maxsize=_ROWS)
def _rows(role: str, part: str, style: str, width: int) -> tuple[Text, ...]:
    """A line as it is shown in rows of this width. It is laid out once, and nobody changes what comes out."""
    content, hang = _lay(role, part, style)
    return tuple(wrap(content, width, min(hang, width // 3)))


def _roles(raw: Sequence[str]) -> list[tuple[str, str]]:
    """What each line is. Fences become the role of what they hold; two blank lines become one."""
    roles: list[tuple[str, str]] = []
    code = _starts_in_code(raw)
    blank = True
    for part in raw:
        if fence := _FENCE.match(part):
            code = not code
            if fence[2]:
                roles.append(("language", fence[2]))
        elif code:
            roles.append(("code", part))
        elif part.strip() or not blank:
            roles.append(("prose", part))
        blank = not part.strip()
    return roles


def _starts_in_code(raw: Sequence[str]) -> bool:
    """Whether a cut-off beginning is code: then the first fence is bare and the next one names a language."""
    fences = [fence for part in raw if (fence := _FENCE.match(part))]
    return len(fences) > 1 and not fences[0][2] and bool(fences[1][2])


def _lay(role: str, part: str, style: str) -> tuple[Text, int]:
    """A line as written into a line as shown, and its hanging indent."""
    if role == "language":
        return line("  " + part, "dim italic"), 2
    if role == "code":
        return line("  " + part, "green"), 4
    return (line(after_return(part), style), 0) if role == "output" else _prose(part)


def _prose(part: str) -> tuple[Text, int]:
    if heading := _HEADING.match(part):
        return line(part[heading.end() :], "bold"), 0
    if part.startswith(">"):
        return line("▏" + part[1:], "dim"), 2
    if bullet := _BULLET.match(part):
        sign = bullet[2] if bullet[2][0].isdigit() else "•"
        text = line(f"{bullet[1]}{sign} ")
        hang = text.cell_len
        text.append_text(_inline(part[bullet.end() :]))
        return text, hang
    return _inline(part), 0


def _inline(part: str) -> Text:
    text = line()
    at = 0
    for match in _INLINE.finditer(part):
        text.append_text(line(part[at : match.start()]))
        place = next(place for place in (1, 2, 3) if match[place] is not None)
        text.append_text(line(match[place], _STYLES[place - 1]))
        at = match.end()
    text.append_text(line(part[at:]))
    return text
