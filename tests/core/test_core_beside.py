"""What is done beside is waited for, with what it gives or raises; where there is no thread, it is done at once."""

from __future__ import annotations

import threading

import pytest

from durastream import beside
from durastream.beside import Beside


def test_whoever_began_it_goes_on_and_gets_what_it_gives() -> None:
    go = threading.Event()
    one = Beside(lambda: go.wait(20))
    assert one.runs
    go.set()
    assert one.result() is True
    assert not one.runs


def test_what_it_raises_is_raised_where_the_result_is_asked_for() -> None:
    one = Beside(lambda: {}["missing"])
    one.wait()
    with pytest.raises(KeyError):
        one.result()


def test_without_a_thread_to_be_had_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(beside, "start_new_thread", none_left)
    one = Beside(lambda: 3)
    assert (one.runs, one.result()) == (False, 3)
