"""A tiny domain that the core's tests train on, and small runs of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A folder with `train.tsv` and a few drawn lines of figures, and their pictures."""
    from drawn import draw_lines

    return draw_lines(tmp_path / "lines", 24)
