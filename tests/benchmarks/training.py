"""Whole training steps of recipes against the same networks with packed nn.LSTM layers."""

import os

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps import recipe
from lstmapps.ctc import ctc_loss
from lstmapps.nn import LSTM
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
        for precision in (torch.float32, torch.bfloat16):
            packed = recipe.build(name).task.network
            packed.encoder.recurrent = PackedLSTM(packed.encoder.recurrent)
            figures = ratio(*(_steps(network, batches, precision) for network in (made.task.network, packed)), runs=3)
            report(f"whole steps, {str(precision).removeprefix('torch.')}", *figures)


def _steps(network: nn.Module, batches: list, precision: torch.dtype):
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def steps() -> None:
        for batch in batches:
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                _, logits, _, lengths = network.train().forward_all(batch.x, batch.lengths)
            loss = ctc_loss(logits, lengths, batch.targets, batch.target_lengths).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return steps
