"""`predict` over lines of handwriting, what they are prepared by included, against the network's bare forward pass."""

import io
import os
from collections.abc import Iterable

import torch
from lstmapps_handwriting.digits import DigitStrings

from lstmapps.data import Sample, pad
from lstmapps.model import Model
from lstmapps.plugins import find
from lstmapps.prediction import write_jsonl
from tests.benchmarks.timing import ratio, report


def run() -> None:
    print("predict over lines: whole, bare forward pass, whole / bare")
    digits = Model.load(find("model", "handwriting/digits"))
    compare(digits, DigitStrings("validation", count=300).samples())
    if "LSTMAPPS_DATA" not in os.environ:
        print("handwriting/peraire: needs LSTMAPPS_DATA")
        return
    peraire = Model.load(find("model", "handwriting/peraire"))
    compare(peraire, peraire.domain.read(os.environ["LSTMAPPS_DATA"] + "/peraire_lines/test.tsv"))


def compare(model: Model, samples: Iterable[Sample]) -> None:
    measured = [model.domain.measure(sample) for sample in samples]
    inputs = sorted((model.domain.prepare(model.domain.load(sample)) for sample in measured), key=len)
    batches = [pad(inputs[i : i + 16]) for i in range(0, len(inputs), 16)]

    def whole() -> None:
        write_jsonl(model.predict(measured), io.StringIO())

    @torch.inference_mode()
    def bare() -> None:
        for x, lengths in batches:
            model.network(x, lengths)

    ours, network, factor = ratio(whole, bare, runs=7)
    report(f"{model.name}, {len(inputs)} lines", ours, network, 1 / factor)
