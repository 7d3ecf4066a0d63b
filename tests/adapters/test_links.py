"""Addresses in a text that comes in pieces."""

from __future__ import annotations

from durastream.sources.adapters import Narrator
from durastream.sources.adapters.links import Links


def _cited(*pieces: str) -> list[str]:
    say, links = Narrator(), Links()
    for piece in pieces:
        links.add(piece)
    links.cite(say)
    links.cite(say)
    return [data["url"] for _, data in say.drain()]


def test_addresses_are_found_over_pieces_and_at_the_end() -> None:
    assert _cited("See (htt", "ps://example.", "org/a) and https://example.org/b") == [
        "https://example.org/a", "https://example.org/b",
    ]  # fmt: skip
    assert _cited("no address: ", "here") == []
    assert _cited("x" * 5000, "https://example.org/", "a") == ["https://example.org/a"]
    assert len(_cited("https://example.org/ " + "y" * 5000)) == 1


def test_addresses_without_end_are_not_kept_without_end() -> None:
    pieces = [f"https://example.org/{number} " for number in range(200)]
    assert len(_cited(*pieces)) == 50
