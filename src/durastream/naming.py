"""What a run may be called and marked with: the same for the command line and for Python. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from durastream.errors import UsageError

__all__ = ["LOGS", "check_choice", "check_name", "check_tags"]

LOGS = ("sqlite", "jsonl")


def check_choice(value: object, option: str, choices: Sequence[str]) -> None:
    """Raises UsageError for a word that is none of these."""
    if value not in choices:
        raise UsageError(f"{option} {value}: one of {', '.join(choices)}")


def check_name(name: object, option: str) -> None:
    """Raises UsageError for what a run cannot be called: names are typed where `latest`, `@2`, ids and paths are."""
    if not isinstance(name, str) or not name or len(name) > 100 or "/" in name or not name.isprintable():
        raise UsageError(f"{option} takes up to 100 printable characters, without a slash")
    if name == "latest" or (name[0] == "@" and name[1:].isdigit()):
        raise UsageError(f"{option} {name}: that means a run by its place in the list: name it otherwise")


def check_tags(tags: object, option: str) -> None:
    """Raises UsageError for what is no mapping of keys to values."""
    if not isinstance(tags, Mapping) or "" in tags:
        raise UsageError(f"{option}: a mapping of keys to values, not {str(tags)[:80]!r}")
