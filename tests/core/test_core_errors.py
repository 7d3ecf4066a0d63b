"""One error tree, and the exit code that each branch gives a command."""

from __future__ import annotations

import pytest

from durastream import errors
from durastream.errors import AgentNotStarted, DurastreamError

EXIT_CODES = {
    "DurastreamError": 1,
    "UsageError": 2,
    "RecordingError": 3,
    "RunNotFound": 3,
    "RunAmbiguous": 3,
    "NotARecording": 3,
    "NewerFormat": 3,
    "Damaged": 3,
    "StoreError": 125,
    "StoreUnwritable": 125,
    "StoreFull": 125,
    "StoreConflict": 125,
    "StoreDamaged": 125,
    "RunLocked": 125,
}


def test_the_tree_is_what_its_docstring_draws() -> None:
    assert set(errors.__all__) == {*EXIT_CODES, "AgentNotStarted"}
    assert all(name in str(errors.__doc__) for name in errors.__all__)


@pytest.mark.parametrize(("name", "exit_code"), EXIT_CODES.items())
def test_every_error_is_a_durastream_error_with_its_exit_code(name: str, exit_code: int) -> None:
    error = getattr(errors, name)("what happened")
    assert isinstance(error, DurastreamError)
    assert (str(error), error.exit_code) == ("what happened", exit_code)


@pytest.mark.parametrize("exit_code", [126, 127])
def test_an_agent_that_was_not_started_has_the_exit_code_of_a_shell(exit_code: int) -> None:
    assert AgentNotStarted("not found", exit_code=exit_code).exit_code == exit_code
