"""Run every benchmark, or those named: `python -m tests.benchmarks [layers training prediction speech start]`."""

import sys

import torch

from tests.benchmarks import layers, prediction, speech, start, training

BENCHMARKS = {
    "layers": layers.run,
    "training": training.run,
    "prediction": prediction.run,
    "speech": speech.run,
    "start": start.run,
}

if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
