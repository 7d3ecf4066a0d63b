"""Makes files that pretend to be recordings, or are recordings that somebody changed: each to harm who opens it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from durastream.events import chain, genesis

RUN = "hostile"
ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select x as run_id, x as seq from n"
TABLES = ("run", "log", "messages", "message_chunks", "snapshots", "raw")


def _bomb() -> bytes:
    """600 MB in 600 KB."""
    machine, block = zlib.compressobj(1), bytes(1 << 20)
    return b"".join([machine.compress(block) for _ in range(600)] + [machine.flush()])


BOMB = _bomb()
DEEP = "[" * 100_000
DIGITS = "7" * 4300

Make = Callable[[Path, Path], Path]
"""Makes a file in a folder, given a sound recording in SQLite and one in JSON Lines beside it; returns its path."""

FILES: dict[str, Callable[[Path, Path], object]] = {}


def _sql(name: str, *statements: str, values: tuple[object, ...] = ()) -> None:
    def make(folder: Path, sound: Path) -> None:
        path = folder / f"{RUN}.db"
        shutil.copyfile(sound.with_suffix(".db"), path)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("pragma writable_schema=on")
            for statement in statements:
                db.execute(statement, values if "?" in statement else ())

    FILES[f"SQLite: {name}"] = make


def _lines(name: str, change: Callable[[list[str]], Iterator[bytes] | bytes]) -> None:
    def make(folder: Path, sound: Path) -> None:
        made = change(sound.with_suffix(".jsonl").read_text("utf-8").splitlines())
        with open(folder / f"{RUN}.jsonl", "wb") as file:
            for piece in [made] if isinstance(made, bytes) else made:
                file.write(piece)

    FILES[f"JSON Lines: {name}"] = make


def _plain(name: str, make: Callable[[Path], object], ends: tuple[str, ...] = (".db", ".jsonl")) -> None:
    for end in ends:
        FILES[f"{name}{end}"] = lambda folder, sound, end=end: make(folder / f"{RUN}{end}")


def _joined(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass")


def _chained(lines: list[str], body: Callable[[int], str], *, last: bool = True) -> bytes:
    """The recording with its text events in other words, its chain in order."""
    run_id = json.loads(lines[0])["run_id"]
    digest, made = genesis(run_id), [lines[0]]
    for line in lines[1:] if last else lines[1:-1]:
        if not line.startswith('{"seq":'):
            made.append(line)
            continue
        old = line[: line.rindex(',"hash"')] + "}"
        new = body(json.loads(old)["seq"]) if '"text.delta"' in old else old
        digest = chain(digest, new)
        made.append(f'{new[:-1]},"hash":"sha256:{digest.hex()}"}}')
    return _joined(made)


def _event(seq: int, data: str, type_: str = "text.delta") -> str:
    return f'{{"seq":{seq},"ts":"2026-11-23T06:00:00.000000Z","t":1.0,"type":"{type_}","data":{data}}}'


# SQLite, with a schema that is not ours
_sql("a view that never ends in place of the log", "drop table log", f"create view log as {ENDLESS}")
_sql("a view that never ends in place of the run", "drop table run", f"create view RUN as {ENDLESS}")
_sql("nothing but endless views", *(f"drop table {name}" for name in TABLES),
     *(f"create view {name} as {ENDLESS}" for name in TABLES))  # fmt: skip
_sql("a generated column of a gigabyte", "drop table run",
     "create table run (run_id text generated always as (hex(zeroblob(500000000))), name text)")  # fmt: skip
_sql("a trigger on the log", "create trigger t after insert on log begin delete from run; end")
_sql("triggers on all that is written", *(
    f"create trigger {what}_{n} before {what} on {name} begin select randomblob(900000000); end"
    for n, name in enumerate(TABLES) for what in ("insert", "update", "delete")))  # fmt: skip
_sql("an index with a slow expression",
     "create index slow on log (hex(zeroblob(100000)))")  # fmt: skip
_sql("an endless view under a name of ours", "drop view events", f"create view events as {ENDLESS}")
_sql("a virtual table", "create virtual table x using fts5(body)")
_sql("a rewritten schema", "update sqlite_master set sql = replace(sql, 'BLOB', 'TEXT') where name = 'log'")
_sql("a missing table", "drop table snapshots")
_sql("another column", "alter table log add column note text default 'x'")
_sql("another application", "pragma application_id=1")
_sql("a later version", "pragma user_version=99")
_sql("a version below nought", "pragma user_version=-1")
_sql("half migrated", "pragma user_version=0")
# SQLite, with rows that lie
_sql("a run id that leads elsewhere", "update run set run_id = '../../victim'")
_sql("no run at all", "delete from run")
_sql("two runs", "insert into run (run_id, name) values ('aaaaaa', 'twin')")
_sql("fields of other kinds", "update run set tags = '[]', command = '{}', status = 5, duration = 'x'")
_sql("deep JSON in the run", "update run set tags = ?", values=(DEEP,))
_sql("an event of 120 MB", "update log set body = cast(zeroblob(120000000) as text) where seq = 3")
_sql("a row that is no text", "update log set body = x'ff00ff' where seq = 3")
_sql("deep JSON in an event", "update log set body = ? where seq = 3", values=(_event(3, f'{{"a":{DEEP}}}'),))
_sql("an integer of 4,300 digits", "update log set body = ? where seq = 3", values=(_event(3, f'{{"a":{DIGITS}}}'),))
_sql("seqs beyond 2^53", "update log set seq = seq + 9007199254740993")
_sql("seqs below nought", "update log set seq = -seq")
_sql("a hole of a million million events", "update log set seq = 1000000000000 where seq > 3 and seq < 5")
_sql("a bomb in the draft", "update message_chunks set text = ?", values=(BOMB,))
_sql("a bomb in a snapshot", "insert or replace into snapshots values (3, ?)", values=(BOMB,))
_sql("a bomb in the raw bytes", "update raw set data = ?", values=(BOMB,))
_sql("a bomb that says how long it is", "update raw set length = 629145600, data = ?", values=(BOMB,))
_sql("raw bytes of a length below nought", "update raw set length = -5, offset = -5")
_sql("a snapshot that is no state", "insert or replace into snapshots values (3, ?)",
     values=(zlib.compress(b'{"seq":3,"messages":' + DEEP.encode()),))  # fmt: skip
# JSON Lines
_lines("a header of 40 MB", lambda lines: _joined([lines[0][:-1] + ',"x":"' + "x" * (40 << 20) + '"}', *lines[1:]]))
_lines("a header that is a number", lambda lines: _joined([DIGITS, *lines[1:]]))
_lines("a deep header", lambda lines: _joined([f'{{"durastream":1,"run_id":"{RUN}","x":{DEEP}', *lines[1:]]))
_lines("a version of 4,300 digits", lambda lines: _joined([f'{{"durastream":{DIGITS},"run_id":"x"}}', *lines[1:]]))
_lines("a later version", lambda lines: _joined([lines[0].replace('"durastream":1', '"durastream":2'), *lines[1:]]))
_lines("a run id with an escape", lambda lines: _joined(['{"durastream":1,"run_id":"\\u001b[2J"}', *lines[1:]]))
_lines("the same key twice", lambda lines: _joined([lines[0][:-1] + ',"run_id":"../x"}', *lines[1:]]))
_lines(
    "a line of 120 MB", lambda lines: iter([_joined(lines[:3]), *[b"x" * (1 << 20)] * 120, b"\n", _joined(lines[3:])])
)
_lines("a last line of 120 MB without end", lambda lines: iter([_joined(lines), *[b" " * (1 << 20)] * 120]))
_lines("zeros behind the end", lambda lines: iter([_joined(lines), *[bytes(1 << 20)] * 120]))
_lines("deep JSON in an event", lambda lines: _chained(lines, lambda seq: _event(seq, f'{{"a":{DEEP}}}')))
_lines("an integer of 4,300 digits", lambda lines: _chained(
    lines, lambda seq: _event(seq, f'{{"message_id":"a","text":"x","n":{DIGITS}{DIGITS}}}')))  # fmt: skip
_lines(
    "integers where numbers belong",
    lambda lines: _chained(
        lines,
        lambda seq: _event(
            seq, f'{{"step_id":"a","title":"x","duration":{DIGITS},"fraction":{DIGITS}}}', "step.completed"
        ),
    ),
)
_lines("times of 1e999", lambda lines: _chained(lines, lambda seq: _event(seq, "{}").replace('"t":1.0', '"t":1e999')))
_lines(
    "a seq of 4,300 digits", lambda lines: _chained(lines, lambda seq: _event(seq, "{}").replace(str(seq), DIGITS, 1))
)
_lines("seqs that go in circles", lambda lines: _chained(lines, lambda seq: _event(1, "{}")))
_lines("a bomb in the raw bytes", lambda lines: _joined([*lines, json.dumps(
    {"raw": "stdout", "offset": 0, "length": 600 << 20, "zlib": base64.b64encode(BOMB).decode()})]))  # fmt: skip
_lines("a bomb that says it is small", lambda lines: _joined([
    (f'{{"raw":"stdout","offset":0,"length":9,"zlib":"{base64.b64encode(BOMB).decode()}"}}'
     if line.startswith('{"raw"') else line) for line in lines]))  # fmt: skip
_lines("deep JSON in the place of raw bytes", lambda lines: _joined([*lines[:3], f'{{"raw":{DEEP}', *lines[3:]]))
_lines("events of no known kind", lambda lines: _chained(lines, lambda seq: _event(seq, '{"x":[null,true,{}]}', "a.b")))
_lines("data that is a list", lambda lines: _chained(lines, lambda seq: _event(seq, "[]")))
_lines("lone surrogates and NUL", lambda lines: _chained(
    lines, lambda seq: _event(seq, r'{"message_id":"\ud800","text":"\udfff\u0000"}')))  # fmt: skip
_lines("bytes that are no UTF-8", lambda lines: _joined(lines).replace(b"data", b"d\xff\xfea"))
_lines("carriage returns for newlines", lambda lines: _joined(lines).replace(b"\n", b"\r"))
_lines("no last event", lambda lines: _joined(lines[:-1]))
_lines("a hundred thousand empty lines", lambda lines: _joined(lines[:1]) + b"\n" * 100_000 + _joined(lines[1:]))
# neither
_plain("empty", lambda path: path.touch())
_plain("a pipe", lambda path: os.mkfifo(path))
_plain("a link to a device", lambda path: path.symlink_to("/dev/zero"))
_plain("a link to a terminal", lambda path: path.symlink_to("/dev/tty"))
_plain("a link to itself", lambda path: path.symlink_to(path))
_plain("a folder", lambda path: path.mkdir())
_plain("noise", lambda path: path.write_bytes(bytes(range(256)) * 400))
_plain("2 GB of a hole", lambda path: (path.touch(), os.truncate(path, 2 << 30)))
_plain("half a database", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(5000)))


def _cut(at: float) -> Callable[[Path, Path], None]:
    def make(folder: Path, sound: Path) -> None:
        data = sound.with_suffix(".db").read_bytes()
        (folder / f"{RUN}.db").write_bytes(data[: int(len(data) * at)])

    return make


for _at in (0.2, 0.6, 0.95):
    FILES[f"SQLite: cut off at {_at:.0%}"] = _cut(_at)


def _beside(name: str, end: str, make: Callable[[Path], object]) -> None:
    """A sound recording with something hostile beside it."""

    def both(folder: Path, sound: Path) -> None:
        shutil.copyfile(sound.with_suffix(".jsonl"), folder / f"{RUN}.jsonl")
        make(folder / f"{RUN}{end}")

    FILES[f"beside: {name}"] = both


_beside("addenda without end", ".addenda.jsonl", lambda path: path.write_bytes(b"x" * (40 << 20)))
_beside("deep addenda", ".addenda.jsonl", lambda path: path.write_text((DEEP + "\n") * 50))
_beside("addenda of 4,300 digits", ".addenda.jsonl", lambda path: path.write_text(f'{{"score":{DIGITS},"hash":"x"}}\n'))
_beside("addenda that are a pipe", ".addenda.jsonl", lambda path: os.mkfifo(path))
_beside("addenda that are a device", ".addenda.jsonl", lambda path: path.symlink_to("/dev/zero"))
_beside("a million addenda", ".addenda.jsonl", lambda path: path.write_bytes(b"{}\n" * 1_000_000))
_beside("a signature that is a pipe", ".sig", lambda path: os.mkfifo(path))
_beside("a signature of 4,300 digits", ".sig", lambda path: path.write_text(f'{{"durastream_signature":{DIGITS}}}'))


def _twin(folder: Path, sound: Path) -> None:
    shutil.copyfile(sound.with_suffix(".db"), folder / f"{RUN}.db")
    shutil.copyfile(sound.with_suffix(".jsonl"), folder / f"{RUN}.jsonl")


def _log_beside(folder: Path, sound: Path) -> None:
    shutil.copyfile(sound.with_suffix(".db"), folder / f"{RUN}.db")
    (folder / f"{RUN}.db-wal").write_bytes(os.urandom(100_000))
    (folder / f"{RUN}.db-journal").write_bytes(os.urandom(100_000))


FILES["twins of one id"] = _twin
FILES["beside: a log and a journal of noise"] = _log_beside

TRANSCRIPTS: dict[str, Callable[[Path], object]] = {
    "a line of 120 MB": lambda path: path.write_bytes(b'{"type":"' + b"x" * (120 << 20) + b'"}\n'),
    "120 MB without a newline": lambda path: path.write_bytes(b"x" * (120 << 20)),
    "deep JSON": lambda path: path.write_text(f'{{"type":"system","subtype":{DEEP}\n' * 20),
    "integers of 4,300 digits": lambda path: path.write_text(
        f'{{"type":"result","usage":{{"input_tokens":{DIGITS}9}},"total_cost_usd":{DIGITS}}}\n'),
    "times beyond the calendar": lambda path: path.write_text(
        '{"type":"thread.started","thread_id":"1","timestamp":1e300}\n{"type":"turn.completed","timestamp":-1e300}\n'),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 4000),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "a known format with other shapes": lambda path: path.write_text(
        '{"type":"system","subtype":"init","session_id":[]}\n{"type":"assistant","message":{"content":{"a":[1]}}}\n'
        '{"type":"result","usage":[],"result":{}}\n'),
    "ten thousand lines that open a step": lambda path: path.write_text(
        "".join(f'{{"type":"step.started","data":{{"step_id":"{n}","title":"x"}}}}\n' for n in range(10_000))),
}  # fmt: skip
