"""Every kind of secret, whole and cut at each of its characters, in every stream: where is it found afterwards?"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

from redaction_kit import CANARY, KNOWN, ON, Live, left_on_disk, line

from durastream.recorder import Recorder
from durastream.stores.folder import open_reader

OFF = {"on": False}
SECRETS = {**KNOWN, "env": (CANARY, CANARY)}


class Placed(NamedTuple):
    """How often a secret was written, how often it is in the recording, how many files were searched and held it."""

    places: int
    held: int
    files: int
    found: int


class Dying(Live):
    """A run whose recorders each take one step, and are killed after it."""

    def __init__(self, folder: Path, log: str, redact: dict[str, Any]) -> None:
        super().__init__(folder, log, redact)
        self.recorder.release()

    def step(self) -> None:
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                self.recorder = Recorder(self.spool)
                super().step()
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    def end(self) -> list[Any]:
        self.recorder = Recorder(self.spool)
        return super().end()


def placed(kind: str, log: str, folder: Path, *, kill: bool, redact: dict[str, Any] = ON) -> Placed:
    """Write a secret once for each of its characters: cut before it, the recorder taking a step (and dying) there."""
    text, secret = SECRETS[kind]
    live = (Dying if kill else Live)(folder, log, redact)
    files = found = 0
    for at in range(len(text)):
        for part in (f"it is {text[:at]}", f"{text[at:]} ok\n"):
            live.write("events", line("text.delta", message_id=f"m{at}", text=part))
            live.write("stdout", part.encode())
            live.write("stderr", part.encode())
            if not kill or part.startswith("it is "):
                live.step()
            there = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
            files += len(there)
            found += sum(secret.encode() in each for each in there)
    events = live.end()
    files += sum(path.is_file() for path in folder.rglob("*"))
    found += len(left_on_disk(folder, secret))
    texts: dict[str, str] = {}
    for event in events:
        if event.type == "text.delta":
            texts[event.data["message_id"]] = texts.get(event.data["message_id"], "") + event.data["text"]
    with contextlib.closing(open_reader(live.recorder.path)) as reader:
        raw = [b"".join(reader.raw(stream)) for stream in ("stdout", "stderr")]
    held = sum(each.count(secret.encode()) for each in raw)
    held += sum(secret in told for name, told in texts.items() if name.startswith("m"))
    return Placed(3 * len(text), held, files, found)
