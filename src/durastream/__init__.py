"""Record what an agent does while it does it: `import durastream` and say so.

    with durastream.recording("research"):      # or start the program with `durastream run`
        with durastream.step("search", kind="tool") as step:
            step.output(find())
        durastream.text("The answer is …")
        durastream.final_answer()

Outside of both, every call does nothing. What the calls promise is said in `durastream.api`.
"""

from __future__ import annotations

from durastream.api import (
    Plan,
    Recording,
    Step,
    approval,
    artifact,
    check,
    complete,
    emit,
    error,
    final_answer,
    log,
    plan,
    reasoning,
    recording,
    retract,
    run_id,
    source,
    step,
    text,
    usage,
)

__all__ = [
    "Plan",
    "Recording",
    "Step",
    "__version__",
    "approval",
    "artifact",
    "check",
    "complete",
    "emit",
    "error",
    "final_answer",
    "log",
    "plan",
    "reasoning",
    "recording",
    "retract",
    "run_id",
    "source",
    "step",
    "text",
    "usage",
]

__version__: str

TYPE_CHECKING = False
if not TYPE_CHECKING:  # a type checker would take every name for known

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module 'durastream' has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # 20 ms to import, for who asks

        try:
            return version("durastream-cli")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0+unknown"
