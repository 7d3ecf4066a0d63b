"""The built-in agent: `python -P -m durastream.demo [--fast]`. It shows every kind of event and knows one subject.

It is a script and says so: no model, no network, the same events each time. Its facts and links are real.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import durastream

__all__ = ["main", "perform"]

Pause = Callable[[float], None]

QUESTION = "Why can a database with a write-ahead log recover from a crash?"

SOURCES = {
    "1": (
        "https://www.sqlite.org/wal.html",
        "Write-Ahead Logging (SQLite)",
        "A COMMIT occurs when a special record indicating a commit is appended to the WAL.",
    ),
    "2": (
        "https://www.postgresql.org/docs/current/wal-intro.html",
        "Write-Ahead Logging (WAL) (PostgreSQL documentation)",
        "Changes to data files (where tables and indexes reside) must be written only after those changes have been "
        "logged.",
    ),
    "3": (
        "https://doi.org/10.1145/128765.128770",
        "ARIES: A Transaction Recovery Method (Mohan et al., ACM TODS, 1992)",
        "Repeat history, then undo the transactions that did not commit.",
    ),
    "4": (
        "https://www.sqlite.org/atomiccommit.html",
        "Atomic Commit In SQLite",
        "How a change is made all or nothing on hardware that is not.",
    ),
}

DRAFT = "A write-ahead log makes a database crash-proof because the log is never lost [5]."

ANSWER = """\
## Why a write-ahead log makes recovery possible

**The rule.** A change is described in the log, and the log is on stable storage, *before* the change \
reaches the data files [2]. So at any instant of a crash, whatever the data files hold, the log can tell what they \
should hold.

**The commit is one record.** In SQLite's WAL mode a transaction is committed when its commit record has been \
appended to the log [1]. A torn tail has no valid checksum and is not read: the transaction happened, or it did not. \
The older rollback journal gives the same all-or-nothing with the copies turned around [4].

**Recovery is a replay.** After a crash the database

1. reads the log from the last checkpoint on,
2. repeats what was logged, committed or not, and
3. undoes the transactions that have no commit record.

These are the passes of ARIES [3]; SQLite needs no undo, because a reader never looks past the last commit [1].

**What it does not do.** It is only as good as the `fsync` below it: a disk that says *stored* too early takes the \
promise with it.
"""


def perform(pause: Pause) -> None:
    """Do the whole task. `pause` is called with seconds wherever a real agent would be waiting.

    A step whose `parent` is the id of an entry of the plan (p1, p2 …) is shown under it.
    """
    plan = durastream.plan(
        [
            "Understand the question",
            "Find primary sources",
            "Compare what they say",
            "Write the answer",
            "Check every citation",
        ]
    )
    plan.start(0)
    durastream.log("This is a scripted demo: no model is asked and no page is fetched. The facts and links are real.")
    _think(
        "The question is about recovery, so durability alone is not enough: "
        "I need the order of writes, the point of commit, and what happens at restart.",
        pause,
    )
    plan.done(0)

    plan.start(1)
    _search(pause)
    for source_id in SOURCES:
        _fetch(source_id, pause)
    plan.done(1)

    plan.start(2)
    with durastream.step("compare the four", kind="model", step_id="compare", parent="p3") as step:
        _think("All four agree on the order: log first, data later. They differ in undo.", pause)
        step.output({"agree": ["log before data", "commit is a record"], "differ": ["undo pass"]})
    durastream.usage(scope="run", mode="add", model="scripted", input_tokens=3184, output_tokens=212)
    plan.done(2)

    plan.start(3)
    with durastream.step("first draft", kind="model", step_id="draft", parent="p4"):
        _stream(DRAFT, pause)
    with durastream.step("look at it", kind="tool", step_id="look", parent="p4"):
        pause(0.3)
        durastream.check("draft cites known sources", "warn", detail="[5] is no source of this run")
        durastream.retract("the draft cites [5], which is no source, and claims too much")
        pause(0.2)
    with durastream.step("second draft", kind="model", step_id="write", parent="p4"):
        _stream(ANSWER, pause)
    durastream.usage(scope="run", mode="add", model="scripted", input_tokens=3420, output_tokens=391)
    plan.done(3)

    plan.start(4)
    with durastream.step("check the citations", kind="tool", step_id="check", parent="p5"):
        _review(pause)
    _keep(ANSWER)
    plan.done(4)
    durastream.final_answer(ANSWER)


def _think(thought: str, pause: Pause) -> None:
    for word in _words(thought + "\n"):
        durastream.reasoning(word)
        pause(0.03)


def _stream(text: str, pause: Pause) -> None:
    for word in _words(text):
        durastream.text(word)
        pause(0.018)


def _words(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"\s*\S+\s*?(?=\s|$)|\s+", text))


def _search(pause: Pause) -> None:
    with durastream.step(
        "search the web", kind="tool", step_id="search", parent="p2", input={"query": QUESTION}
    ) as step:
        for found in range(1, len(SOURCES) + 1):
            pause(0.15)
            step.progress(f"{found} of {len(SOURCES)} worth reading", fraction=found / len(SOURCES))
        step.output({"results": len(SOURCES)})


def _fetch(source_id: str, pause: Pause) -> None:
    url, title, snippet = SOURCES[source_id]
    what = f"fetch {url.partition('://')[2].removeprefix('www.')}"
    if source_id == "2":
        first = {"url": url, "attempt": 1}
        with durastream.step(what, kind="tool", step_id="fetch-2", parent="p2", input=first) as step:
            pause(0.6)
            step.fail("timed out after 30 s (scripted)")
        durastream.error("fetch failed, trying once more", severity="warning")
        pause(0.2)
    step_id = "fetch-2-again" if source_id == "2" else f"fetch-{source_id}"
    with durastream.step(what, kind="tool", step_id=step_id, parent="p2", input={"url": url}) as step:
        pause(0.35)
        step.output({"status": 200, "title": title})
        durastream.source(url, title, snippet, source_id=source_id, origin="tool")


def _review(pause: Pause) -> None:
    cited = set(re.findall(r"\[(\d+)\]", ANSWER))
    pause(0.3)
    durastream.check("every citation has a source", cited <= set(SOURCES), detail=f"{len(cited)} sources cited")
    pause(0.2)
    durastream.check("every source is cited", set(SOURCES) <= cited, score=len(cited) / len(SOURCES))
    pause(0.2)
    long = len(ANSWER.split())
    durastream.check("at most 150 words", "pass" if long <= 150 else "warn", detail=f"{long} words")


def _keep(answer: str) -> None:
    """Write the answer to a real file, in the folder for temporary ones."""
    data = answer.encode()
    with tempfile.NamedTemporaryFile(prefix="durastream-demo-", suffix=".md", delete=False) as file:
        file.write(data)
    sha256 = hashlib.sha256(data).hexdigest()
    durastream.artifact(path=file.name, media_type="text/markdown", size=len(data), sha256=sha256)


def main(argv: list[str]) -> int:
    if argv not in ([], ["--fast"]):
        sys.stderr.write("usage: python -P -m durastream.demo [--fast]\n")
        return 2
    if not os.environ.get("DURASTREAM_EVENTS"):
        sys.stdout.write("Nobody is recording. Run me under durastream:\n\n")
        sys.stdout.write("    durastream run -- python -P -m durastream.demo\n")
        return 0
    pace = 0.1 if argv else 1.0
    perform(lambda seconds: time.sleep(seconds * pace))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
