"""The pages hang together: links lead somewhere, the reference is that of the program, the picture is a current one."""

from __future__ import annotations

import pydoc
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import durastream
from durastream.stores.folder import open_reader

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import picture  # noqa: E402
import python_api  # noqa: E402
import reference  # noqa: E402
import rulebook  # noqa: E402
import traces  # noqa: E402

PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "recordings" / "README.md",
    ROOT / "tests" / "data" / "traces" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

_CODE = re.compile(r"^```.*?^```$", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_decisions_are_numbered_and_say_what_they_cost() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in decisions] == list(range(1, len(decisions) + 1))
    for page in decisions:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(page.name[:4])}. ")
        assert all(part in text for part in ("**Context.**", "**Decision.**", "**What it costs.**")), page.name


# the reference of the commands


def generated(page: str = "cli.md", part: int = 0) -> str:
    """What is between the marks of a generated part of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"<!-- \[\[\[cog.*?\]\]\] -->\n(.*?)<!-- \[\[\[end\]\]\] -->", text, re.S)[part]


@pytest.mark.skipif(not reference.typer_writes_it_all(), reason="this Typer shows no help of arguments")
def test_the_reference_is_what_help_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # which must not matter
    assert generated() == reference.markdown(), "cog -r docs/cli.md"


def test_the_page_of_the_python_api_is_that_of_the_code() -> None:
    assert generated("python.md") == python_api.markdown(), "cog -r docs/python.md"


def test_every_call_has_an_example_that_runs(tmp_path: Path) -> None:
    assert python_api.EXAMPLES.keys() == set(python_api.calls())
    known = {"durastream": durastream}
    for example in python_api.EXAMPLES.values():
        exec(example.replace('"research"', f'"research", store={str(tmp_path)!r}'), known)
    with durastream.recording("all", store=str(tmp_path)) as run:
        for name, example in python_api.EXAMPLES.items():
            if name != "recording":
                exec(example, known)
    reader = open_reader(str(run.path))
    assert [event for event in reader.read() if event.type == "raw.rejected"] == []
    reader.close()


def test_help_lists_every_call() -> None:
    text = pydoc.plain(pydoc.render_doc(durastream))
    assert all(f"    {name}(" in text for name in python_api.calls())


def test_every_command_is_in_the_reference() -> None:
    assert re.findall(r"^## durastream (\w+)$", generated(), re.M) == reference.commands()


# the tables of formats


def test_the_tables_are_what_the_adapters_make_of_the_traces() -> None:
    assert generated("formats.md") == traces.formats(), "cog -r docs/formats.md"
    assert generated("formats.md", 1) == traces.table(), "cog -r docs/formats.md"


# the rules


def test_the_rules_are_those_of_the_catalogue() -> None:
    assert generated("rules.md") == rulebook.catalogue(), "cog -r docs/rules.md"


def test_what_is_found_in_traces_is_what_the_rules_find() -> None:
    assert generated("rules.md", 1) == rulebook.traces(), "cog -r docs/rules.md"


# the picture


def words(svg: str) -> list[str]:
    """The text of the picture, line by line; raises when it is no XML."""
    lines: dict[str, list[tuple[float, str]]] = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        place = (float(element.get("x", 0)), (element.text or "").replace("\xa0", " "))
        lines.setdefault(element.get("y", ""), []).append(place)
    return [" ".join("".join(text for _, text in sorted(line)).split()) for line in lines.values()]


def test_the_picture_is_that_of_the_sample_recording() -> None:
    kept = picture.PICTURE.read_text(encoding="utf-8")
    assert "@font-face" not in kept
    assert words(kept) == words(picture.paint()), "python docs/picture.py"


def test_the_picture_shows_plan_steps_sources_and_the_draft_of_a_running_run() -> None:
    text = " ".join(words(picture.PICTURE.read_text(encoding="utf-8")))
    for part in ("running", "plan", "Write the answer", "steps", "fetch", "sources", "draft", "The rule."):
        assert part in text
