"""Training and translating by recipe translation/multi30k-deu-eng, and beside it the same network in joeynmt.

With JOEYNMT_PYTHON, the interpreter of an environment that has joeynmt, both run on the same batches, in turn.
"""

import os
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional

from lstmapps import recipe
from lstmapps.lengths import padding_mask
from lstmapps.search import Search, search
from tests.benchmarks.timing import seconds

BATCHES, STEPS = 6, 20
SAME = ["--model.init_args.decoder.tied=false", "--model.init_args.joint=false", "--data.units.joint=false"]


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("translation: needs LSTMAPPS_DATA")
        return
    made = recipe.build("translation/multi30k-deu-eng", SAME)
    made.data.prepare(None, ["train"])
    batches = [batch for batch, _ in zip(made.data.train_dataloader(), range(BATCHES), strict=False)]
    task, symbols = made.task, sum(int(batch.target_lengths.sum()) + len(batch.samples) for batch in batches)
    optimiser = torch.optim.AdamW(task.network.parameters())

    def train(precision: torch.dtype) -> None:
        task.train()
        for batch in batches:
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                memory, lengths = task.network.encode(batch.x, batch.lengths)
                vectors, _ = task.network.decoder(functional.pad(batch.targets, (1, 0)), memory, lengths)
                real = ~padding_mask(batch.target_lengths + 1, vectors.shape[1])
                logits = task.network.decoder.output(vectors[real])
            wanted = functional.pad(batch.targets, (0, 1))[real]
            functional.cross_entropy(logits.float(), wanted, label_smoothing=0.1).backward()
            optimiser.step()
            optimiser.zero_grad()

    def translate() -> None:
        task.eval()
        with torch.inference_mode():
            for batch in batches:
                memory, lengths = task.network.encode(batch.x, batch.lengths)
                search(task.network.decoder, memory, lengths, Search(beam=1, shortest=STEPS, longest=STEPS))

    sentences = sum(len(batch.samples) for batch in batches)
    for precision in (torch.float32, torch.bfloat16):
        train(precision)
        print(f"training, {precision}: {symbols / min(seconds(lambda p=precision: train(p)) for _ in range(3)):.0f}"
              " target symbols a second")  # fmt: skip
    for name in ("float32", "int8"):
        translate()
        print(f"greedy, {STEPS} symbols, {name}: {sentences / min(seconds(translate) for _ in range(3)):.0f}"
              " sentences a second")  # fmt: skip
        _one_line(task, batches[0], name)
        task.network.quantise()
    if python := os.environ.get("JOEYNMT_PYTHON"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "batches.pt"
            held = [(b.x[:, :, 0], b.lengths, b.targets, b.target_lengths) for b in batches]
            torch.save({"batches": held, "steps": STEPS, "symbols": len(made.data.vocabulary) + 3}, file)
            threads = str(torch.get_num_threads())
            script = Path(__file__).with_name("joeynmt_side.py")
            subprocess.run([python, script, file, threads], check=True)


def _one_line(task: object, batch: object, name: str) -> None:
    """Tell how long one text of middle length takes with a beam of five."""
    network, times = task.network.eval(), []
    with torch.inference_mode():
        for row in range(20):
            begin = time.perf_counter()
            memory, lengths = network.encode(batch.x[row : row + 1], batch.lengths[row : row + 1])
            search(network.decoder, memory, lengths, Search(beam=5, shortest=STEPS, longest=STEPS))
            times.append(time.perf_counter() - begin)
    print(f"one text, {STEPS} symbols, beam 5, {name}: {1000 * sorted(times)[10]:.1f} ms")
