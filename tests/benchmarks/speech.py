"""How fast the speech models hear: offline and streaming, on one thread."""

import os
import time
from pathlib import Path

import numpy as np
import torch

from lstmapps.model import Model
from lstmapps.plugins import find

UTTERANCES = 60
_RATE = 16_000


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("speech: needs LSTMAPPS_DATA")
        return
    table = str(Path(os.environ["LSTMAPPS_DATA"]) / "an4" / "test.tsv")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    _offline(Model.load(find("model", "speech/an4")), table)
    _streaming(Model.load(find("model", "speech/an4-streaming")), table)
    torch.set_num_threads(threads)


def _offline(model: Model, table: str) -> None:
    samples = [model.domain.measure(sample) for sample in list(model.domain.read(table))[:UTTERANCES]]
    factors = []
    for sample in samples:
        begin = time.perf_counter()
        list(model.predict([sample]))
        factors.append((time.perf_counter() - begin) * _RATE / sample.size)
    print(f"speech/an4, one utterance at a time, one thread: real-time factor {np.median(factors[5:]):.4f} (median)")


def _streaming(model: Model, table: str) -> None:
    times = []
    for sample in list(model.domain.read(table))[:UTTERANCES]:
        x = model.domain.load(sample)
        state = model.init_state()
        for chunk in x.split(_RATE // 10):
            begin = time.perf_counter()
            _, state = model.step(chunk, state)
            times.append(1000 * (time.perf_counter() - begin))
        model.finish(state)
    middle, high = np.percentile(times[50:], (50, 95))
    print(
        f"speech/an4-streaming, each 100 ms, one thread: {middle:.1f} ms (median), {high:.1f} ms (95th percentile); "
        f"it looks ahead {1000 * model.look_ahead / _RATE:.0f} ms"
    )
