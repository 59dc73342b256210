"""How fast the shipped models read speech on one thread, offline and streaming."""

import os
import time
from pathlib import Path

import numpy as np
import torch

from lstmapps.model import Model

UTTERANCES = 60
_RATE = 16_000


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("speech: needs LSTMAPPS_DATA")
        return
    table = str(Path(os.environ["LSTMAPPS_DATA"]) / "an4" / "test.tsv")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    _offline(Model.load("speech/an4"), table)
    _streaming(Model.load("speech/an4-streaming"), table)
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
    for tentative in (True, False):
        times = []
        for sample in list(model.domain.read(table))[:UTTERANCES]:
            x = model.domain.load(sample)
            listener = model.listen()
            state = listener.init_state()
            for chunk in x.split(_RATE // 10):
                begin = time.perf_counter()
                _, state = listener.step(chunk, state, tentative=tentative)
                times.append(1000 * (time.perf_counter() - begin))
        middle, high = np.percentile(times[50:], (50, 95))
        kind = "with" if tentative else "without"
        print(
            f"speech/an4-streaming, each 100 ms, one thread, {kind} tentative text: {middle:.1f} ms (median), "
            f"{high:.1f} ms (95th percentile); it looks ahead {1000 * model.listen().look_ahead / _RATE:.0f} ms"
        )
