"""The only writer of a recording: tails the spool, times what it finds, and stores it in batches.

Each event says where its bytes stood, so how far the spool was read is recovered from the recording itself: ingest is
exactly once, however often a recorder is killed. After an error that concerns the store a recorder does not go on; a
new one starts from what the store says.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from durastream import answer
from durastream.deputy import Deputy
from durastream.errors import (
    Damaged,
    DurastreamError,
    RunLocked,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
)
from durastream.events import FORMAT, Found, Pending, show_hash
from durastream.ledger import Ledger, closing, judged, now_text, own
from durastream.notes import REMOVED, cut_short, given_back, notes_on, warning
from durastream.packing import RAW_PIECE, Packing, Queue
from durastream.redaction.redactor import Redactor
from durastream.spool import STREAMS, Spool, boot_id, sweep
from durastream.state import RunState
from durastream.stores import FolderStore, Reader, Writer
from durastream.stores.folder import info_of, open_reader
from durastream.stores.protocols import completed_info
from durastream.supervisor import GIVE_UP, RETRY
from durastream.surroundings import Surroundings
from durastream.tail import Control, Place, Tail

__all__ = ["Recorder", "main", "recover", "set_aside"]

_PAUSES = (0.002, 0.03)
_ABANDONED = 600.0


class Recorder:
    """Records one run from its spool into one recording. Made anew after every error."""

    def __init__(self, spool: Spool, store: FolderStore | None = None) -> None:
        self.spool = spool
        self.store = store if store is not None else FolderStore(spool.store)
        asked = spool.meta()
        self.redactor = Redactor(asked.get("redact"))
        self.meta = self.redactor.meta(asked)
        self._same_boot = self.meta.get("boot_id") == boot_id()
        self._read_by_stream: dict[str, Place] = {}
        self._raw_at: dict[str, int] = {}
        self._packing = Queue()
        self._on_its_way: list[Packing] = []
        self._held = contextlib.ExitStack()
        self._around = Surroundings(spool)
        self._deputy = Deputy(spool, self.meta, self.meta["mono"] if self._same_boot else time.monotonic())
        self._over = False
        self._over_at = 0.0
        self.done = False
        try:
            self._open()
        except BaseException:
            self.release()
            raise

    def _open(self) -> None:
        """Take up the spool and the recording where they are. What is opened is let go of by `release`."""
        spool = self.spool
        bell = spool.open("bell", os.O_WRONLY)
        self._held.callback(os.close, bell)
        writer = self.store.resume(spool.run_id)
        self._resumed = writer is not None and writer.head.seq > 0
        self._writer: Writer = writer or self._create()
        self._held.callback(self._writer.close)
        self._ledger = Ledger(self._writer, bell, self.redactor, ahead=True)
        self._held.callback(self._ledger.wait)
        self._recover_state()
        self._tails: list[Tail] = []
        for stream in ("control", *STREAMS):
            self._tails.append(self._tail(stream))
            self._held.callback(self._tails[-1].release)
        self._begin()
        self._around.watch(self.path, self._writer.check)

    def _create(self) -> Writer:
        """A new recording. What is left of one that somebody removed or moved must not be read into it."""
        info, log = info_of(self.meta), self.meta["log"]
        for end in ("-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.store.folder, f"{info.run_id}.db{end}"))
        return self.store.create(info, log)

    @property
    def path(self) -> str:
        path = self.store.path(self.spool.run_id)
        assert path is not None
        return path

    @property
    def state(self) -> RunState:
        """The run so far, without the text that is stored."""
        return self._ledger.state

    # the start

    def _recover_state(self) -> None:
        """Fold what is stored, and learn from it how far each stream was read."""
        if not self._resumed:
            return
        reader: Reader = open_reader(self.path)
        self._held.callback(reader.close)
        cut = {cut_short(stream): stream for stream in STREAMS}
        try:
            while events := reader.read(self.state.seq, whole=False):
                self._ledger.known(events)
                for event in events:
                    if event.src is not None:
                        stream, offset, length = event.src
                        self._read_by_stream[stream] = self._read_by_stream.get(stream, Place()).then(offset, length)
                    elif event.type == "error.raised" and event.data.get("message") in cut:
                        self._read_by_stream.pop(cut[event.data["message"]], None)
        except Damaged as error:
            raise StoreDamaged(str(error)) from error
        if reader.damage:
            raise StoreDamaged(f"{self.path} was damaged while it was written: {reader.damage[0]}")
        reader.close()

    def _tail(self, stream: str) -> Tail:
        place = self._read_by_stream.get(stream, Place())
        format_, words = self.meta.get("format", "auto"), self.meta.get("command") or ()
        keeps = stream != "control" and self.meta.get("raw", True)
        kept = self._writer.raw_length(stream) if keeps else None
        tail = Tail(
            self.spool, stream, format_, place, words, late=self._resumed, settled=not self._same_boot,
            redactor=self.redactor, kept=kept, stored=self.state.messages, recorded=lambda: self._recorded(stream),
        )  # fmt: skip
        if any(error.get("message") == cut_short(stream) for error in self.state.errors):
            tail.gapless = False
        tail.give_back_more()
        if stream != "control":
            self._raw_at[stream] = self._writer.raw_length(stream)
        return tail

    def _recorded(self, stream: str) -> Iterator[bytes]:
        """The bytes of a stream, as they are kept in the recording."""
        with contextlib.closing(open_reader(self.path)) as reader:
            yield from reader.raw(stream)

    def _begin(self) -> None:
        if self.state.completed is not None:
            return
        if not self._resumed:
            started = {
                name: self.meta[name]
                for name in ("run_id", "command", "callable", "cwd", "name", "tags", "host", "pid", "prompt",
                             "parent_run_id", "versions", "max_bytes", "max_duration", "env")
                if self.meta.get(name) is not None
            }  # fmt: skip
            started["format"] = FORMAT
            started.setdefault("host", os.uname().nodename)
            started["stdout"] = self.meta.get("format", "auto")
            started["raw"] = bool(self.meta.get("raw", True))
            started["redaction"] = self.redactor.disclosed()
            size = self.meta.get("terminal")
            if size is None:
                first = own("message.started", {"message_id": "stdout", "role": "assistant"})
            else:
                first = own("terminal.resized", {"columns": size[0], "rows": size[1]})
            opening = [own("run.started", started), first]
            self._ledger.append(opening, (self.meta["started_at"], 0.0))
            replaced = (self.spool.trouble() or {}).get("replaced")
            told = [warning(str(text)) for text in (replaced, self.meta.get("warning")) if text]
            if told:
                self._append(told)
        else:
            self._append([own("run.resumed", {"reason": "a new recorder took over"})])
        if lost := [warning(given_back(tail.stream, tail.missed)) for tail in self._tails if tail.missed]:
            self._append(lost)
        if self.spool.trouble() is not None:
            self.spool.write_trouble(None)  # it goes on: whatever it was is over

    # the loop

    def run(self) -> None:
        """Record until the run has ended. Raises StoreError when the store does not take it."""
        shortest, longest = _PAUSES
        pause = shortest
        while not self.done:
            if self.step():
                pause = shortest
            else:
                if pause >= longest and not self.done:
                    _warm_up()
                    self._ledger.rest()
                time.sleep(pause)
                pause = min(pause * 1.5, longest)

    def step(self) -> bool:
        """Store what there is, if anything; returns whether there was. Ends the run when it is over."""
        if self.state.completed is not None:
            self._leave()
            return True
        now = time.monotonic()
        ended = self._ended(now)
        found: list[Found] = [*self._around.look(now)]
        read = False
        for tail in self._tails:
            pending = tail.read(now, at_once=ended)
            if pending is not None:
                read = True
                found += self._in_order(tail, pending, now)
            if tail.shrunk:
                tail.shrunk = False
                read = True  # from its start, in the next step
                self._raw_at[tail.stream] = 0
                found.append(warning(cut_short(tail.stream)))
        if found:
            self._append(found)
        if not read and ended:
            self._finish()
            return True
        return read

    def _in_order(self, tail: Tail, pending: list[Found], now: float) -> list[Found]:
        """Before the change of a terminal's size goes what was printed before it."""
        if not isinstance(tail.source, Control) or not tail.source.resized_at:
            return pending
        at = tail.source.resized_at
        found: list[Found] = []
        printed = next(each for each in self._tails if each.stream == "stdout")
        for each in pending:
            if isinstance(each, Pending) and each.type == "terminal.resized":
                offset = at.pop(0)
                while (before := printed.read(now, at_once=True, upto=offset)) is not None:
                    found += before
                found += printed.flush()
            found.append(each)
        at.clear()
        return found

    def _ended(self, now: float) -> bool:
        """Whether the agent will write no more, as far as anyone can know."""
        spool = self.spool
        if self._over:
            return True
        if not os.path.exists(spool.file("exit.json")):
            if now < self._over_at:
                return False
            self._over_at = now + 0.2
            supervised = spool.held("supervisor")
            lives = supervised or spool.agent_alive()
            if lives and not supervised:
                self._deputy.look()
            if (lives or spool.held("terminal")) and spool.exists():
                return False
            self._deputy.agent_gone()
        self._over = True
        for tail in self._tails:
            tail.stop_here()
        return True

    # storing

    def _now(self) -> tuple[str, float]:
        wall = time.time()
        t = time.monotonic() - self.meta["mono"] if self._same_boot else wall - self.meta["started"]
        return now_text(wall), max(round(t, 6), self.state.t)

    def _append(self, found: Sequence[Found], *, raw_rest: bool = False, last: bool = False) -> None:
        late_until = {tail.stream: tail.late_until for tail in self._tails} if self._resumed else None
        packed = self._packed(rest=raw_rest)
        raw = [each.chunk() for each in packed]
        self._ledger.append(found, self._now(), raw=raw, late_until=late_until, last=last)
        self._around.check_files()  # a file that is cut short is known by what it was after the last commit
        stored, self._on_its_way = self._on_its_way, packed
        for each in stored:  # of the batch before, which is on the disk now
            next(tail for tail in self._tails if tail.stream == each.stream).give_back(each.offset, each.piece)

    def _packed(self, *, rest: bool) -> list[Packing]:
        """Raw bytes that are due to be kept: whole pieces while the run lasts, the rest at its end."""
        if not self.meta.get("raw", True):
            return []
        for tail in self._tails:
            if tail.stream == "control" or tail.begin:
                continue
            kept = self._raw_at[tail.stream]
            upto = tail.settled if rest else kept + (tail.settled - kept) // RAW_PIECE * RAW_PIECE
            for packing in tail.raw(kept, upto):
                self._packing.add(packing)
            self._raw_at[tail.stream] = max(kept, upto)
        return self._packing.ready(rest=rest)

    # the end

    def _finish(self) -> None:
        """Close what is open, say how it ended, and leave one plain file."""
        self._around.check_files()
        status = self.spool.exit_status(surely=True)
        last = [pending for tail in self._tails for pending in tail.close()]
        notes = notes_on(status) if os.path.exists(self.spool.file("meta.json")) else [REMOVED]
        notes += [tail.unheard for tail in self._tails if tail.unheard is not None]
        known = {error.get("message") for error in self.state.errors}
        last += [warning(text) for text in notes if text not in known]
        if last:
            self._append(last)
        self._ledger.add(closing(self.state), self._now())
        found, said = judged(self._ledger, status)
        self._append(said, raw_rest=True)
        made = answer.packet(self.state, status, found)
        made["raw"] = {
            tail.stream: {"length": tail.at, "sha256": tail.digest.hexdigest()}
            for tail in self._tails
            if tail.stream != "control" and tail.gapless
        }
        if self.redactor.counts:
            made["redacted"] = dict(sorted(self.redactor.counts.items()))
        made["events"] = self._ledger.head.seq + 1
        self._append([own("run.completed", made)], last=True)
        self._leave()

    def _leave(self) -> None:
        seal = show_hash(self._ledger.head.hash)
        info = completed_info(info_of(self.meta), self.state, self._ledger.head, seal)
        self._writer.finish(info)
        self.release()
        self.spool.remove()
        self.done = True

    def release(self) -> None:
        """Let go of all files."""
        self._held.close()


def _warm_up() -> None:
    """Import the decoder of events while nothing happens: the first event then need not wait 100 ms for it."""
    import durastream.sources.native  # noqa: F401


def set_aside(spool: Spool, error: StoreError) -> bool:
    """Give the files of a recording that was damaged another name, so that it is made anew from the spool.

    Not after the machine went down, for then the spool may have lost its end; False when nothing was done.
    """
    path = FolderStore(spool.store).path(spool.run_id)
    if not isinstance(error, StoreDamaged) or path is None or spool.meta().get("boot_id") != boot_id():
        return False
    for end in ("", "-wal"):
        with contextlib.suppress(OSError):
            os.replace(path + end, f"{path}{end}.damaged")
    spool.write_trouble(_told(error))
    return True


def _told(error: DurastreamError) -> dict[str, Any]:
    """What is written down of an error, for the person who asks."""
    said = {"message": str(error)[:1000], "exit_code": error.exit_code}
    return {**said, "replaced": said["message"]} if isinstance(error, StoreConflict) else said


def recover(spool: Spool) -> bool:
    """Finish the recording of an orphaned run here and now; False when its agent lives or another recorder has it.

    Raises StoreError when the store does not take it, and DurastreamError for what nobody foresaw.
    """
    if spool.alive() or spool.agent_alive():
        return False
    if not spool.exists():
        sweep(spool.store)
        return True
    if spool.read_json("meta.json") is None and spool.age() > _ABANDONED:
        spool.remove()  # somebody was killed before there was a run
        return True
    spool.meta()  # without it the run is just being made
    try:
        lock = spool.lock("recorder", patience=0.1)
    except (RunLocked, FileNotFoundError):
        return False
    except OSError as error:
        raise StoreUnwritable(f"cannot write to the spool {spool.path}: {error.strerror}") from error
    try:
        if not spool.exists():
            return True
        _record(spool)
    except (DurastreamError, OSError, MemoryError, ImportError, SystemError):  # what is told as it is
        raise
    except Exception as error:  # as in `main`: one run that cannot be finished keeps no command from the others
        raise DurastreamError(
            f"its recorder failed, a fault of durastream: {error!r}; what there is of it is kept"
        ) from error
    finally:
        os.close(lock)
    return True


def _record(spool: Spool, *, anew: bool = False) -> None:
    """Record to the end, and once more from the start when what is stored was damaged."""
    try:
        recorder = Recorder(spool)
        try:
            recorder.run()
        finally:
            recorder.release()
    except StoreDamaged as error:
        if anew or not set_aside(spool, error):
            raise
        _record(spool, anew=True)


def main(argv: list[str]) -> int:
    """`python -m durastream.recorder STORE RUN_ID`, as the supervisor starts it."""
    spool = Spool(argv[0], argv[1])
    try:
        lock = spool.lock("recorder")
        gc.freeze()  # a batch is thousands of small objects without a cycle: looking for one costs a tenth
        gc.set_threshold(200_000, 20, 100)
        sys.setswitchinterval(0.0005)  # what stores a batch asks for the interpreter some ten times, and not 5 ms each
        _record(spool)
        os.close(lock)
    except RunLocked:
        return RETRY  # whoever has it goes on with it
    except (StoreFull, StoreUnwritable, StoreConflict) as error:
        return _trouble(spool, error, RETRY)
    except DurastreamError as error:
        return _trouble(spool, error, GIVE_UP)
    except Exception as error:  # noqa: BLE001 - written down, and a new recorder gets its chance
        if not spool.exists():
            return 0  # the one before was killed when all was done, or somebody removed the run
        import traceback

        with contextlib.suppress(OSError):  # in ASCII: it may quote what an agent wrote, and somebody may print it
            for line in traceback.format_exc().splitlines():
                sys.stderr.write(line.encode("unicode_escape").decode() + "\n")
        return _trouble(spool, DurastreamError(f"the recorder of run {spool.run_id} failed: {error!r}"), 70)
    return 0


def _trouble(spool: Spool, error: DurastreamError, code: int) -> int:
    if isinstance(error, StoreFull) and spool.exit_status() is not None:
        spool.release_reserve()
    spool.write_trouble(_told(error))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
