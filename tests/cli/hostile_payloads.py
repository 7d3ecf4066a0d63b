"""What a hostile agent may write, and the oracle that says whether it came through: by list, from the security rules.

Written down apart from the code that escapes, so that one cannot share a gap with the other.
"""

from __future__ import annotations

import re
import unicodedata

ESC, ST = "\x1b", "\x1b\\"

PAYLOADS: dict[str, str] = {
    # C0, one by one and in use
    "nul": "a\x00b",
    "enquiry": "\x05",
    "bell": "\x07" * 20,
    "backspaces that rewrite": "honest" + "\x08" * 6 + "forged",
    "vertical tab and form feed": "a\x0bb\x0cc",
    "carriage return that rewrites": "honest\rforged",
    "shift out": "\x0elqqk\x0f",
    "flow control": "\x11\x13",
    "cancel and substitute": "\x18\x1a",
    "separators of C0": "\x1c\x1d\x1e\x1f",
    "delete": "a\x7fb",
    # CSI
    "clear the screen": f"{ESC}[2J{ESC}[H",
    "clear what scrolled away": f"{ESC}[3J",
    "forge a line above": f"{ESC}[1;1H{ESC}[K✓ reconciled",
    "cursor up": f"{ESC}[9A{ESC}[2Kforged",
    "hide text": f"{ESC}[8mhidden{ESC}[28m",
    "blink": f"{ESC}[5;31mred",
    "the other screen": f"{ESC}[?1049h",
    "hide the cursor": f"{ESC}[?25l",
    "mouse reports": f"{ESC}[?1000h{ESC}[?1003h{ESC}[?1006h",
    "focus reports": f"{ESC}[?1004h",
    "bracketed paste off": f"{ESC}[?2004l",
    "line wrap off": f"{ESC}[?7l",
    "newline mode": f"{ESC}[20h",
    "ask for the cursor": f"{ESC}[6n",
    "ask for the status": f"{ESC}[5n",
    "ask what it is": f"{ESC}[c{ESC}[>c{ESC}[=c",
    "ask for the title": f"{ESC}[21t",
    "resize the window": f"{ESC}[8;1;1t",
    "make it an icon": f"{ESC}[2t",
    "scrolling region": f"{ESC}[1;2r",
    "print the screen": f"{ESC}[5i",
    "kitty keyboard": f"{ESC}[>31u",
    "a sequence without end": f"{ESC}[" + "1;" * 400,
    # OSC
    "title": f"{ESC}]0;owned\x07",
    "title ended by ST": f"{ESC}]2;owned{ST}",
    "palette": f"{ESC}]4;1;rgb:00/00/00{ST}",
    "working folder": f"{ESC}]7;file:///etc{ST}",
    "link": f"{ESC}]8;;file:///etc/passwd{ST}click{ESC}]8;;{ST}",
    "notification": f"{ESC}]9;you won\x07",
    "colour of the text": f"{ESC}]10;?{ST}",
    "clipboard": f"{ESC}]52;c;cm0gLXJmIH4=\x07",
    "read the clipboard": f"{ESC}]52;c;?\x07",
    "shell integration": f"{ESC}]133;A{ST}",
    "notification of urxvt": f"{ESC}]777;notify;a;b\x07",
    "file of iTerm": f"{ESC}]1337;File=name=eA==:eA==\x07",
    "an OSC without end": f"{ESC}]0;never",
    # the other strings
    "DCS request": f'{ESC}P$q"p{ST}',
    "sixel": f"{ESC}Pq#0;2;0;0;0#0~~{ST}",
    "tmux passthrough": f"{ESC}Ptmux;{ESC}{ESC}[2J{ST}",
    "macro": f"{ESC}P1;0;0!zx{ST}",
    "APC picture": f"{ESC}_Ga=T,f=100;AAAA{ST}",
    "privacy message": f"{ESC}^secret{ST}",
    "start of string": f"{ESC}Xsecret{ST}",
    "title of screen": f"{ESC}kowned{ST}",
    # escapes of two characters
    "reset": f"{ESC}c",
    "alignment test": f"{ESC}#8",
    "line drawing": f"{ESC}(0",
    "keypad": f"{ESC}=",
    "reverse index": f"{ESC}M",
    "a lone escape at the end": f"x{ESC}",
    # C1 as characters
    "C1 CSI": "\x9b2J\x9b6n",
    "C1 OSC": "\x9d0;owned\x9c",
    "C1 DCS": "\x90q\x9c",
    "C1 APC, PM, SOS": "\x9fa\x9c\x9eb\x9c\x98c\x9c",
    "C1 next line": "a\x85b",
    "all of C1": "".join(map(chr, range(0x80, 0xA0))),
    # what is not seen
    "bidi override": "access\u202etxt.exe",
    "bidi embeddings": "\u202a\u202b\u202c\u202d",
    "bidi isolates": "\u2066a\u2067b\u2068c\u2069",
    "bidi marks": "\u200e\u200f\u061c",
    "zero width": "in\u200bvis\u200cib\u200dle",
    "word joiners and invisible operators": "\u2060\u2061\u2062\u2063\u2064",
    "deprecated formatting": "\u206a\u206b\u206c\u206d\u206e\u206f",
    "byte order mark": "\ufeffbom",
    "soft hyphen": "pass\xadword",
    "line separators": "one\u2028two\u2029three",
    "tags": "x\U000e0041\U000e0042\U000e007f",
    "language tag": "\U000e0001",
    "variation selectors": "a\ufe00b\ufe0fc\U000e0100",
    "interlinear notes": "\ufff9a\ufffab\ufffb",
    "Mongolian separators": "\u180b\u180e",
    "musical controls": "\U0001d173\U0001d17a",
    "fillers": "\u115f\u1160\u3164\uffa0",
    "noncharacters": "\ufffe\uffff",
    # what paints over its neighbours
    "combining run": "z" + "\u0301" * 300,
    "Thai marks": "z" + "\u0e49" * 60,
    "enclosing marks": "z" + "\u20dd" * 60,
    "Hangul vowels": "\u1100" + "\u1161" * 60,
    # what is no character
    "lone surrogates": "a\ud800b\udfffc",
    "surrogates the wrong way round": "\udc00\ud800",
    # markup of those who print
    "Rich markup": "[bold red]x[/bold red] [/nope] [link=http://x]y[/link]",
    "Rich action": "[@click=app.quit]x[/] [not/closed",
    "Rich emoji": ":skull: :boom:",
    "Markdown": "[click](javascript:alert(1)) ![x](http://x/y.png) **b** `c` <http://x>",
    "Markdown with escapes": f"# \u202eheading\n- {ESC}[5mitem\n> \x07quote\n```{ESC}[2J\n```",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&#27;[2J&#x202e;",
    "workflow commands": "::set-env name=A::b\n##[add-path]/x\n::stop-commands::x",
    "format strings": "%n%s%p{0}{self.__class__}$(id)`id`${HOME}",
    "JSON inside": '","type":"run.completed","data":{"status":"completed"},"x":"',
    "XML inside": "]]><x>&evil;<!--",
    # what must not be harmed either
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 🇩🇪 1️⃣",
    "line ends": "a\r\nb\n\rc\n\n",
    "tabs": f"a\tb{ESC}[9C\tc",
}
"""At least eighty; each goes wherever an agent can put text."""

ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What no output holds: all that a terminal acts on or hides, but newline and tab."""

DRAWN = re.compile(r"\x1b\[(?:\?1049[hl]|\?25[hl]|[0-9;]*m|2?J|[0-9;]*H|[02]?K|[0-9]*[ABCD])|\r(?=\n)")
"""What the views themselves draw with on a terminal."""

MOST_MARKS = 8
_OWN = {"the other screen", "hide the cursor", "a lone escape at the end", "line ends"}
"""Payloads that are, or begin, what the views draw with."""


def escaped(output: bytes, *, drawn: bool = False, json: bool = False) -> set[str]:
    """What is in an output that must not be: characters, whole payloads that were drawn, and stacks of marks.

    `drawn`: it went to a terminal, where the views draw. `json`: marks are text there, as stored.
    """
    text = output.decode("utf-8", "surrogateescape")
    plain = DRAWN.sub("", text) if drawn else text
    found = set(ACTIVE.findall(plain))
    if drawn:
        found |= {name for name, payload in PAYLOADS.items() if ESC in payload and name not in _OWN and payload in text}
    if not json and _stacked(plain):
        found.add("a stack of marks")
    return found


def _stacked(text: str) -> bool:
    marks = 0
    for char in text:
        jamo = "\u1160" <= char <= "\u11ff"
        marks = marks + 1 if char > "\u02ff" and (unicodedata.category(char)[0] == "M" or jamo) else 0
        if marks > MOST_MARKS:
            return True
    return False


HARMLESS = {
    "Rich markup", "Rich action", "Rich emoji", "Markdown", "HTML", "workflow commands", "format strings",
    "JSON inside", "XML inside",
}  # fmt: skip
"""Payloads of plain characters: nothing forbidden is in them, and they have to be shown as they are."""
