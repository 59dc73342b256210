"""Whole networks that read by CTC or a transducer: a frontend, an encoder and their heads.

A network describes itself to those who train it and keep it: `room`, `levels`, `description`, `change_symbols`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from lstmapps.nn.encoders import ConvRecurrentEncoder
from lstmapps.nn.heads import AuxiliaryHead, CTCHead, Head
from lstmapps.nn.transducer import Transducer


class CTCNetwork(nn.Module):
    """Frontend, encoder and a linear head that scores every symbol at every step.

    The frontend turns raw inputs and their lengths into what the encoder reads, zero beyond each length:
    `forward(x, lengths)` returns features (batch, steps, input_size) and their lengths. One that changes the
    number of steps also has `output_lengths(lengths)`.

    forward(x, lengths) takes raw inputs (batch, time, features) and returns `(logits, lengths)`,
    logits (batch, steps, symbols). With `auxiliary`, a second head reads the encoder's convolutions
    directly: trained beside the first it makes the convolutions useful early (Retsinas et al. 2022, "Best practices
    for a handwritten text recognition system", section 3.3). With `transducer`, the size of its layers, an RNN
    transducer stands beside the head on the same encoder, and the network reads by it.
    """

    kind = "ctc"

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
        self.head = CTCHead(encoder.output_size, symbols)
        self.auxiliary_head = AuxiliaryHead(encoder.feature_size, symbols) if auxiliary else None
        self.transducer = None
        if transducer:
            self.transducer = Transducer(encoder.output_size, symbols, transducer, dropout=encoder.dropout)

    @property
    def heads(self) -> dict[str, Head]:
        """What reads the encoder's steps, by the name of the decoder; the last is the network's own choice."""
        return {"greedy": self.head} | ({} if self.transducer is None else {"transducer": self.transducer})

    @property
    def reader(self) -> Head:
        """The head by which the network reads unless told otherwise."""
        return list(self.heads.values())[-1]

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        y, lengths = self.encode(x, lengths)
        return self.head(y), lengths

    def encode(self, x: Tensor, lengths: Tensor, *, features: bool = False) -> tuple[Tensor, Tensor]:
        """Return the encoded steps (batch, steps, encoder_size) of raw inputs, and their lengths.

        features: x is what the frontend gave.
        """
        y, _, lengths = self._from_features(*((x, lengths) if features else self.frontend(x, lengths)))
        return y, lengths

    def losses(self, y: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> dict[str, Tensor]:
        """Return the losses (batch,) of each head, by its name, of the frontend's output y and its lengths."""
        y, features, lengths = self._from_features(y, lengths)
        losses = {name: head.losses(y, lengths, targets, target_lengths) for name, head in self.heads.items()}
        if self.auxiliary_head is not None:
            losses["auxiliary"] = self.auxiliary_head.losses(features, lengths, targets, target_lengths)
        return losses

    def _from_features(self, y: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the encoder makes of the frontend's output, which is taken in the network's own precision."""
        encoded: tuple[Tensor, Tensor, Tensor] = self.encoder(y.to(self.head.weight.dtype), lengths)
        return encoded

    @property
    def room(self) -> Callable[[Tensor], Tensor] | None:
        """What tells of the lengths of raw inputs how many steps their texts may need; here those that come out."""
        return self.output_lengths

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return how many steps come out for raw inputs of these lengths."""
        own = getattr(self.frontend, "output_lengths", None)
        return self.encoder.output_lengths(own(lengths) if own else lengths)

    def fits(self, written: int, read: int) -> bool:
        """Tell whether this is the number of symbols that the network writes."""
        return written == self.head.out_features

    def levels(self) -> list[nn.Module]:
        """Return the parts of the network from the input to the top, for rates by level."""
        *lower, above = self.encoder.levels()
        top = [self.head, self.auxiliary_head, self.transducer, above]
        return [self.frontend, *lower, nn.ModuleList([part for part in top if part is not None])]

    def description(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return what a package holds of the network, given what a recipe says of its parts."""
        return {
            "class_path": "lstmapps.nn.CTCNetwork",
            "init_args": {
                "frontend": parts["frontend"],
                "encoder": parts["encoder"],
                "symbols": self.head.out_features,
                "auxiliary": self.auxiliary_head is not None,
                "transducer": parts["transducer"],
            },
        }

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """Take new symbols, in place; see `lstmapps.nn.heads.Head`."""
        for head in (self.head, self.auxiliary_head, self.transducer):
            if head is not None:
                head.change_symbols(sources)
