"""Addenda: kept beside a recording, chained to its seal; whatever is changed in them is found at its place."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durastream.errors import Damaged, StoreUnwritable
from durastream.stores.addenda import Addendum, addenda_path, append, load

SEAL = hashlib.sha256(b"a run").digest()
OTHER = hashlib.sha256(b"another run").digest()
TS = "2026-11-24T06:00:00.000000Z"
FIELDS: list[dict[str, Any]] = [
    {"name": "faithful", "outcome": "pass", "score": 0.92, "by": "judge"},
    {"name": "héllo\u202e", "outcome": "fail", "detail": "line\nline", "score": None},
    {"name": "short", "outcome": "warn"},
]


def made(folder: Path) -> str:
    path = str(folder / "k3v9p2.db")
    for fields in FIELDS:
        append(path, SEAL, TS, fields)
    return path


def test_what_was_added_is_read_in_its_order(tmp_path: Path) -> None:
    path = made(tmp_path)
    found, faults = load(path, SEAL)
    assert faults == []
    assert [(each.name, each.outcome, each.score, each.detail, each.by) for each in found] == [
        tuple(fields.get(name) for name in ("name", "outcome", "score", "detail", "by")) for fields in FIELDS
    ]
    assert addenda_path(path) == str(tmp_path / "k3v9p2.addenda.jsonl")
    assert os.stat(addenda_path(path)).st_mode & 0o777 == 0o600


def test_what_append_gives_is_what_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jsonl")
    added = append(path, SEAL, TS, FIELDS[0])
    assert load(path, SEAL) == ([added], [])
    assert isinstance(added, Addendum)


def test_the_chain_can_be_checked_by_hand(tmp_path: Path) -> None:
    head = SEAL
    for line in Path(addenda_path(made(tmp_path))).read_bytes().splitlines():
        body, _, rest = line.rpartition(b',"hash":"sha256:')
        assert json.loads(line)["previous"] == f"sha256:{head.hex()}"
        head = hashlib.sha256(head + body + b"}").digest()
        assert rest == head.hex().encode() + b'"}'


def test_a_recording_without_addenda_has_none(tmp_path: Path) -> None:
    assert load(str(tmp_path / "a.db"), SEAL) == ([], [])


def changed(tmp_path: Path, edit: Any) -> tuple[list[Addendum], list[str]]:
    path = made(tmp_path)
    file = Path(addenda_path(path))
    file.write_bytes(b"".join(edit(file.read_bytes().splitlines(keepends=True))))
    return load(path, SEAL)


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda lines: lines[1:], "addendum 1 "),
        (lambda lines: [lines[0], lines[2]], "addendum 2 "),
        (lambda lines: [lines[1], lines[0], lines[2]], "addendum 1 "),
        (lambda lines: [lines[0], lines[2], lines[1]], "addendum 2 "),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "addendum 2 "),
        (lambda lines: [lines[0], b"{}\n", *lines[1:]], "addendum 2 "),
        (lambda lines: [*lines[:2], lines[2][:-1]], "addendum 3 "),
    ],
)
def test_lines_taken_out_swapped_or_put_in_are_found_at_their_place(tmp_path: Path, edit: Any, place: str) -> None:
    assert changed(tmp_path, edit)[1][0].startswith(place)


def test_any_changed_byte_is_found_at_its_line(tmp_path: Path) -> None:
    path = made(tmp_path)
    file = Path(addenda_path(path))
    whole = file.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x20):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            faults = load(path, SEAL)[1]
            assert faults, (at, flip)
            assert faults[0].startswith(f"addendum {whole[:at].count(10) + 1} "), (at, flip, faults)


def test_the_addenda_of_another_run_are_found(tmp_path: Path) -> None:
    path = made(tmp_path)
    assert load(path, OTHER)[1][0].startswith("addendum 1 is of a run with the seal sha256:")


def test_nothing_is_added_to_addenda_that_do_not_hold(tmp_path: Path) -> None:
    path = made(tmp_path)
    before = Path(addenda_path(path)).read_bytes()
    with pytest.raises(Damaged, match=r"addendum 1 is of a run .* nothing was added"):
        append(path, OTHER, TS, FIELDS[0])
    assert Path(addenda_path(path)).read_bytes() == before


@pytest.mark.parametrize("left", [1, 40, 200])
def test_a_line_whose_writer_was_cut_short_is_written_over(tmp_path: Path, left: int) -> None:
    path = made(tmp_path)
    file = Path(addenda_path(path))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:2]) + lines[2][:left])
    assert load(path, SEAL)[1] == ["addendum 3 has no end"]
    append(path, SEAL, TS, FIELDS[2])
    assert [each.name for each in load(path, SEAL)[0]] == [fields["name"] for fields in FIELDS]
    assert load(path, SEAL)[1] == []


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_a_plain_file_is_read_or_written(tmp_path: Path, kind: str) -> None:
    path, at = str(tmp_path / "a.db"), tmp_path / "a.addenda.jsonl"
    target = tmp_path / "target"
    match kind:
        case "link":
            at.symlink_to(target)
        case "folder":
            at.mkdir()
        case "pipe":
            os.mkfifo(at)
    assert load(path, SEAL)[1]
    with pytest.raises((StoreUnwritable, Damaged)):
        append(path, SEAL, TS, FIELDS[0])
    assert not target.exists()


@given(
    st.binary(max_size=300)
    | st.sampled_from([b"{}\n", b"[]\n", b'{"hash":"x"}\n', b"\n", b'{"a":1,"hash":"sha256:"}\n'])
)
def test_whatever_is_in_the_file_it_is_read_to_its_end(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = str(tmp_path_factory.mktemp("any") / "a.db")
    Path(addenda_path(path)).write_bytes(data)
    found, faults = load(path, SEAL)
    assert found == []
    assert bool(faults) is bool(data)
