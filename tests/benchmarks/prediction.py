"""`predict handwriting/peraire` over the test lines against the network's bare forward pass."""

import io
import os
from pathlib import Path

import torch

from lstmapps.data import pad
from lstmapps.model import Model
from lstmapps.plugins import find
from lstmapps.prediction import write_jsonl
from tests.benchmarks.timing import ratio, report


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("prediction: needs LSTMAPPS_DATA")
        return
    model = Model.load(find("model", "handwriting/peraire"))
    table = str(Path(os.environ["LSTMAPPS_DATA"]) / "peraire_lines" / "test.tsv")
    samples = [model.domain.measure(sample) for sample in model.domain.read(table)]
    inputs = sorted((model.domain.load(sample) for sample in samples), key=len)
    batches = [pad(inputs[i : i + 16]) for i in range(0, len(inputs), 16)]

    def whole() -> None:
        write_jsonl(model.predict([table]), io.StringIO())

    @torch.inference_mode()
    def bare() -> None:
        for x, lengths in batches:
            model.network(x, lengths)

    ours, network, factor = ratio(whole, bare, runs=7)
    print(f"predict over {len(inputs)} lines: whole, bare forward pass, whole / bare")
    report("handwriting/peraire", ours, network, 1 / factor)
