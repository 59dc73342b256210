"""A line of figures that the tests of pictures and of pages compare with."""

import pytest
from drawn import draw
from lstmapps_handwriting.domain import Handwriting


@pytest.fixture
def plain(tmp_path):
    """The loaded line `123`, 24 high."""
    draw("123").save(tmp_path / "plain.png")
    domain = Handwriting(24)
    (sample,) = domain.read(str(tmp_path / "plain.png"))
    return domain.load(domain.measure(sample))
