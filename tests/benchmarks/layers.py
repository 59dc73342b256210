"""A bidirectional LSTM layer against torch.nn.LSTM on a PackedSequence: forward and backward."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps.nn import LSTM
from tests.benchmarks.timing import ratio, report

SHAPES = {"A": (100, 32, 80, 256), "B": (200, 16, 256, 256), "C": (400, 8, 40, 128)}  # time, batch, input, hidden


def run() -> None:
    print(f"BLSTM, lengths T..T/3, {torch.get_num_threads()} threads: ours, nn.LSTM on PackedSequence, ratio")
    for name, (time, batch, inputs, hidden) in SHAPES.items():
        torch.manual_seed(0)
        theirs = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)
        ours = LSTM.from_torch(theirs)
        lengths = torch.linspace(time, time // 3, batch).round().long()
        x = torch.randn(batch, time, inputs).masked_fill(
            torch.arange(time)[None, :, None] >= lengths[:, None, None], 0.0
        )
        x.requires_grad_()

        def packed(layer=theirs, x=x, lengths=lengths, time=time):
            y, _ = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            return pad_packed_sequence(y, batch_first=True, total_length=time)[0]

        def padded(layer=ours, x=x, lengths=lengths):
            return layer(x, lengths)[0]

        torch.testing.assert_close(padded(), packed(), atol=1e-5, rtol=1e-5)
        for kind, backward in (("forward + backward", True), ("forward", False)):

            def step(layer, backward=backward):
                with torch.set_grad_enabled(backward):
                    y = layer()
                    if backward:
                        y.backward(torch.ones_like(y))

            figures = ratio(lambda: step(padded), lambda: step(packed))
            report(f"{name} {time} x {batch}, {inputs} -> {hidden}, {kind}", *figures)
