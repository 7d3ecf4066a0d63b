"""The quick reading of `durastream run`'s words and the full parser mean the same."""

from __future__ import annotations

import pytest

from durastream.cli import app, foreground
from durastream.cli.launch import Request, read_words
from durastream.errors import UsageError

UNDERSTOOD: list[tuple[list[str], Request]] = [
    (["true"], Request(("true",))),
    (["--", "true"], Request(("true",))),
    (["-d", "true"], Request(("true",), detach=True)),
    (["--detach", "--", "sh", "-c", "x"], Request(("sh", "-c", "x"), detach=True)),
    (["ls", "-d", "--view", "x"], Request(("ls", "-d", "--view", "x"))),
    (["ls", "--", "-x"], Request(("ls", "--", "-x"))),
    (["--", "--", "x"], Request(("--", "x"))),
    (["--", "-x"], Request(("-x",))),
    (["--", ""], Request(("",))),
    (["", "x"], Request(("", "x"))),
    (["--view", "plain", "true"], Request(("true",), view="plain")),
    (["--view=json", "true"], Request(("true",), view="json")),
    (["--view", "raw", "--view", "none", "true"], Request(("true",), view="none")),
    (["--name", "a b", "true"], Request(("true",), name="a b")),
    (["--name=a=b", "true"], Request(("true",), name="a=b")),
    (["--name", "-d", "true"], Request(("true",), name="-d")),
    (["--name", "--", "true"], Request(("true",), name="--")),
    (["--tag", "k=v", "--tag=l=w=x", "true"], Request(("true",), tags=("k=v", "l=w=x"))),
    (["--tag", "k=", "true"], Request(("true",), tags=("k=",))),
    (["--store", "/x y", "true"], Request(("true",), store="/x y")),
    (["--store=", "true"], Request(("true",), store="")),
    (["--log", "jsonl", "true"], Request(("true",), log="jsonl")),
    (["--format", "text", "true"], Request(("true",), format="text")),
    (["--no-raw", "true"], Request(("true",), raw=False)),
    (["--line-buffered", "-d", "true"], Request(("true",), line_buffered=True, detach=True)),
    (["--timestamps", "true"], Request(("true",), timestamps=True)),
    (["pkg.mod:fn", "--arg", "1"], Request(("pkg.mod:fn", "--arg", "1"))),
    (["sh", "--help"], Request(("sh", "--help"))),
    (["sh", "--version"], Request(("sh", "--version"))),
]

REFUSED = [
    [],
    ["--"],
    ["-d"],
    ["-d", "--"],
    ["--view"],
    ["--view", "plain"],
    ["--view", "nothing", "true"],
    ["--view=", "true"],
    ["--log", "xml", "true"],
    ["--format", "x", "true"],
    ["--tag", "k", "true"],
    ["--tag", "=v", "true"],
    ["--tag=", "true"],
    ["--name", "", "true"],
    ["--name", "a/b", "true"],
    ["--name", "x" * 101, "true"],
    ["--name", "a\x1b[31m", "true"],
    ["--name", "a\nb", "true"],
    ["--name", "\u202eb", "true"],
    ["--name", "\udcff", "true"],
    ["--detach=yes", "true"],
    ["-dx", "true"],
    ["-x", "true"],
    ["-d", "-q"],
    ["--nope", "true"],
    ["--vie", "plain", "true"],
    ["--no-detach", "true"],
]


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Request | None:
    """What the full parser makes of the words; None when it refuses them."""
    given: list[Request] = []
    monkeypatch.setattr(foreground, "run", lambda request: given.append(request) or 0)
    try:
        code = app.main(["run", *words])
    except UsageError:
        return None
    assert (code == 0) == bool(given)
    return given[0] if given else None


@pytest.mark.parametrize(
    ("words", "request_"), UNDERSTOOD, ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else ""
)
def test_both_understand_the_same(words: list[str], request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_words(words) == request_
    assert parsed(words, monkeypatch) == request_


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:40])
def test_both_refuse_the_same(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_words(words) is None
    assert parsed(words, monkeypatch) is None


def test_help_is_left_to_the_parser(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["-h"], ["-d", "--help", "true"]):
        assert read_words(words) is None
        assert app.main(["run", *words]) == 0
        assert "Usage: durastream run" in capsys.readouterr().out


def test_the_option_of_a_single_dash_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = read_words(["-", "x"])
    assert quick in (None, parsed(["-", "x"], monkeypatch))
