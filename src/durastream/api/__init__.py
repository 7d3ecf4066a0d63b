"""What a Python agent calls. Each call appends one line, whole, to the event file of the run it is in.

The run is the innermost `recording()` of this context, else of this process, else the `durastream run` around the
process (`$DURASTREAM_EVENTS`). Outside a run every call does nothing and costs a microsecond.

The program is never hurt by being recorded: no call raises for a full disk, a run that is over or a value that JSON
does not know. Trouble is one line on stderr; events that were lost are counted in the log as soon as it takes more.

Imports are few and cheap, because every agent pays for them.
"""

from __future__ import annotations

from durastream.api.approvals import Approval, approval
from durastream.api.context import active, run_id
from durastream.api.facts import artifact, check, emit, error, log, source, usage
from durastream.api.messages import complete, final_answer, finish, reasoning, retract, text
from durastream.api.plans import Plan, plan
from durastream.api.recordings import Recording, recording
from durastream.api.steps import Step, step
from durastream.api.taps import tap

__all__ = [
    "Approval",
    "Plan",
    "Recording",
    "Step",
    "active",
    "approval",
    "artifact",
    "check",
    "complete",
    "emit",
    "error",
    "final_answer",
    "finish",
    "log",
    "plan",
    "reasoning",
    "recording",
    "retract",
    "run_id",
    "source",
    "step",
    "tap",
    "text",
    "usage",
]
