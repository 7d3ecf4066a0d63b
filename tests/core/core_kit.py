"""What the tests of the core share: values and logs as hypothesis makes them."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from durastream.events import TYPES, Event
from durastream.vocabulary import MODELS

settings.register_profile("durastream", deadline=None, max_examples=60)
settings.load_profile("durastream")

FORBIDDEN = frozenset(
    chr(point)
    for first, last in (
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E),
        (0x2060, 0x206F), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)  # fmt: skip
"""Characters that a terminal or a reader may act on, as the security rules list them."""

hostile_text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(sorted(FORBIDDEN)), max_size=20)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | hostile_text
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=6,
)

_ids = st.sampled_from(["answer", "a", "b", "stdout"])
_text = st.sampled_from(["", "Hel", "lo", "wörld\n", "🙂", "x" * 300])
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "message_id": _ids,
    "step_id": _ids,
    "source_id": _ids,
    "approval_id": _ids,
    "text": _text,
    "title": _text,
    "name": _text,
    "message": _text,
    "reason": _text,
    "role": st.sampled_from(["assistant", "user"]),
    "final": st.booleans(),
    "kind": st.sampled_from(["tool", "task", "model"]),
    "status": st.sampled_from(["ok", "failed", "skipped"]),
    "outcome": st.sampled_from(["pass", "fail", "warn"]),
    "scope": st.sampled_from(["run", "turn", "request", "thread"]),
    "mode": st.sampled_from(["add", "replace"]),
    "model": st.sampled_from(["m1", "m2"]),
    "input_tokens": st.integers(0, 1000),
    "cost_usd": st.sampled_from([0.5, 0.25, 2]),
    "fraction": st.sampled_from([0, 0.5, 1]),
    "duration": st.none() | st.just(1.5),
    "sha256": st.just("0" * 64),
    "length": st.integers(0, 10),
    "url": st.just("https://example.org"),
    "path": st.just("out.txt"),
    "decision": st.just("allow"),
    "by": st.sampled_from(["cancel", "signal"]),
    "stream": st.just("stderr"),
    "steps": st.lists(
        st.fixed_dictionaries({"id": _ids, "title": _text}, optional={"status": st.just("done")}), max_size=3
    ),
}


def _data_of(type_: str) -> st.SearchStrategy[dict[str, Any]]:
    """Data with the fields that a type must have, and some that it may have."""
    fields = MODELS[type_].model_fields if type_ in MODELS else {}
    must = {name: _FIELDS[name] for name, field in fields.items() if name in _FIELDS and field.is_required()}
    may = {name: _FIELDS[name] for name, field in fields.items() if name in _FIELDS and not field.is_required()}
    return st.fixed_dictionaries(must, optional=may)


_types = st.sampled_from([*sorted(TYPES), "myapp.cache_hit", *["text.delta"] * 8])
_told = _types.flatmap(lambda type_: st.tuples(st.just(type_), _data_of(type_)))
any_data = st.dictionaries(st.sampled_from(sorted(_FIELDS)), json_values, max_size=4)


def numbered(told: list[tuple[str, Any]]) -> list[Event]:
    """Events that nobody checked: as they come out of a recording from anywhere."""
    return [Event(seq, f"ts{seq}", seq / 8, type_, data) for seq, (type_, data) in enumerate(told, start=1)]


logs = st.lists(_told, max_size=15).map(numbered)
"""Logs whose events mostly have the fields of their type."""

wild_logs = st.lists(_told | st.tuples(_types, any_data | json_values), max_size=8).map(numbered)
"""Logs in which data may be anything."""
