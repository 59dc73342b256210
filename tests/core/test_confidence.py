"""Calibrated confidence."""

import numpy as np
import pytest

from lstmapps.confidence import Calibration, calibration_error, fit_calibration, pieces_right


def test_calibration_finds_the_law_that_made_the_outcomes():
    generator = np.random.default_rng(0)
    raw = generator.uniform(0.05, 0.999, 20_000)
    law = Calibration(0.6, -0.5)
    right = generator.uniform(size=len(raw)) < [law(p) for p in raw]
    found = fit_calibration(raw.tolist(), right.tolist())
    assert found.scale == pytest.approx(0.6, abs=0.05)
    assert found.offset == pytest.approx(-0.5, abs=0.05)
    calibrated = [found(p) for p in raw]
    assert calibration_error(calibrated, right.tolist()) < 0.02 < calibration_error(raw.tolist(), right.tolist())


def test_the_default_changes_nothing():
    assert Calibration()(0.3) == pytest.approx(0.3)
    assert fit_calibration([], []) == Calibration()


def test_a_network_that_is_too_sure_of_itself_is_believed_as_often_as_it_is_right():
    raw = [0.999999] * 180 + [0.9] * 20
    right = ([True] * 120 + [False] * 60) + [True] * 10 + [False] * 10
    calibrated = [fit_calibration(raw, right)(p) for p in raw]
    assert calibrated[0] == pytest.approx(2 / 3, abs=0.02)
    assert calibrated[-1] == pytest.approx(1 / 2, abs=0.05)


@pytest.mark.parametrize(("scale", "expected"), [(1e4, 0.0), (-1e4, 1.0)])
def test_no_calibration_overflows(scale, expected):
    assert Calibration(scale)(0.1) == expected


def test_certainty_stays_finite():
    assert 0.0 <= Calibration(2.0, 1.0)(0.0) < Calibration(2.0, 1.0)(1.0) <= 1.0


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [("abc", "abc", [1, 1, 1]), ("abc", "axc", [1, 0, 1]), ("abc", "abbc", 3), ("", "a", [0]), ("a", "", [])],
)
def test_pieces_right(reference, hypothesis, expected):
    right = pieces_right(reference, hypothesis)
    if isinstance(expected, int):
        assert sum(right) == expected
    else:
        assert right == [bool(x) for x in expected]


def test_calibration_error_of_a_constant_is_its_gap():
    assert calibration_error([0.9] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.4)
