"""Whole networks: a frontend, an encoder and what turns its output into symbols."""

from __future__ import annotations

from torch import Tensor, nn

from lstmapps.nn.encoders import ConvRecurrentEncoder
from lstmapps.nn.transducer import Transducer


class CTCNetwork(nn.Module):
    """Frontend, encoder and a linear head that scores every symbol at every step.

    The frontend turns raw inputs and their lengths into what the encoder reads, zero beyond each length:
    `forward(x, lengths)` returns features (batch, steps, input_size) and their lengths. One that changes the
    number of steps also has `output_lengths(lengths)`.

    forward(x, lengths) takes raw inputs (batch, time, features) and returns `(logits, lengths)`,
    logits (batch, steps, symbols). With `auxiliary`, a second head reads the encoder's convolutions
    directly, and `forward_all` returns its logits too: trained beside the first it makes the
    convolutions useful early (Retsinas et al. 2022, "Best practices for a handwritten text
    recognition system", section 3.3). With `transducer`, the size of its layers, an RNN transducer stands
    beside the head on the same encoder.
    """

    def __init__(
        self,
        frontend: nn.Module,
        encoder: ConvRecurrentEncoder,
        symbols: int,
        *,
        auxiliary: bool = False,
        transducer: int = 0,
    ) -> None:
        super().__init__()
        self.frontend = frontend
        self.encoder = encoder
        self.head = nn.Linear(encoder.output_size, symbols)
        self.auxiliary_head = nn.Conv1d(encoder.feature_size, symbols, 3, padding=1) if auxiliary else None
        self.transducer = None
        if transducer:
            self.transducer = Transducer(encoder.output_size, symbols, transducer, dropout=encoder.dropout)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return how many steps come out for raw inputs of these lengths."""
        own = getattr(self.frontend, "output_lengths", None)
        return self.encoder.output_lengths(own(lengths) if own else lengths)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        _, logits, _, lengths = self.forward_all(x, lengths)
        return logits, lengths

    def forward_all(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Return `(encoded steps, logits, auxiliary logits or None, lengths)`."""
        return self.from_features(*self.frontend(x, lengths))

    def from_features(self, y: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """Return what `forward_all` does, of the frontend's output, which is taken in the network's own precision."""
        y, features, lengths = self.encoder(y.to(self.head.weight.dtype), lengths)
        auxiliary = None
        if self.auxiliary_head is not None:
            auxiliary = self.auxiliary_head(features.transpose(1, 2)).transpose(1, 2)
        return y, self.head(y), auxiliary, lengths
