"""What docs/decisions and docs/architecture.md say that a test holds together, held together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from durastream.cli import app, foreground, launch
from durastream.stores import schema
from durastream.vocabulary import MODELS, VALIDATORS

ROOT = Path(__file__).resolve().parents[2]


def test_the_layers_on_the_page_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    checked = [re.findall(r"\w+", line) for line in contracts["contracts"][0]["layers"]]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## The layers")[1]
    block = re.findall(r"^    (.+)$", page.split("\n## ")[0], re.M)
    assert [re.split(r" {2,}", re.split(r" {4,}", line)[0]) for line in block] == checked


def test_the_schema_is_what_sqlite_utils_makes() -> None:
    kept = (Path(schema.__file__).parent / "schema.sql").read_text(encoding="utf-8")
    assert kept == schema.script(), "write schema.script() to schema.sql"


@pytest.mark.parametrize(
    "words",
    [
        ["true"],
        ["--", "true", "-x", "--view", "none"],
        ["sh", "-c", "exit 3", "--name", "not-ours"],
        ["-d", "--name", "n", "--tag", "a=b", "--tag=c=d=e", "--", "true"],
        ["--detach", "--view=none", "--store", "here", "--log", "jsonl", "true"],
        ["--format", "text", "--no-raw", "--line-buffered", "true"],
        ["--view", "raw", "--view", "json", "true", "--detach"],
        ["pkg.module:function", "-d"],
    ],
)
def test_the_quick_reader_and_typer_make_the_same_request(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(foreground, "run", lambda request: asked.append(request) or 0)
    assert app.main(["run", *words]) == 0
    assert asked == [launch.read_words(words)]


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["--nope", "true"], ["--view"], ["--view", "x", "true"]])
def test_the_quick_reader_leaves_the_rest_to_typer(words: list[str]) -> None:
    assert launch.read_words(words) is None


_VALUES = st.one_of(
    st.none(), st.integers(), st.text(max_size=3), st.just("#x"), st.just("m" * 200), st.just("m" * 201)
)
_FIELDS = st.one_of(
    st.none(), st.lists(_VALUES), st.dictionaries(st.sampled_from(["message_id", "text", "x"]), _VALUES)
)


@given(_FIELDS)
def test_the_check_by_hand_of_a_text_delta_says_what_its_model_says(data: Any) -> None:
    assert _fits(VALIDATORS["text.delta"], data) == _fits(MODELS["text.delta"].model_validate, data)


def _fits(check: Any, data: Any) -> bool:
    try:
        check(data)
    except (ValidationError, ValueError, TypeError, KeyError):
        return False
    return True
