"""What secrets look like: one rule a kind, and the search for them in a text.

A rule has what goes before a secret and stays (`AKIA`, `password=`), and the secret itself: a run of characters of one
class. So a secret that has begun and is not yet whole is told from text that only looks like the beginning of one.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from durastream.errors import UsageError

__all__ = ["KINDS", "LONGEST", "Rules", "Span", "mask"]

LONGEST = 4352
"""Characters that the longest secret takes with what goes before it; a private key may take four times as many."""

_LONGEST_KEY = 16_384
_SMALL = 1 << 11
_NEAR = 600  # from the least of a secret it is not further to where it begins with what is before it
_MASK = "*"
_LEAST_BASE64 = 10
_HEAD = 8
_LEAD = 3


class Span(NamedTuple):
    """Where a secret stands in a text."""

    start: int
    end: int
    kind: str


class _Rule(NamedTuple):
    kind: str
    before: str
    characters: str
    least: int
    most: int
    needs: str = ""
    after: str = ""
    word: bool = True


_WORD = "A-Za-z0-9"
_NAMED = r"""\\*["']?[ \t]{0,3}(?:=>|:=|[=:])[ \t]{0,3}\\*["']?"""
_PASSWORD = "(?:password|passwd|passphrase|pwd|Password|Passwd|Passphrase|Pwd|PASSWORD|PASSWD|PASSPHRASE|PWD)"
_NAME = (
    "(?:(?:api|access|secret|private|Api|Access|Secret|Private|API|ACCESS|SECRET|PRIVATE)[_-]?(?:key|Key|KEY)"
    "|secret|token|credential|Secret|Token|Credential|SECRET|TOKEN|CREDENTIAL)"
)
_PLAIN = r"""[^ \t\r\n\f\v"'`<>(){}\[\],;\\|&]"""

# Boundaries: also behind an escape of JSON, and behind a colour of a terminal.
_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=[0-9;\[]m))"

_RULES = (
    _Rule("aws", "(?:AKIA|ASIA|ABIA|ACCA)", "[A-Z0-9]", 16, 16, after=f"(?![{_WORD}])"),
    _Rule("github", "(?:gho_|ghp_|ghs_|ghu_|ghr_|github_pat_)", f"[{_WORD}_]", 30, 255),
    _Rule("gitlab", "gl(?:pat|ptt|dt|rt)-", f"[{_WORD}_-]", 20, 255),
    _Rule("anthropic", "sk-ant-", f"[{_WORD}_-]", 20, 255),
    _Rule("openai", "sk-(?:proj|svcacct|admin|or)-", f"[{_WORD}_-]", 20, 255),
    _Rule("openai", "sk-", f"[{_WORD}]", 20, 255),
    _Rule("google", "AIza", f"[{_WORD}_-]", 35, 35, after=f"(?![{_WORD}])"),
    _Rule("google", r"ya29\.", f"[{_WORD}_-]", 20, 1024),
    _Rule("slack", "(?:xoxa-|xoxb-|xoxe-|xoxo-|xoxp-|xoxr-|xoxs-|xapp-)", f"[{_WORD}-]", 10, 255),
    _Rule("stripe", "(?:rk_live_|rk_test_|sk_live_|sk_test_|whsec_)", f"[{_WORD}]", 16, 255),
    _Rule("huggingface", "hf_", f"[{_WORD}]", 30, 64),
    _Rule("npm", "npm_", f"[{_WORD}]", 36, 64),
    _Rule("pypi", "pypi-AgE", f"[{_WORD}_-]", 40, 512),
    _Rule("groq", "gsk_", f"[{_WORD}]", 40, 64),
    _Rule("xai", "xai-", f"[{_WORD}]", 60, 128),
    _Rule("jwt", "eyJ", f"[{_WORD}_.-]", 24, 4096, needs=rf"(?=[{_WORD}_-]{{8,1024}}\.eyJ[{_WORD}_-])"),
    _Rule(
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        rf"(?:[{_WORD}+/= \t\r\n:,.\\]|-(?!----))",
        16,
        _LONGEST_KEY,
        word=False,
    ),
    _Rule("bearer", r"(?:bearer|Bearer|BEARER)[ \t]{1,3}", f"[{_WORD}._~+/=-]", 16, 4096,
          needs=r"(?=[A-Za-z._~+/=-]{0,99}[0-9])"),
    _Rule("auth", rf"(?:authorization|Authorization|AUTHORIZATION){_NAMED}(?:[bB]asic|[tT]oken|ApiKey)[ \t]{{1,3}}",
          f"[{_WORD}._~+/=-]", 8, 1024),
    _Rule("url", r":\\?/\\?/[^ \t\r\n\f\v/:@\"'<>\\]{0,64}:", r"[^ \t\r\n\f\v/@\"'<>\\]", 1, 255,
          needs="(?![${<])", after="(?=@)", word=False),
    _Rule("password", rf"{_PASSWORD}{_NAMED}", _PLAIN, 6, 128,
          needs=rf"(?!\$)(?={_PLAIN}{{0,127}}?[0-9!@#$%^*+~?])", after=r"(?!\()", word=False),
    _Rule("secret", rf"{_NAME}{_NAMED}",
          f"[{_WORD}_+=~%./-]", 16, 512,
          needs=rf"(?![./])(?=[{_WORD}_+=~%./-]{{0,511}}?[0-9])(?=[0-9_+=~%./-]{{0,511}}[A-Za-z])", after=r"(?!\()",
          word=False),
)  # fmt: skip

KINDS = tuple(dict.fromkeys(rule.kind for rule in _RULES))
"""What is looked for by its form. Beside these: `env`, the value of a variable; `pattern` and `text` of the user."""

SECRET_NAME = re.compile(
    r"(?i)(?:password|passwd|passphrase|pwd|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|secret|token"
    r"|authorization|credential)s?\Z"
)
"""Names of fields and options whose values are secrets."""


def mask(kind: str, length: int) -> str:
    """What stands for a secret: as long as it was, so that no place in a stream moves."""
    for text in (f"[redacted:{kind}]", "[redacted]"):
        if len(text) <= length:
            return text.ljust(length, _MASK)
    return _MASK * length


def _alternatives(make: Callable[[int, _Rule], str]) -> str:
    """One expression of all rules; those that begin a word have their boundary in common."""
    made = {
        word: "|".join(make(at, rule) for at, rule in enumerate(_RULES) if rule.word is word) for word in (True, False)
    }
    return f"{_START}(?:{made[True]})|{made[False]}"


def _whole(at: int, rule: _Rule) -> str:
    return f"{rule.before}(?P<r{at}>{rule.needs}{rule.characters}{{{rule.least},{rule.most}}}+){rule.after}"


def _begun(at: int, rule: _Rule) -> str:
    return f"{rule.before}(?P<r{at}>{rule.characters}{{1,{rule.most}}})\\Z"


def _hint(rule: _Rule) -> str:
    return f"{rule.before}{rule.characters.replace('-(?!----)', '-')}{{{rule.least}}}"


def _hint_begun(rule: _Rule) -> str:
    return f"{rule.before}{rule.characters.replace('-(?!----)', '-')}+\\z"


_ALIKE = {
    "auth": "words", "bearer": "words", "github": "marks", "password": "names", "secret": "names", "slack": "marks",
    "stripe": "marks", "url": "url",
}  # fmt: skip


def _hints(make: Callable[[_Rule], str]) -> list[str]:
    """Few expressions, each of rules that begin alike: of more in one the library does not know what to look for."""
    groups: dict[str, list[str]] = {}
    for rule in _RULES:
        groups.setdefault(_ALIKE.get(rule.kind, ""), []).append(f"(?:{make(rule)})")
    return ["|".join(each) for each in groups.values()]


_QUICK_HEAD = 24
_QUICK_PARTS = 200
"""How many characters of a literal, and how many literals, are in one expression: a larger one is refused."""


_ALIKE_PATTERN = re.compile(
    r"(?:[A-Za-z0-9_ .:=/@%,;+*?|{}^-]|\\[d./+*?|(){}\[\]^-]|\((?!\?)|\(\?:|\)"
    r"|\[\^?(?:[A-Za-z0-9_ .:=/@%,;+*?](?:-[A-Za-z0-9])?|\\[d./-])+-?\])*"
)


def _alike(pattern: re.Pattern[str]) -> bool:
    """Whether the quick library reads a pattern as Python does: `$`, `\\<`, `\\w` and others mean something else."""
    return _ALIKE_PATTERN.fullmatch(pattern.pattern) is not None


class _Quick:
    """Whether one of some expressions matches: by the library that decodes events, which is linear, and takes a
    hundredth of the time of Python's. What it does not know is taken for a match."""

    def __init__(self, patterns: list[str]) -> None:
        from pydantic_core import SchemaError, SchemaValidator, core_schema  # 50 ms: not for a run that prints a line

        self._all: list[Callable[[str], bool]] | None
        try:
            made = [SchemaValidator(core_schema.str_schema(pattern=each)) for each in patterns]
        except SchemaError:
            self._all = None
        else:
            self._all = [each.isinstance_python for each in made]

    def whole(self, text: str) -> bool:
        return self._all is None or any(each(text) for each in self._all)


@cache
def _quick_begun() -> _Quick:
    return _Quick(["|".join(f"(?:{_hint_begun(rule)})" for rule in _RULES)])


@cache
def _whole_expression() -> re.Pattern[str]:
    """Of whole secrets. Compiled when the first text is searched: it takes some milliseconds."""
    return re.compile(_alternatives(_whole))


@cache
def _begun_expression() -> re.Pattern[str]:
    """Of secrets that have begun at the end of a text."""
    return re.compile(_alternatives(_begun))


class Rules:
    """Everything that is looked for in one run.

    `values` are secrets by the names of their variables, `texts` more of them, `patterns` regular expressions of the
    user, whose matches are secrets as a whole. `patient` rules wait for what follows as long as any match of a pattern
    may be, up to LONGEST: for what is read when all of it is there. Raises UsageError for a pattern that is none.
    """

    def __init__(
        self,
        values: Mapping[str, str] = {},
        patterns: Iterable[str] = (),
        texts: Iterable[str] = (),
        *,
        known: bool = True,
        patient: bool = False,
    ) -> None:
        literals = {text: "text" for text in texts if text} | dict.fromkeys(values.values(), "env")
        self._literals = {spelt: kind for text, kind in literals.items() for spelt in _spellings(text)}
        twice = {spelt for text in literals for spelt in _twice_in_base64(text)} - self._literals.keys()
        self._literals |= {spelt: kind for text, kind in literals.items() for spelt in _twice_in_base64(text) & twice}
        self._leads = dict.fromkeys(twice, _LEAD)
        self._known = known
        self.patient = patient
        self._longest = max(map(len, self._literals), default=0)
        self._patterns = []
        for pattern in patterns:
            if not pattern:
                raise UsageError("redact: a pattern is empty: it says nothing of what is to be taken out")
            try:
                self._patterns.append(re.compile(pattern))
            except re.error as error:
                raise UsageError(f"redact: {pattern!r} is no regular expression: {error}") from error

    @property
    def joined(self) -> bool:
        """Whether what may be in a text is seen as well when others stand around it: a pattern may say `^`."""
        return not self._patterns

    def suspects(self, text: str) -> bool:
        """Whether there may be a secret in a text; quickly, and never a wrong no."""
        if len(text) < _SMALL and "pydantic_core" not in sys.modules:
            return bool(self.find(text))
        return self._quick.whole(text) or any(pattern.search(text) for pattern in self._patterns if not _alike(pattern))

    def suspects_any(self, texts: Sequence[str]) -> bool:
        """The same of many, looked at together where nothing depends on what stands around them."""
        if self.joined:
            return bool(texts) and self.suspects("\n".join(texts))
        return any(map(self.suspects, texts))

    @cached_property
    def _quick(self) -> _Quick:
        heads = [*{literal[:_QUICK_HEAD]: None for literal in self._literals}]  # where one is, its head is
        parts = ["".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in each) for each in heads]
        some = ["|".join(parts[at : at + _QUICK_PARTS]) for at in range(0, len(parts), _QUICK_PARTS)]
        alike = [f"(?:{pattern.pattern})" for pattern in self._patterns if _alike(pattern)]
        some += ["|".join(alike)] if alike else []
        return _Quick([*(_hints(_hint) if self._known else []), *some])

    def find(self, text: str) -> list[Span]:
        """The secrets of a text, in order, none in another."""
        found = list(self._known_in(text)) if self._known else []
        for literal, kind in self._literals.items():
            at = text.find(literal)
            while at >= 0:
                found.append(Span(at + self._leads.get(literal, 0), at + len(literal), kind))
                at = text.find(literal, at + len(literal))
        for pattern in self._patterns:
            found += [Span(*match.span(), "pattern") for match in pattern.finditer(text) if match[0]]
        return _joined(span for span in found if not _masked(text, span))

    def _known_in(self, text: str) -> Iterator[Span]:
        """Those with a form of their own. In a long text only the places are searched where there may be one."""
        whole = _whole_expression()
        at = done = 0
        while at < len(text):
            if len(text) - at > _SMALL:
                place = self._first_end(text, at)
                if place < 0:
                    return
                start, at = max(at - _NEAR, done, place - _NEAR), place + _NEAR // 3
            else:
                start, at = max(at - _NEAR, done), len(text)
            for match in whole.finditer(text, start, at + _NEAR):
                last = match
                if match.end() == at + _NEAR:  # it may go on
                    last = whole.match(text, match.start()) or match
                group = last.lastgroup or ""
                yield Span(*last.span(group), _RULES[int(group[1:])].kind)
                done = last.end()
            at = max(at, done)

    def _first_end(self, text: str, at: int) -> int:
        """The first place behind `at` where the least of a secret may end; -1 if there is none."""
        size = _SMALL
        while not self._quick.whole(text[at : at + size]):
            if at + size >= len(text):
                return -1
            at, size = max(at, at + size - LONGEST), size * 2 + LONGEST
        low, high = 0, size
        while low + 32 < high:
            middle = (low + high) // 2
            if self._quick.whole(text[at : at + middle]):
                high = middle
            else:
                low = middle
        return min(at + high, len(text))

    def begun(self, text: str) -> int:
        """From where on the end of a text may be a secret that has begun or goes on; its length if nowhere."""
        least = len(text)
        if self._known:
            window = max(0, least - LONGEST)
            key = text.rfind("PRIVATE KEY", max(0, len(text) - _LONGEST_KEY - 100))
            window = min(window, max(0, key - 40)) if key >= 0 else window
            match = _begun_expression().search(text, window) if self._may_begin(text[window:]) else None
            if match is not None:
                least = match.start(match.lastgroup or 0)
        if self._literals:
            least = min(least, self._begun_literal(text))
        if self._patterns and self.patient:
            least = min(least, max(0, len(text) - LONGEST))
        elif self._patterns:
            last = text[-256:]
            least = min(least, len(text) - len(last) + max(map(last.rfind, " \t\n")) + 1)
        return least

    def _may_begin(self, end: str) -> bool:
        return _quick_begun().whole(end) if "pydantic_core" in sys.modules else True

    def _begun_literal(self, text: str) -> int:
        heads, beginnings = self._beginnings
        least = size = len(text)
        for at in range(max(0, size - self._longest + 1), size - _HEAD):
            if at >= least:
                return least
            for literal in heads.get(text[at : at + _HEAD], ()):
                if len(literal) > size - at and literal.startswith(text[at:]):
                    least = min(least, at + self._leads.get(literal, 0))
        for at in range(max(0, size - _HEAD), size):
            least = min(least, at + beginnings.get(text[at:], size))
        return least

    @cached_property
    def _beginnings(self) -> tuple[dict[str, list[str]], dict[str, int]]:
        """The literals by their first characters; what a text may end with that is the beginning of one, and how much
        of it is no part of the secret."""
        heads: dict[str, list[str]] = {}
        beginnings: dict[str, int] = {}
        for literal in self._literals:
            heads.setdefault(literal[:_HEAD], []).append(literal)
            lead = self._leads.get(literal, 0)
            for size in range(lead + 1, min(_HEAD + 1, len(literal))):
                beginnings[literal[:size]] = min(lead, beginnings.get(literal[:size], lead))
        return heads, beginnings


def _spellings(text: str) -> set[str]:
    """A secret as it stands in text, in JSON, in bytes that are read one by one, in an address and in base64; and as
    it stands in two of these, one in the other."""
    json_, address, base64_ = _in_json(text), _in_address(text), _in_base64(text)
    twice = {each for spelt in json_ for each in _in_json(spelt)}
    thrice = {each for spelt in twice for each in _in_json(spelt)}
    spelt = {text, *json_, *twice, *thrice, *address, *base64_}
    spelt |= {each.replace("%", "%25") for each in address}
    for each in base64_:
        spelt |= _in_address(each) | {each.replace("/", "\\/")}
    return spelt | {each.encode("utf-8", "replace").decode("latin-1") for each in spelt}


def _twice_in_base64(text: str) -> set[str]:
    """What base64 makes of a secret that is in base64, in an address or in JSON. There are so many of these that a text
    ends with the first character of one all the time, and would wait: the first `_LEAD` of them are shown."""
    once = {*_in_json(text), *_in_address(text), *_in_base64(text)} - {text}
    return {each for spelt in once for each in _in_base64(spelt)}


def _in_json(text: str) -> set[str]:
    inner = json.dumps(text)[1:-1]
    loose = json.dumps(text, ensure_ascii=False)[1:-1]
    html = loose.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return {inner, loose, html, *(each.replace("/", "\\/") for each in (inner, loose))}


def _in_address(text: str) -> set[str]:
    """A secret in an address or a form, percent-encoded in one of the usual ways."""
    found = set()
    for plain in ("-._~", "-._~/", "-._*", "-._~!'()*"):
        for digits in ("%{:02X}", "%{:02x}"):
            made = [
                chr(byte) if chr(byte) in plain or (byte < 128 and chr(byte).isalnum()) else digits.format(byte)
                for byte in text.encode("utf-8", "replace")
            ]
            found |= {"".join(made), "".join(made).replace("%20", "+")}
    return found


def _in_base64(text: str) -> set[str]:
    """What base64 makes of a secret that stands between other bytes: of each of the three places where it may begin,
    the characters that depend on nothing but the secret. Not of a short one, of which too few are left."""
    data, found = text.encode("utf-8", "replace"), set()
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + data).decode()
        sure = whole[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
        if len(sure) >= _LEAST_BASE64:
            found |= {sure, sure.replace("+", "-").replace("/", "_")}
    return found


def _masked(text: str, span: Span) -> bool:
    """Whether that is what stands for a secret that was taken out before."""
    inside = text[span.start : span.end]
    return inside.startswith("[redacted") or not inside.strip(_MASK)


def _joined(found: Iterable[Span]) -> list[Span]:
    """In order; of two that overlap, one that covers both."""
    kept: list[Span] = []
    for span in sorted(found):
        if kept and span.start < kept[-1].end:
            if span.end > kept[-1].end:
                kept[-1] = kept[-1]._replace(end=span.end)
            continue
        kept.append(span)
    return kept
