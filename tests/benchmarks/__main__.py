"""Run every benchmark, or those named, as in `python -m tests.benchmarks layers start`; those of hours only so."""

import sys

import torch

from tests.benchmarks import captioning, grids, layers, online, prediction, speech, start, training, translation

BENCHMARKS = {
    "layers": layers.run,
    "grids": grids.run,
    "training": training.run,
    "prediction": prediction.run,
    "speech": speech.run,
    "translation": translation.run,
    "captioning": captioning.run,
    "start": start.run,
}

HOURS = {"online": online.run}

if __name__ == "__main__":
    torch.set_num_threads(2)
    for name in sys.argv[1:] or BENCHMARKS:
        (BENCHMARKS | HOURS)[name]()
