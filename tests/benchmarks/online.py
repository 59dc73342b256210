"""Learners that go forwards in time, over a million steps: what a step costs, and what the process holds.

`python -m tests.benchmarks online` takes an hour and a half.
"""

import resource
import time
from pathlib import Path

import torch

from lstmapps.learning import RTRL, UORO, ElementwiseRTRL, ErrorCarousel, SnAp1
from lstmapps.nn import ElementwiseLSTMCell, LSTMCell

LEARNERS = {
    "RTRL": (RTRL, LSTMCell()),
    "SnAp-1": (SnAp1, LSTMCell()),
    "1997 online": (ErrorCarousel, LSTMCell("1997")),
    "elementwise RTRL": (ElementwiseRTRL, ElementwiseLSTMCell()),
    "UORO": (UORO, LSTMCell()),
}
STEPS = 1_000_000
INPUTS, HIDDEN = 3, 4


@torch.no_grad()
def run() -> None:
    torch.set_num_threads(1)
    print(f"{STEPS:,} steps of {HIDDEN} units: microseconds a step, held after a thousand and after all, MiB")
    for name, (kind, cell) in LEARNERS.items():
        torch.manual_seed(0)
        weights = tuple(0.3 * torch.randn(shape) for shape in cell.shapes(INPUTS, HIDDEN).values())
        learner, x = kind(cell, weights), torch.randn(64, 1, INPUTS)
        begin = time.perf_counter()
        for step in range(STEPS):
            h = learner.step(x[step % 64])
            learner.gradient(h)
            if step == 1_000:
                early = _held()
        cost = 1e6 * (time.perf_counter() - begin) / STEPS
        print(f"{name:<20}{cost:9.0f} us {early:9.1f} {_held():9.1f}", flush=True)


def _held() -> float:
    """Return what the process holds, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
