"""The wall clock may jump: order is by number, and time within a run only goes forward."""

from __future__ import annotations

from pathlib import Path

from faults_kit import PYTHON, SOURCE, Box

# libfaketime breaks clock_nanosleep, and with it every Python program that sleeps: the clock is changed from within
JUMPY = (
    "import os, time\n"
    "def jumpy(real=time.time):\n"
    "    try:\n"
    "        with open(os.environ['SHIFT']) as file: return real() + float(file.read() or 0)\n"
    "    except OSError: return real()\n"
    "time.time = jumpy\n"
)
AGENT = (
    "import os, sys, time\n"
    "for n in range(5):\n"
    "    while not os.path.exists(f'{sys.argv[1]}{n}'): time.sleep(0.01)\n"
    "    os.write(1, b'line %d\\n' % n)\n"
)


def test_a_wall_clock_that_jumps_is_noted_and_changes_neither_order_nor_durations(box: Box, tmp_path: Path) -> None:
    shift, gate, site = tmp_path / "shift", tmp_path / "gate", tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(JUMPY)
    shift.write_text("0")
    live = box.detach(*PYTHON, "-c", AGENT, str(gate), PYTHONPATH=f"{site}:{SOURCE}", SHIFT=str(shift))
    live.reaches(2)
    for n, by in enumerate((0, 3600, -3600, -1_700_000_000, 400_000_000)):
        shift.write_text(str(by))
        Path(f"{gate}{n}").touch()
        live.reaches(3 + n)
    live.ends()
    found = box.whole(live.run_id)
    assert [event.seq for event in found.events] == list(range(1, len(found.events) + 1))
    assert "".join(data["text"] for data in found.of("text.delta")) == "".join(f"line {n}\n" for n in range(5))
    times = [event.t for event in found.events]
    assert times == sorted(times)
    assert times[-1] < 60
    assert "the clock jumped by +3600 s" in found.warnings
    walls = [event.ts for event in found.events]
    assert walls != sorted(walls), "the clock did jump"
    assert walls[-1] > "2035"
    assert box.ask("verify", live.run_id).code == 0
