CREATE TABLE "run" (
   "run_id" TEXT PRIMARY KEY,
   "name" TEXT,
   "tags" TEXT,
   "command" TEXT,
   "cwd" TEXT,
   "started_at" TEXT,
   "parent_run_id" TEXT,
   "status" TEXT,
   "exit_code" INTEGER,
   "signal" TEXT,
   "duration" REAL,
   "last_seq" INTEGER,
   "reconciled" INTEGER,
   "seal" TEXT
);
CREATE TABLE "log" (
   "seq" INTEGER PRIMARY KEY,
   "body" TEXT,
   "hash" BLOB
);
CREATE TABLE "messages" (
   "message_id" TEXT PRIMARY KEY,
   "role" TEXT,
   "since" INTEGER,
   "length" INTEGER,
   "completed" INTEGER
);
CREATE TABLE "message_chunks" (
   "chunk" INTEGER PRIMARY KEY,
   "message_id" TEXT,
   "seq" INTEGER,
   "text" TEXT
);
CREATE TABLE "snapshots" (
   "seq" INTEGER PRIMARY KEY,
   "state" BLOB
);
CREATE TABLE "raw" (
   "chunk" INTEGER PRIMARY KEY,
   "stream" TEXT,
   "offset" INTEGER,
   "length" INTEGER,
   "data" BLOB
);
CREATE INDEX "idx_message_chunks_message_id_seq"
    ON "message_chunks" ("message_id", "seq");
CREATE VIEW "events" AS select seq, json_extract(body, '$.ts') as ts, json_extract(body, '$.t') as t, json_extract(body, '$.type') as type, body, hash from log;
CREATE VIEW "plan" AS select json_extract(entry.value, '$.id') as id, json_extract(entry.value, '$.title') as title, coalesce(json_extract(entry.value, '$.status'), 'pending') as status, json_extract(entry.value, '$.parent') as parent from events, json_each(events.body, '$.data.steps') as entry where events.seq = (select max(seq) from events where type in ('plan.created', 'plan.updated'));
CREATE VIEW "steps" AS select json_extract(s.body, '$.data.step_id') as step_id, json_extract(s.body, '$.data.title') as title, coalesce(json_extract(s.body, '$.data.kind'), 'task') as kind, coalesce((select json_extract(c.body, '$.data.status') from events c where c.type = 'step.completed' and c.seq > s.seq and json_extract(c.body, '$.data.step_id') = json_extract(s.body, '$.data.step_id') order by c.seq limit 1), 'active') as status, s.t as started, json_extract(s.body, '$.data.parent') as parent from events s where s.type = 'step.started';
CREATE VIEW "sources" AS select json_extract(body, '$.data.source_id') as source_id, json_extract(body, '$.data.url') as url, json_extract(body, '$.data.title') as title, json_extract(body, '$.data.origin') as origin, seq from events where type = 'source.added';
CREATE VIEW "checks" AS select json_extract(body, '$.data.name') as name, json_extract(body, '$.data.outcome') as outcome, json_extract(body, '$.data.score') as score, json_extract(body, '$.data.detail') as detail, json_extract(body, '$.data.by') as by, seq from events where type = 'quality.checked';
CREATE VIEW "usage" AS select coalesce(json_extract(body, '$.data.scope'), 'run') as scope, coalesce(json_extract(body, '$.data.mode'), 'add') as mode, json_extract(body, '$.data.model') as model, json_extract(body, '$.data.input_tokens') as input_tokens, json_extract(body, '$.data.output_tokens') as output_tokens, json_extract(body, '$.data.cost_usd') as cost_usd, seq from events where type = 'usage.reported';
