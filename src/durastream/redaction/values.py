"""A value of JSON without secrets."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from durastream.redaction.catalogue import SECRET_NAME, Rules, mask
from durastream.redaction.pieces import masked

__all__ = ["clean", "clean_base64", "corrected", "strings"]


def clean(
    rules: Rules,
    value: Any,
    counts: Counter[str],
    name: str = "",
    masks: list[tuple[str, list[tuple[int, int, str]]]] | None = None,
) -> Any:
    """A value of JSON without secrets, those in the names of its fields included.

    What a field with the name of a secret holds is looked at as if it were assigned. `masks` takes each text in which
    something was masked, and the parts of it.
    """
    if type(value) is str:
        before = f'{name}="' if name and SECRET_NAME.search(name) else ""
        found = rules.find(before + value)
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
        made = {
            clean(rules, key, counts, masks=masks): clean(rules, each, counts, key, masks)
            for key, each in value.items()
        }
        text, said = value.get("text"), value.get("sha256")
        if (
            type(text) is str
            and made["text"] != text
            and said == hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        ):
            made["sha256"] = hashlib.sha256(made["text"].encode("utf-8", "replace")).hexdigest()
        return made
    return value


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
