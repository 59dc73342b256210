"""Timing pairs of functions against each other."""

import statistics
import time
from collections.abc import Callable


def ratio(ours: Callable[[], object], theirs: Callable[[], object], runs: int = 15) -> tuple[float, float, float]:
    """Return the medians of both, in seconds, and the median of theirs / ours, measured in turn."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(runs)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return a, b, statistics.median(theirs / ours for ours, theirs in pairs)


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def report(name: str, ours: float, theirs: float, factor: float) -> None:
    print(f"{name:<58}{1000 * ours:9.1f} ms {1000 * theirs:9.1f} ms  {factor:6.2f} x", flush=True)
