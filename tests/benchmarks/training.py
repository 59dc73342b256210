"""Whole training steps of `handwriting/peraire` against the same network with packed nn.LSTM layers."""

import os

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps import recipe
from lstmapps.ctc import ctc_loss
from tests.benchmarks.timing import ratio, report

BATCHES = 6


class PackedLSTM(nn.Module):
    """torch.nn.LSTM on packed sequences behind the interface of lstmapps.LSTM."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, object]:
        y, state = self.layer(pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False))
        return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state


def run() -> None:
    if "LSTMAPPS_DATA" not in os.environ:
        print("training: needs LSTMAPPS_DATA")
        return
    made = recipe.build("handwriting/peraire")
    made.data.prepare(made.task.network.output_lengths)
    batches = [batch for batch, _ in zip(made.data.train_dataloader(), range(BATCHES), strict=False)]
    print(f"training of handwriting/peraire, {BATCHES} batches: ours, with PackedSequence, ratio")
    for precision in (torch.float32, torch.bfloat16):
        networks = [made.task.network, _packed(recipe.build("handwriting/peraire").task.network)]
        figures = ratio(*(_steps(network, batches, precision) for network in networks), runs=3)
        report(f"whole steps, {str(precision).removeprefix('torch.')}", *figures)


def _packed(network: nn.Module) -> nn.Module:
    stack = network.encoder.recurrent.stack
    stack.variational = False  # nn.LSTM knows ordinary dropout only
    network.encoder.recurrent = PackedLSTM(network.encoder.recurrent.to_torch())
    return network


def _steps(network: nn.Module, batches: list, precision: torch.dtype):
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-5)

    def steps() -> None:
        for batch in batches:
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                logits, _, lengths = network.train().forward_both(batch.x, batch.lengths)
            loss = ctc_loss(logits, lengths, batch.targets, batch.target_lengths).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return steps
