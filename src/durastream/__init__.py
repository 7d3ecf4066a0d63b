"""Record what an agent does while it does it: `import durastream` and say so.

    with durastream.recording("research"):      # or start the program with `durastream run`
        with durastream.step("search", kind="tool") as step:
            step.output(find())
        durastream.text("The answer is …")
        durastream.final_answer()

Outside of both, every call does nothing. What the calls promise is said in `durastream.api`.
"""

from __future__ import annotations

from durastream import forks, version

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
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
        tap,
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
    "tap",
    "text",
    "usage",
]

__version__ = version.VERSION

if not TYPE_CHECKING:  # a type checker would take every name for known

    def __getattr__(name: str) -> object:
        """The calls are loaded when the first one is named: every durastream command imports this, and few call."""
        if name not in __all__ and name != "api":
            raise AttributeError(f"module 'durastream' has no attribute {name!r}")
        with forks.loading:
            import durastream.api as api
        globals().update({call: getattr(api, call) for call in __all__ if call not in globals()})
        return api if name == "api" else globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
