"""docs/format.md is true: types, fields, tables and files are those of the code, and the check that it shows works."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from durastream.cli.document import run_document, run_fields
from durastream.control import Requests
from durastream.events import RESERVED, TYPES
from durastream.rules import RULES
from durastream.spool import Spool
from durastream.stores import schema
from durastream.stores.folder import open_reader
from durastream.vocabulary import MODELS

ROOT = Path(__file__).resolve().parents[2]
FORMAT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
SAMPLES = sorted((ROOT / "recordings").glob("*.jsonl"))


def section(title: str) -> str:
    return re.split(r"^## ", FORMAT.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads."""
    found = [re.split(r"(?<!\\)\|", line.strip("|\n")) for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in found]
    return [row for index, row in enumerate(cells) if "---" not in row[0] and not _is_head(cells, index)]


def _is_head(cells: list[list[str]], index: int) -> bool:
    return index + 1 < len(cells) and "---" in cells[index + 1][0]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", cell, flags=re.M | re.S))


# the hash chain


def checker(tmp_path: Path) -> Path:
    code = re.findall(r"^```python\n(.*?)^```$", section("The hash chain"), re.M | re.S)
    assert len(code) == 1
    assert len([line for line in code[0].splitlines() if line.strip()]) <= 16
    path = tmp_path / "check.py"
    path.write_text(code[0], encoding="utf-8")
    return path


def run_checker(path: Path, recording: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(path), str(recording)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_check_that_it_shows_gives_the_seal(sample: Path, tmp_path: Path) -> None:
    reader = open_reader(str(sample))
    done = run_checker(checker(tmp_path), sample)
    assert (done.returncode, done.stdout.strip()) == (0, reader.info().seal)


def test_the_check_that_it_shows_notices_a_changed_letter(tmp_path: Path) -> None:
    changed = tmp_path / "changed.jsonl"
    text = SAMPLES[0].read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if '"type":"text.delta"' in line)
    changed.write_text(text.replace(line, line.replace('"text":"', '"text":"X', 1)), encoding="utf-8")
    done = run_checker(checker(tmp_path), changed)
    assert done.returncode == 1
    assert f"event {json.loads(line)['seq']} does not fit" in done.stderr


# types


def documented_types() -> dict[str, str]:
    return {type_: row[1] for row in rows(section("Types")) for type_ in names(row[0])}


def test_every_type_is_documented_and_no_other() -> None:
    assert documented_types().keys() == TYPES


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_the_fields_of_a_type_are_those_that_are_checked(type_: str) -> None:
    cell = documented_types()[type_]
    fields = {field.alias or name: field for name, field in MODELS[type_].model_fields.items()}
    bold = {name for words in re.findall(r"\*\*([^*]+)\*\*", cell) for name in words.split(" or ")}
    top = re.sub(r"\{.*?\}", "", cell)  # the fields of a list's entries are told apart below
    required = {name for name, field in fields.items() if field.is_required()}
    either = {"url", "title"} if type_ == "source.added" else {"path", "url"} if type_ == "artifact.created" else set()
    entries = {"id", "title"} if type_.startswith("plan.") else set()
    assert bold == required | either | entries
    if type_ != "run.completed":
        assert fields.keys() <= set(re.findall(r"\w+", top)), "a field that is checked is not documented"


def test_the_types_that_only_the_recorder_writes_are_named() -> None:
    text = section("What an agent writes")
    assert set(names(text)) >= RESERVED | {"run.declared"}


def test_the_answer_packet_is_documented() -> None:
    documented = {name for row in rows(section("The end of a run")) for name in names(row[0])}
    for sample in SAMPLES:
        packet = open_reader(str(sample)).state().completed
        assert packet is not None
        assert packet.keys() <= documented


def test_every_status_of_a_run_is_documented() -> None:
    statuses = MODELS["run.completed"].model_fields["status"].annotation.__args__  # type: ignore[union-attr]
    assert set(statuses) <= {name for row in rows(section("The end of a run")) for name in names(row[0])}


# files


def test_the_tables_and_views_are_those_of_the_schema() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(schema.script())
    made = {
        name: [row[1] for row in db.execute(f"pragma table_info({name})")]
        for (name,) in db.execute("select name from sqlite_master where type in ('table', 'view')")
    }
    db.close()
    documented = {names(row[0])[0]: row[1] for row in rows(section("A recording as SQLite"))}
    assert documented.keys() == made.keys()
    for name, columns in made.items():
        assert set(columns) <= set(re.findall(r"\w+", documented[name])), name


def test_the_numbers_in_the_head_of_a_database_are_those_of_the_code() -> None:
    assert f"is {schema.APPLICATION_ID} " in section("A recording as SQLite")
    assert f"Format version {schema.VERSION}." in FORMAT


def test_the_files_of_a_spool_are_documented(tmp_path: Path) -> None:
    spool = Spool.create(str(tmp_path), {"command": ["true"]})
    spool.request(act="cancel", by="cancel")
    assert len([*Requests(spool).new()]) == 1
    documented = {name for row in rows(section("The spool")) for name in names(row[0])}
    assert {path.name for path in Path(spool.path).iterdir()} <= documented
    spool.remove()


# what the commands print


def tables_of_fields() -> tuple[list[str], list[str]]:
    """The fields of `list --json`, and those that `show --json` has beyond them."""
    listed, shown = section("What the commands print").split("`durastream show RUN --json`")
    return tuple(  # type: ignore[return-value]
        [name for row in rows(text) for name in names(row[0])] for text in (listed, shown)
    )


def test_the_fields_of_list_and_show_are_those_that_are_printed() -> None:
    listed, shown = tables_of_fields()
    reader = open_reader(str(SAMPLES[0]))
    assert listed == list(run_fields(reader.info()))
    assert sorted(listed + shown) == sorted(run_document(reader.info(), reader.state()))


def test_the_fields_inside_of_show_are_those_that_are_printed() -> None:
    documented = {names(row[0])[0]: row[1] for row in rows(section("What the commands print")) if names(row[0])}
    demo = next(sample for sample in SAMPLES if '"name":"demo"' in sample.read_text(encoding="utf-8"))
    reader = open_reader(str(demo))
    shown = run_document(reader.info(), reader.state())
    for name in ("plan", "steps", "log"):
        assert list(shown[name][0]) == re.findall(r"`(\w+)`", documented[name].split("{")[1].split("}")[0])
    assert list(shown["answer"]) == re.findall(r"`(\w+)`", documented["answer"].split("}")[0])


def test_verify_prints_the_fields_that_are_documented(shell: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    printed = json.loads(shell(f"durastream verify {SAMPLES[0]} --json").stdout)
    said = section("What the commands print").split("`durastream verify --json`")[1]
    assert list(printed) == names(said.split(", a list")[0])[: len(printed)]


def test_every_code_of_a_finding_is_in_the_catalogue_and_no_other() -> None:
    source = ROOT / "src" / "durastream"
    files = [source / "verify.py", source / "checking.py", source / "kept.py", *sorted((source / "rules").glob("*.py"))]
    code = "".join(path.read_text(encoding="utf-8") for path in files if path.name != "catalogue.py")
    used = set(re.findall(r'(?:_?found|Finding)\(\s*"([a-z-]+)"', code))
    assert used | {"answer-differs"} == RULES.keys()
