"""The one output boundary: text from a recording, with every character that could act on a terminal made visible.

C0 controls and DEL become control pictures (`␛`), the others their code point (`<U+202E>`). What comes out can be
printed, and is the same when it goes through again.
"""

from __future__ import annotations

import re
import unicodedata

from durastream.events import ACTIVE, escape_terminal

__all__ = ["MARKS", "json_line", "one_line", "visible"]

MARKS = 8
"""How many combining marks one character may carry; more of them paint over the neighbouring lines."""

_BEYOND_C0 = ACTIVE + "\ud800-\udfff"
_ACTIVE = re.compile(f"[\x00-\x08\x0b-\x1f{_BEYOND_C0}]")
_ACTIVE_OR_SPACE = re.compile(f"[\x00-\x1f{_BEYOND_C0}]")

# After a symbol, these two only choose between its picture and its plain form. Agents write them all the time.
_EMOJI_STYLE = re.compile("([\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u2bff\U0001f000-\U0001faff])[\ufe0e\ufe0f]")

# Runs that may hold that many marks: every mark is in one of these ranges, most letters of the world are not.
_MAYBE_STACKED = re.compile(
    "[\u0300-\u2fff\u302a-\u302f\u3099\u309a\ua66f-\uabff\ud7b0-\ud7fb\ufb1e\ufe20-\ufe2f\U000101fd-\U0001e94a]"
    f"{{{MARKS + 1},}}"
)

_BLANKS = dict.fromkeys(range(0x20), " ")


def visible(text: str, *, keep: str = "\n\t") -> str:
    """The text with nothing in it that acts on a terminal.

    A newline or tab stays if `keep` has it. `\\r\\n` is a newline; a carriage return on its own is shown as `␍`.
    """
    if text.isascii() and text.isprintable():
        return text
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    if not text.isascii():
        text = _EMOJI_STYLE.sub(r"\1", text)
        text = _MAYBE_STACKED.sub(_unstack, text)
    if keep == "\n\t":
        return _ACTIVE.sub(_picture, text)
    return _ACTIVE_OR_SPACE.sub(
        lambda match: match[0] if match[0] in "\n\t" and match[0] in keep else _picture(match), text
    )


def one_line(text: str, limit: int = 200) -> str:
    """The text as one line of at most `limit` characters, safe to print: newlines as `⏎`, cut with `…`.

    Looks at no more of the text than it can show.
    """
    head = text[: limit + 64].strip()
    shown = visible(head).replace("\n", "⏎").replace("\t", " ")
    if len(shown) <= limit and len(text) <= limit + 64:
        return shown
    return shown[: max(0, limit - 1)].rstrip() + "…"


def json_line(line: str) -> str:
    """One line of JSON that is safe to print and still the same JSON: what could act is written as an escape.

    Lines that durastream stored come back as they are; one that someone else wrote may not.
    """
    if not line.isprintable():
        line = line.translate(_BLANKS)  # inside a JSON string there is no C0; outside one they are blanks
    return escape_terminal(line)


def _picture(match: re.Match[str]) -> str:
    point = ord(match[0])
    if point < 0x20:
        return chr(0x2400 + point)
    return "␡" if point == 0x7F else f"<U+{point:04X}>"


def _unstack(match: re.Match[str]) -> str:
    """Leave each character its first eight marks and count the others in words."""
    kept: list[str] = []
    marks = hidden = 0
    for char in match[0]:
        if _is_mark(char):
            marks += 1
            if marks > MARKS:
                hidden += 1
                continue
        else:
            if hidden:
                kept.append(f"<{hidden} more marks>")
            marks = hidden = 0
        kept.append(char)
    if hidden:
        kept.append(f"<{hidden} more marks>")
    return "".join(kept)


def _is_mark(char: str) -> bool:
    # Hangul vowels and finals are letters by category, but without width: they stack as marks do.
    return unicodedata.category(char)[0] == "M" or "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7fb"
