"""What a shell offers for the word that is being typed: runs, formats, rules. Nothing here may be slow, or fail."""

from __future__ import annotations

from durastream.cli.common import attached_store
from durastream.errors import DurastreamError
from durastream.rules import FAMILIES, RULES
from durastream.sources.adapters import BUILTIN

__all__ = ["formats", "rules", "runs"]


def runs(incomplete: str) -> list[str]:
    """Names and ids of the runs of the store here, and the words that mean one of them."""
    try:
        infos = list(attached_store(None).infos())
    except DurastreamError:
        return []
    words = [word for info in infos for word in (info.name, info.run_id) if word]
    return _fitting(["latest", *words] if infos else [], incomplete)


def formats(incomplete: str) -> list[str]:
    """The formats that come along."""
    return _fitting(["auto", "native", "text", *BUILTIN], incomplete)


def rules(incomplete: str) -> list[str]:
    """The codes of rules, and their families."""
    return _fitting([*FAMILIES, *RULES], incomplete)


def _fitting(words: list[str], incomplete: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]
