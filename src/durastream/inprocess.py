"""A run recorded from within the program itself: the same spool and the same recorder, in a thread."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from durastream import probe
from durastream.configuration import asked_redaction
from durastream.errors import DurastreamError, StoreError
from durastream.ledger import now_text
from durastream.recorder import Recorder, set_aside
from durastream.spool import Spool, boot_id

__all__ = ["InProcess"]


class InProcess:
    """A run of this process, recorded in a thread of it.

    Killed at any moment, the program leaves a spool that `recover` finishes.
    """

    def __init__(self, *, store: str, name: str | None, tags: dict[str, str], command: list[str], log: str) -> None:
        started = time.time()
        log, warning = probe.log_for(store, log)
        self.spool = Spool.create(
            store,
            {
                "command": command,
                "cwd": os.getcwd(),
                "name": name,
                "tags": tags,
                "pid": os.getpid(),
                "started": started,
                "started_at": now_text(started),
                "mono": time.monotonic(),
                "boot_id": boot_id(),
                "log": log,
                "warning": warning,
                "format": "auto",
                "raw": True,
                "redact": asked_redaction(os.environ, os.getcwd()),
            },
        )
        self.run_id = self.spool.run_id
        self.events_path = self.spool.file("events")
        self._locks = [self.spool.lock("supervisor"), self.spool.lock("recorder")]
        self._trouble: DurastreamError | None = None
        try:
            self._recorder: Recorder | None = Recorder(self.spool)
        except BaseException:
            self.spool.remove()
            self.forget()
            raise
        self.path = self._recorder.path
        self._completed: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._record, name=f"durastream-{self.run_id}", daemon=True)
        self._thread.start()

    def _record(self) -> None:
        tries = 0
        while True:
            try:
                if self._recorder is None:
                    self._recorder = Recorder(self.spool)
                self._recorder.run()
            except StoreError as error:
                if self._recorder is not None:
                    self._recorder.release()
                    self._recorder = None
                set_aside(self.spool, error)
                if self.spool.exit_status() is not None:
                    tries += 1
                    self.spool.release_reserve()
                if tries > 3:
                    self._trouble = error
                    return
                time.sleep(0.5)
            except Exception as error:  # noqa: BLE001 - carried over to the thread that calls finish
                self._trouble = DurastreamError(f"the recorder of run {self.run_id} failed: {error!r}")
                self._trouble.__cause__ = error
                return
            else:
                self._completed = self._recorder.state.completed or {}
                return

    def finish(self, *, exit_code: int, error: str | None = None) -> dict[str, Any]:
        """End the run and wait until everything is stored; returns the data of `run.completed`.

        Raises DurastreamError when that fails; the spool then waits for `durastream recover`.
        """
        status: dict[str, Any] = {"exit_code": exit_code, "ts": time.time(), "sent": [], "left": []}
        if error is not None:
            status["start_error"] = error
        try:
            self.spool.write_exit(status)
        except OSError as trouble:
            raise StoreError(f"the end of run {self.run_id} cannot be written: {trouble.strerror}") from trouble
        self._thread.join()
        self.forget()
        if self._trouble is not None:
            raise self._trouble
        return self._completed

    def forget(self) -> None:
        """Let go of the locks: after the end, or in a forked child, which must not keep the run looking alive."""
        locks, self._locks = self._locks, []
        for lock in locks:
            os.close(lock)
