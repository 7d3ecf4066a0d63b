"""What the tests of redaction share: canaries, and spools that a recorder reads in this process."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from durastream.events import Event, Pending, Src, dumps
from durastream.recorder import Recorder
from durastream.spool import Spool
from durastream.stores.folder import open_reader

CANARY = "canary-7f3a-value"
"""The value of a variable."""

KNOWN = {
    "aws": ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    "github": ("ghp_" + "a1B2" * 9, "a1B2" * 9),
    "anthropic": ("sk-ant-" + "api03-x_Y" * 5, "api03-x_Y" * 5),
    "openai": ("sk-proj-" + "Ab1_" * 10, "Ab1_" * 10),
    "google": ("AIza" + "SyA1b_-" * 5, "SyA1b_-" * 5),
    "slack": ("xoxb-" + "1234-abcd-" * 3, "1234-abcd-" * 3),
    "stripe": ("sk_live_" + "4eC39HqL" * 3, "4eC39HqL" * 3),
    "gitlab": ("glpat-" + "aB3-dE6_" * 3, "aB3-dE6_" * 3),
    "huggingface": ("hf_" + "aBcDeFg1" * 4, "aBcDeFg1" * 4),
    "npm": ("npm_" + "aB3dE6" * 6, "aB3dE6" * 6),
    "pypi": ("pypi-AgE" + "IcHlwaS5_" * 5, "IcHlwaS5_" * 5),
    "groq": ("gsk_" + "aB3dE6gH" * 6, "aB3dE6gH" * 6),
    "xai": ("xai-" + "aB3dE6gH" * 8, "aB3dE6gH" * 8),
    "auth": ("Authorization: Basic Ym9iOnMzY3IzdA==", "Ym9iOnMzY3IzdA=="),
    "jwt": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"),
    "private-key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\nx1y2z3==\n-----END RSA PRIVATE KEY-----",
        "MIIEowIBAAKCAQEA",
    ),
    "bearer": ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    "url": ("postgres://bob:s3cr3tpw@db.example/x", "s3cr3tpw"),
    "password": ("password=hunter22x", "hunter22x"),
    "secret": ('"api_key": "k3y-0123456789abcdef"', "k3y-0123456789abcdef"),
}
"""Of each kind a text that holds one, and what of it must be in no file."""

NEAR = {
    "aws": "AKIAIOSFODNN7EXAMPLEX and AKIAlowercase7example",
    "github": "ghp_short and ghp_user_name",
    "gitlab": "glpat-short and glpat-is-a-prefix",
    "anthropic": "sk-ant-api03",
    "openai": "sk-proj-mine and sk-learn",
    "google": "AIzaShort and ya29.x",
    "slack": "xoxb-12345",
    "stripe": "sk_live_short and whsec_",
    "huggingface": "hf_hub_download and hf_transfer",
    "npm": "npm_config_registry and npm_package_version",
    "pypi": "pypi-AgEnt and pypi-AgEIcHlw",
    "groq": "gsk_small",
    "xai": "xai-sdk-python",
    "jwt": "eyJub3QiOiJhIGp3dCJ9.e30.x",
    "private-key": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC\n-----END PUBLIC KEY-----",
    "bearer": "the bearer of this authorization-letter",
    "auth": "Authorization: Basic auth is used",
    "url": "https://db.example:5432/x and git@example.org:user/repo.git",
    "password": "password=$DB_PASSWORD1 and password = read_password1()",
    "secret": "api_key=settings.short and token: str",
}
"""Of each kind a text that nearly is one, and stays."""

ON = {"on": True, "values": {"CANARY_TOKEN": CANARY}}


def delta(text: str, offset: int = 0, message_id: str = "answer") -> Pending:
    data = {"message_id": message_id, "text": text}
    return Pending("text.delta", data, dumps(data), Src("events", offset))


def line(type_: str, **data: Any) -> bytes:
    """A native event as an agent writes it."""
    return json.dumps({"type": type_, "data": data}).encode() + b"\n"


class Live:
    """A run whose agent is the test: what it writes, and a recorder that takes a step when it is told to."""

    def __init__(self, folder: Path, log: str = "sqlite", redact: dict[str, Any] | None = None, **more: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        meta = {
            "command": ["agent"], "cwd": "/", "tags": {}, "started": time.time(), "mono": time.monotonic(),
            "started_at": "2026-11-24T06:00:00.000000Z", "boot_id": "", "log": log, "format": "auto", "raw": True,
            "redact": ON if redact is None else redact, **more,
        }  # fmt: skip
        self.folder = folder
        self.spool = Spool.create(str(folder), meta)
        self.lock = self.spool.lock("supervisor")
        self.recorder = Recorder(self.spool)

    def write(self, stream: str, data: bytes) -> None:
        fd = self.spool.open(stream, os.O_WRONLY | os.O_APPEND)
        os.write(fd, data)
        os.close(fd)

    def step(self) -> None:
        """Let the recorder take all that there is, as if nothing more came for a while."""
        for tail in self.recorder._tails:
            tail._read_at = 0.0
        self.recorder.step()

    def killed(self) -> None:
        """Another recorder takes over: what the one before had in memory is lost."""
        self.recorder.release()
        self.recorder = Recorder(self.spool)

    def end(self) -> list[Event]:
        """The agent ends; all events of the run."""
        self.spool.write_exit({"exit_code": 0, "ts": time.time(), "sent": [], "left": []})
        self.recorder.run()
        os.close(self.lock)
        reader = open_reader(self.recorder.path)
        try:
            return reader.read(0, 100_000)
        finally:
            reader.close()


def left_on_disk(folder: Path, *secrets: str) -> list[str]:
    """The files below a folder that hold one of some secrets, in their bytes, compressed bytes, or name."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes() + str(path).encode() + _unpacked(path)
            found += [f"{path.name}: {secret}" for secret in secrets if secret.encode() in data]
    return found


def _unpacked(path: Path) -> bytes:
    """The raw bytes that a recording keeps, which stand compressed in it."""
    if path.suffix not in (".db", ".jsonl") or path.name.startswith(".") or ".addenda." in path.name:
        return b""
    reader = open_reader(str(path))
    try:
        return b"".join(piece for stream in ("stdout", "stderr", "events") for piece in reader.raw(stream))
    finally:
        reader.close()
