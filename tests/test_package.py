"""What holds of the package as a whole."""

from __future__ import annotations

import tomllib
from pathlib import Path

from durastream.version import VERSION

ROOT = Path(__file__).parent.parent


def test_the_version_in_the_code_is_that_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION
