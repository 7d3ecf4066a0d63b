"""A value of JSON without secrets."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from durastream.redaction.catalogue import SECRET_NAME, Rules, mask
from durastream.redaction.pieces import masked

__all__ = ["clean", "clean_base64", "corrected", "strings"]

_NO_SECRETS = {
    "message_id": re.compile("stdout"),
    "run_id": re.compile(r"[a-z0-9]{6}"),
    "seal": re.compile(r"sha256:[0-9a-f]{64}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
"""What the format itself says: a pattern for keys in hexadecimal digits does not mean a hash."""

_Masks = list[tuple[str, list[tuple[int, int, str]]]]


def clean(
    rules: Rules,
    value: Any,
    counts: Counter[str],
    name: str = "",
    masks: _Masks | None = None,
) -> Any:
    """A value of JSON without secrets, in the names of its fields too, unless these are names that the format has.

    What a field with the name of a secret holds is looked at as if it were assigned. `masks` takes each text in which
    something was masked, and the parts of it.
    """
    if type(value) is str:
        before = f'{name}="' if name and SECRET_NAME.search(name) else ""
        found = rules.find(before + value)
        if found and name in _NO_SECRETS and _NO_SECRETS[name].fullmatch(value):
            found = [span for span in found if span.kind != "pattern"]
        counts.update(span.kind for span in found)
        at = len(before)
        whole = [
            (max(0, s.start - at), s.end - at, mask(s.kind, s.end - max(s.start, at))) for s in found if s.end > at
        ]
        if whole and masks is not None:
            masks.append((value, whole))
        return masked(value, whole)
    if type(value) is list:
        return [clean(rules, each, counts, masks=masks) for each in value]
    if type(value) is dict:
        made = {_name(rules, key, counts, masks): clean(rules, each, counts, key, masks) for key, each in value.items()}
        text, said = value.get("text"), value.get("sha256")
        if (
            type(text) is str
            and made["text"] != text
            and said == hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        ):
            made["sha256"] = hashlib.sha256(made["text"].encode("utf-8", "replace")).hexdigest()
        return made
    return value


def _name(rules: Rules, name: str, counts: Counter[str], masks: _Masks | None) -> str:
    if rules.find(name):
        from durastream.vocabulary import FIELDS  # takes a while to import, and is hardly ever needed

        return name if name in FIELDS or name in _NO_SECRETS else str(clean(rules, name, counts, masks=masks))
    return name


def strings(value: Any) -> Iterator[str]:
    """The strings of a value of JSON, the names of fields included: each is what `clean` looks at."""
    if type(value) is str:
        yield value
    elif type(value) is list:
        for each in value:
            yield from strings(each)
    elif type(value) is dict:
        for name, each in value.items():
            yield name
            yield from strings(each)


def clean_base64(rules: Rules, text: str, counts: Counter[str]) -> str:
    """Bytes in base64, read one by one as characters."""
    data = base64.b64decode(text)
    return base64.b64encode(clean(rules, data.decode("latin-1"), counts).encode("latin-1")).decode()


def corrected(data: dict[str, Any], sums: tuple[str, str]) -> dict[str, Any]:
    """What is said of a text that is stored otherwise: its hash, if it was right, is that of what is stored."""
    if data.get("sha256") == sums[0]:
        return {**data, "sha256": sums[1]}
    answer = data.get("answer")
    if type(answer) is dict and answer.get("sha256") == sums[0]:
        return {**data, "answer": {**answer, "sha256": sums[1]}}
    return data
