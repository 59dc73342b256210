"""Whole training steps of recipes against the same networks with packed nn.LSTM layers."""

import os
from collections.abc import Callable

from lightning import Trainer
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader

from lstmapps import recipe
from lstmapps.data import Batch
from lstmapps.nn import LSTM
from lstmapps.tasks import CTCTask
from tests.benchmarks.timing import ratio, report

BATCHES = 6


class PackedLSTM(nn.Module):
    """Layers of torch.nn.LSTM on one packed sequence, with the norms and residuals of an lstmapps.LSTM."""

    def __init__(self, layer: LSTM) -> None:
        super().__init__()
        stack = layer.stack
        self.dropout, self.residual, self.norms = stack.dropout, stack.residual, stack.norms
        sizes = [stack.at(index)[0].weight_ih.shape[1] for index in range(stack.num_layers)]
        self.layers = nn.ModuleList(
            nn.LSTM(size, stack.hidden_size, batch_first=True, bidirectional=stack.directions == 2) for size in sizes
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, None]:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        for index, layer in enumerate(self.layers):
            before = packed.data
            data = before if self.norms is None else self.norms[index](before)
            if index > 0:
                data = nn.functional.dropout(data, self.dropout, self.training)
            packed, _ = layer(packed._replace(data=data))
            if self.residual and before.shape == packed.data.shape:
                packed = packed._replace(data=packed.data + before)
        return pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0], None


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("training: needs LSTMAPPS_DATA")
        return
    for name in ("handwriting/peraire", "speech/an4"):
        made = recipe.build(name)
        made.data.prepare(made.task.network.output_lengths)
        batches = [batch for batch, _ in zip(made.data.train_dataloader(), range(BATCHES), strict=False)]
        print(f"training of {name}, {BATCHES} batches: ours, with PackedSequence, ratio")
        for precision in ("32-true", "bf16-mixed"):
            packed = recipe.build(name).task
            packed.network.encoder.recurrent = PackedLSTM(packed.network.encoder.recurrent)
            packed.network.levels = lambda network=packed.network: [network]
            figures = ratio(*(_steps(task, batches, precision) for task in (made.task, packed)), runs=3)
            report(f"whole steps, {precision}", *figures)


def _steps(task: CTCTask, batches: list[Batch], precision: str) -> Callable[[], None]:
    """Return what trains the task on the batches as `lstmapps train` does: every loss, backward, optimiser."""
    settings = {**recipe.TRAINER_DEFAULTS, "gradient_clip_val": 5, "enable_progress_bar": False}

    def steps() -> None:
        loader = DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)
        Trainer(max_epochs=1, precision=precision, **settings).fit(task, loader)

    return steps
