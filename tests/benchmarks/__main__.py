"""Run every benchmark, or those named: `python -m tests.benchmarks [layers training prediction start]`."""

import sys

import torch

from tests.benchmarks import layers, prediction, start, training

BENCHMARKS = {"layers": layers.run, "training": training.run, "prediction": prediction.run, "start": start.run}

if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
