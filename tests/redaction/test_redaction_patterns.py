"""What patterns and names of the user mean, and that none of them stops a recording or changes what the format says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from redaction_kit import KNOWN, Live, line
from test_redaction_recorded import holds

from durastream.configuration import asked_redaction
from durastream.errors import UsageError
from durastream.redacted import redact
from durastream.redaction.environment import settings
from durastream.redaction.redactor import Redactor
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader
from durastream.vocabulary import FIELDS

GREEDY = ["text", "message_id", "status", ".*", ".", "[a-z]+", "[0-9a-f]{16,}", "std(out|err)", "[a-z0-9]{6}"]
"""They match names of fields, ids, hashes, and what the format says of a run."""

SAID = "hi there"


def told(live: Live) -> None:
    """All that a pattern of no sense may match."""
    live.write("stdout", b"printed\n")
    live.write("events", line("my.type", text="hi", k=1))
    live.write("events", line("text.delta", message_id="m1", text=SAID))
    live.write("events", line("step.started", step_id="s", title="t", input={"status": "x"}))
    live.write("events", line("step.completed", step_id="s", status="ok"))
    sha256 = hashlib.sha256(SAID.encode()).hexdigest()
    live.write("events", line("text.completed", message_id="m1", sha256=sha256, length=len(SAID)))
    live.step()


@pytest.mark.parametrize("pattern", GREEDY)
def test_a_pattern_that_matches_the_words_of_the_format_stops_no_recording(tmp_path: Path, pattern: str) -> None:
    live = Live(tmp_path, redact={"on": True, "patterns": [pattern]}, name="a name", tags={"k": "v"})
    told(live)
    events = live.end()
    assert events[0].data["run_id"] == live.spool.run_id
    assert holds(live.recorder.path) == []
    fields = [set(event.data) for event in events if event.type in ("text.delta", "step.completed")]
    assert all(names <= FIELDS for names in fields)


@pytest.mark.parametrize("pattern", GREEDY)
def test_such_a_pattern_is_taken_out_of_a_finished_run_too(tmp_path: Path, pattern: str) -> None:
    live = Live(tmp_path, redact={"on": False})
    told(live)
    live.end()
    reader, store = open_reader(live.recorder.path), FolderStore(str(tmp_path))
    made = redact(store, reader, Redactor({"on": True, "patterns": [pattern]}, known=False, patient=True))
    seal = reader.head()
    reader.close()
    if made is None:
        return
    path = store.path(made.info.run_id)
    assert path is not None
    assert holds(path) == []
    with_link = open_reader(path)
    origin = with_link.read(0, 1)[0].data["redacted_from"]
    with_link.close()
    assert origin == {"run_id": live.spool.run_id, "seal": f"sha256:{seal.hash.hex()}"}


def test_a_secret_that_is_the_name_of_a_field_goes_with_all_that_the_field_holds(tmp_path: Path) -> None:
    name, secret = KNOWN["github"][0], KNOWN["aws"][0]
    live = Live(tmp_path, redact={"on": True})
    live.write("events", line("my.type", **{f"k {name}": [secret, {"x": secret}], "text": "stays"}))
    said = str([event.data for event in live.end()])
    assert name not in said
    assert secret not in said
    assert "stays" in said


def test_a_variable_that_the_user_names_is_secret_whatever_it_holds() -> None:
    environ = {"ACME_PIN": "1234567890", "ACME_AT": "/run/secrets/x", "OTHER_TOKEN": "1234567890", "ACME_NO": "short"}
    assert settings(environ, {"names": ["ACME_*"]})["values"] == {"ACME_PIN": "1234567890", "ACME_AT": "/run/secrets/x"}


def test_a_pattern_without_a_character_is_refused() -> None:
    with pytest.raises(UsageError, match="a pattern is empty"):
        Redactor({"on": True, "patterns": [""]})


def test_a_pipe_with_the_name_of_a_configuration_is_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "durastream.toml")
    os.mkfifo(tmp_path / "pyproject.toml")
    assert asked_redaction({}, str(tmp_path))["on"] is True
