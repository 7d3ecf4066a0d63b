"""The SQLite schema, made and migrated with sqlite-utils.

`make` is the source. What it makes is kept as `schema.sql`, which a new recording is created from, because the import
of sqlite-utils takes longer than most commands take to run; a test holds the two together.
"""

from __future__ import annotations

import sqlite3

import sqlite_utils

__all__ = ["APPLICATION_ID", "VERSION", "make", "script"]

APPLICATION_ID = 0x64757261
"""What `PRAGMA application_id` says of a recording: the letters `dura`."""

VERSION = 1

_VIEWS = {
    # ts, t and type are read out of the body when asked for: as columns they would cost a third of the ingest rate
    # and a fifth of the bytes, and could disagree with what the hash covers.
    "events": """
        select seq, json_extract(body, '$.ts') as ts, json_extract(body, '$.t') as t,
               json_extract(body, '$.type') as type, body, hash
        from log""",
    "plan": """
        select json_extract(entry.value, '$.id') as id, json_extract(entry.value, '$.title') as title,
               coalesce(json_extract(entry.value, '$.status'), 'pending') as status,
               json_extract(entry.value, '$.parent') as parent
        from events, json_each(events.body, '$.data.steps') as entry
        where events.seq = (select max(seq) from events where type in ('plan.created', 'plan.updated'))""",
    "steps": """
        select json_extract(s.body, '$.data.step_id') as step_id, json_extract(s.body, '$.data.title') as title,
               coalesce(json_extract(s.body, '$.data.kind'), 'task') as kind,
               coalesce((select json_extract(c.body, '$.data.status') from events c
                         where c.type = 'step.completed' and c.seq > s.seq
                         and json_extract(c.body, '$.data.step_id') = json_extract(s.body, '$.data.step_id')
                         order by c.seq limit 1), 'active') as status,
               s.t as started, json_extract(s.body, '$.data.parent') as parent
        from events s where s.type = 'step.started'""",
    "sources": """
        select json_extract(body, '$.data.source_id') as source_id, json_extract(body, '$.data.url') as url,
               json_extract(body, '$.data.title') as title, json_extract(body, '$.data.origin') as origin, seq
        from events where type = 'source.added'""",
    "checks": """
        select json_extract(body, '$.data.name') as name, json_extract(body, '$.data.outcome') as outcome,
               json_extract(body, '$.data.score') as score, json_extract(body, '$.data.detail') as detail,
               json_extract(body, '$.data.by') as by, seq
        from events where type = 'quality.checked'""",
    "usage": """
        select coalesce(json_extract(body, '$.data.scope'), 'run') as scope,
               coalesce(json_extract(body, '$.data.mode'), 'add') as mode, json_extract(body, '$.data.model') as model,
               json_extract(body, '$.data.input_tokens') as input_tokens,
               json_extract(body, '$.data.output_tokens') as output_tokens,
               json_extract(body, '$.data.cost_usd') as cost_usd, seq
        from events where type = 'usage.reported'""",
}


def make(connection: sqlite3.Connection) -> None:
    """Create the tables and views of a recording."""
    db = sqlite_utils.Database(connection)
    db.table("run").create(
        {
            "run_id": str,
            "name": str,
            "tags": str,
            "command": str,
            "cwd": str,
            "started_at": str,
            "parent_run_id": str,
            "status": str,
            "exit_code": int,
            "signal": str,
            "duration": float,
            "last_seq": int,
            "reconciled": int,
            "seal": str,
        },
        pk="run_id",
    )
    db.table("log").create({"seq": int, "body": str, "hash": bytes}, pk="seq")
    db.table("messages").create(
        {"message_id": str, "role": str, "since": int, "length": int, "completed": int}, pk="message_id"
    )
    db.table("message_chunks").create({"chunk": int, "message_id": str, "seq": int, "text": str}, pk="chunk")
    db.table("message_chunks").create_index(["message_id", "seq"])
    db.table("snapshots").create({"seq": int, "state": bytes}, pk="seq")
    db.table("raw").create({"chunk": int, "stream": str, "offset": int, "length": int, "data": bytes}, pk="chunk")
    for name, query in _VIEWS.items():
        db.create_view(name, " ".join(query.split()))


def script() -> str:
    """The SQL that `make` amounts to, in the order it has to run in."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    make(connection)
    kinds = "case type when 'table' then 0 when 'index' then 1 else 2 end"
    rows = connection.execute(f"select sql from sqlite_master where sql is not null order by {kinds}, rowid")
    text = "\n".join(row[0] + ";" for row in rows) + "\n"
    connection.close()
    return text
