"""What a Python function may be to be recorded as an agent. Each runs in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import durastream
from durastream.callables import NoTarget, load, looks_like_target, main
from durastream.events import Event, Src
from durastream.sources.native import parse
from durastream.state import RunState

SRC = str(Path(durastream.__file__).parents[1])


class Ran:
    def __init__(self, code: int, stdout: str, stderr: str, events: list[tuple[str, dict[str, Any]]]) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.events = events
        self.state = RunState()
        for seq, (type_, data) in enumerate(events, 1):
            self.state.apply(Event(seq, "", float(seq), type_, data))

    @property
    def types(self) -> list[str]:
        return [type_ for type_, _ in self.events]

    @property
    def answer(self) -> str:
        """The final answer; its declared hash must be that of what was streamed."""
        message = self.state.answer
        assert message is not None
        assert message.final
        assert (message.declared_sha256, message.declared_length) == (message.sha256(), message.length)
        return message.text


def call(folder: Path, code: str, *words: str, recorded: bool = True) -> Ran:
    """Run `agents:main`, or the target and arguments given, in a folder that holds this code."""
    (folder / "agents.py").write_text(textwrap.dedent(code), encoding="utf-8")
    events = folder / "events"
    events.touch()
    env = {name: value for name, value in os.environ.items() if not name.startswith("DURASTREAM_")}
    env["PYTHONPATH"] = SRC
    if recorded:
        env["DURASTREAM_EVENTS"] = str(events)
    command = [sys.executable, "-W", "error", "-P", "-m", "durastream.callables", *(words or ("agents:main",))]
    ran = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    lines = [parse(line, Src("events", 0)) for line in events.read_bytes().splitlines()]
    assert "raw.rejected" not in [pending.type for pending in lines]
    return Ran(ran.returncode, ran.stdout, ran.stderr, [(pending.type, pending.data) for pending in lines])


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("def main(): return 'Hello'", "Hello"),
        ("def main(): return {'a': ['é']}", '{"a": ["é"]}'),
        ("def main(): return [1, None]", "[1, null]"),
        ("def main(): return b'by\\xfftes'", "by\ufffdtes"),
        ("def main():\n  yield 'Hel'\n  yield 'lo'", "Hello"),
        ("def main():\n  yield 'Hel'\n  yield None\n  return 'lo'", "Hello"),
        ("def main():\n  yield {'a': 1}\n  yield ('b', 2)", '{"a": 1}\n["b", 2]\n'),
        ("def main(): return map(str, range(3))", "012"),
        ("async def main(): return 'Hello'", "Hello"),
        ("async def main():\n  yield 'Hel'\n  yield 'lo'", "Hello"),
        ("async def inner():\n  yield 'Hello'\nasync def main(): return inner()", "Hello"),
        ("def inner():\n  yield 'Hello'\nasync def main(): return inner()", "Hello"),
        ("class Main:\n  def __call__(self): return 'Hello'\nmain = Main()", "Hello"),
    ],
)
def test_what_a_function_gives_is_the_answer(tmp_path: Path, code: str, answer: str) -> None:
    ran = call(tmp_path, code)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")
    assert ran.answer == answer


def test_each_piece_that_is_yielded_is_an_event_of_its_own(tmp_path: Path) -> None:
    ran = call(tmp_path, "def main():\n  yield 'a'\n  yield 'b'")
    assert ran.types == ["message.started", "text.delta", "text.delta", "text.completed"]


def test_a_function_that_gives_nothing_has_no_answer(tmp_path: Path) -> None:
    ran = call(tmp_path, "def main(): print('printed')")
    assert (ran.code, ran.stdout, ran.events) == (0, "printed\n", [])


def test_arguments_are_strings_and_argv_is_theirs(tmp_path: Path) -> None:
    code = "import sys\ndef main(a, b): return f'{a}|{b}|{sys.argv}'"
    assert call(tmp_path, code, "agents:main", "1", "--x y").answer == "1|--x y|['agents:main', '1', '--x y']"


def test_a_method_can_be_named(tmp_path: Path) -> None:
    code = "class Agent:\n  @staticmethod\n  def run(): return 'Hello'"
    assert call(tmp_path, code, "agents:Agent.run").answer == "Hello"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_events_can_be_yielded_in_three_forms(tmp_path: Path, kind: str) -> None:
    code = f"""
        from durastream.events import Event
        {kind} main():
            yield {{"type": "step.started", "data": {{"step_id": "s", "title": "work"}}}}
            yield "Hello"
            yield "step.completed", {{"step_id": "s", "status": "ok"}}
            yield Event(7, "", 0.0, "log.line", {{"text": "a line"}})
        """
    ran = call(tmp_path, code)
    assert ran.types == [
        "step.started",
        "message.started",
        "text.delta",
        "step.completed",
        "log.line",
        "text.completed",
    ]
    assert ran.answer == "Hello"


def test_text_yielded_as_events_is_part_of_the_answer(tmp_path: Path) -> None:
    code = """
        def main():
            yield "Hel"
            yield {"type": "text.delta", "data": {"message_id": "answer", "text": "lo"}}
        """
    assert call(tmp_path, code).answer == "Hello"


def test_a_function_that_names_its_own_answer_keeps_it(tmp_path: Path) -> None:
    code = """
        import durastream
        def main():
            yield "thinking aloud"
            durastream.text("Hello", message_id="reply")
            durastream.final_answer(message_id="reply")
        """
    ran = call(tmp_path, code)
    assert ran.answer == "Hello"
    assert ran.types.count("text.completed") == 1


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_that_raises_fails_with_a_traceback_of_its_own_code(tmp_path: Path, kind: str) -> None:
    ran = call(tmp_path, f"{kind} main():\n  yield 'Hel'\n  raise ValueError('boom')")
    assert ran.code == 1
    assert ran.stderr.startswith("Traceback (most recent call last):\n")
    assert ran.stderr.endswith("ValueError: boom\n")
    assert "agents.py" in ran.stderr
    assert ran.types == ["message.started", "text.delta", "error.raised"]
    assert ran.events[-1][1] == {"message": "ValueError: boom", "severity": "error", "fatal": True}


def test_arguments_that_do_not_fit_are_the_functions_own_error(tmp_path: Path) -> None:
    ran = call(tmp_path, "def main(): return 'x'", "agents:main", "one too many")
    assert ran.code == 1
    assert ran.stderr.endswith("main() takes 0 positional arguments but 1 was given\n")


@pytest.mark.parametrize(("leave", "code"), [("sys.exit(5)", 5), ("sys.exit()", 0), ("sys.exit('no')", 1)])
def test_a_function_may_choose_its_exit_code(tmp_path: Path, leave: str, code: int) -> None:
    assert call(tmp_path, f"import sys\ndef main(): {leave}").code == code


def test_an_interrupt_ends_it_as_it_ends_any_python(tmp_path: Path) -> None:
    ran = call(tmp_path, "import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGINT)")
    assert ran.code == -signal.SIGINT


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:main", "there is no module nowhere"),
        ("agents.deeper:main", "there is no module agents.deeper"),
        ("agents:nothing", "agents has no nothing"),
        ("agents:constant", "agents:constant is a int, which cannot be called"),
        ("agents.py:main", "write agents:main"),
        ("agents", "'agents' is not of the form package.module:function"),
    ],
)
def test_a_target_that_cannot_be_called_is_one_clear_line(tmp_path: Path, target: str, message: str) -> None:
    ran = call(tmp_path, "constant = 1\ndef main(): pass", target)
    assert ran.code == 2
    assert ran.stderr.startswith("durastream: ")
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert [(type_, data["fatal"]) for type_, data in ran.events] == [("error.raised", True)]


@pytest.mark.parametrize("code", ["import no_such_package", "1 / 0", "def ("])
def test_a_module_that_fails_to_load_shows_where(tmp_path: Path, code: str) -> None:
    ran = call(tmp_path, code)
    assert ran.code == 2
    assert "agents.py" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("durastream: cannot import agents: ")


def test_the_current_folder_hides_nothing_of_durastream(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    (tmp_path / "durastream.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    ran = call(tmp_path, "def main(): return 'Hello'")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.answer == "Hello"


def test_called_by_hand_outside_a_run_it_prints(tmp_path: Path) -> None:
    ran = call(tmp_path, "def main():\n  yield 'Hel'\n  yield 'lo'", recorded=False)
    assert (ran.code, ran.stdout, ran.events) == (0, "Hello", [])


def test_without_a_target_it_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "package.module:function" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["pkg.mod:fn", "m:f", "_m:Class.method"])
def test_targets_are_recognised(word: str) -> None:
    assert looks_like_target(word)


@pytest.mark.parametrize("word", ["python", "./a.py:f", "a:", ":f", "localhost:80", "a:b:c", "http://x", "a b:c", ""])
def test_other_words_are_no_targets(word: str) -> None:
    assert not looks_like_target(word)


def test_a_target_is_loaded() -> None:
    assert load("os.path:join") is os.path.join
    with pytest.raises(NoTarget):
        load("os.path")


FRAMEWORK = """
CHUNK = {"event": "on_chat_model_stream", "run_id": "m", "parent_ids": ["r"], "data": {"chunk": {"content": "Hello"}}}
TOOL = {"event": "on_tool_start", "name": "lookup", "run_id": "t", "parent_ids": [], "data": {"input": {}}}
"""


@pytest.mark.parametrize(
    "code",
    [
        "def main(): return iter([CHUNK])",
        "def main():\n  yield CHUNK",
        "async def main():\n  yield CHUNK",
        "class Stream:\n  async def __aenter__(self): return main()\n  async def __aexit__(self, *_): pass\n"
        "async def main():\n  yield CHUNK\ndef entered(): return Stream()",
    ],
)
def test_the_events_of_a_framework_are_told_as_a_tap_tells_them(tmp_path: Path, code: str) -> None:
    ran = call(tmp_path, FRAMEWORK + code, "agents:entered" if "entered" in code else "agents:main")
    assert ran.types == ["agent.identified", "text.delta"]
    assert ran.state.answer is not None
    assert ran.state.answer.text == "Hello"


def test_the_stream_of_a_result_is_read_and_its_final_output_declared(tmp_path: Path) -> None:
    code = """
        class Result:
            final_output = "Hello"
            async def stream_events(self):
                yield {"type": "raw_response_event", "data": {"type": "response.in_progress"}}
        def main(): return Result()
        class Other:
            async def stream_events(self):
                yield "Hello"
        async def other(): return Other()
        """
    ran = call(tmp_path, code)
    assert ran.types == ["agent.identified", "text.delta", "text.completed", "run.declared"]
    (tmp_path / "events").unlink()
    assert call(tmp_path, code, "agents:other").answer == "Hello"


def test_what_a_framework_was_at_when_the_function_raised_has_failed(tmp_path: Path) -> None:
    ran = call(tmp_path, FRAMEWORK + "def main():\n  yield TOOL\n  raise ValueError('no route')")
    assert ran.code == 1
    assert ran.types == ["agent.identified", "step.started", "step.completed", "error.raised"]


def test_called_by_hand_the_events_of_a_framework_are_not_shown(tmp_path: Path) -> None:
    ran = call(tmp_path, FRAMEWORK + "def main():\n  yield CHUNK\n  yield 'Hello'", recorded=False)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "Hello", "")
