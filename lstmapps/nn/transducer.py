"""The RNN transducer (Graves 2012, "Sequence transduction with recurrent neural networks") on top of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.ctc import Span
from lstmapps.errors import UserError
from lstmapps.nn.heads import change_rows
from lstmapps.nn.recurrent import LSTM


@dataclass(frozen=True)
class TransducerState:
    """Where reading has come to, after the symbols found so far.

    output (batch, 1, size), memory: what the prediction network says of them, and its state. mass (batch, symbols):
    the probability that each symbol has come since the last one; at 0, the blank's place, that none has.
    """

    output: Tensor
    memory: tuple[Tensor, Tensor]
    mass: Tensor


_WINDOW = 64  # steps that are scored at once when reading


class Transducer(nn.Module):
    """A prediction network over the symbols read so far, and a joint network that adds it to the encoder.

    At step t, after the symbols y_1 … y_u, the next symbol or the blank (0) has the logits
    W tanh(A h_t + B g_u), h the encoder's output and g the prediction network's (section 2.3, with a
    hidden joint layer as in Graves et al. 2013, eq. 10 to 13). Several symbols may fall on one step.

    dropout: share of the symbols that the prediction network does not see in training, and of its
        output that the joint network does not; with few texts it would learn them by heart.
    """

    def __init__(self, encoder_size: int, symbols: int, size: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.embedding = nn.Embedding(symbols, size)
        self.prediction = LSTM(size, size)
        self.from_encoder = nn.Linear(encoder_size, size)
        self.from_prediction = nn.Linear(size, size, bias=False)
        self.head = nn.Linear(size, symbols)

    def losses(self, y: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """Return (batch,): minus the log-probability of each row's targets, in nats.

        y (batch, steps, encoder_size), lengths (batch,), targets (batch, longest), target_lengths (batch,).
        Needs torchaudio.
        """
        try:
            from torchaudio.functional import rnnt_loss
        except (ImportError, OSError) as error:
            raise UserError(f"a transducer needs torchaudio, which cannot be imported ({error})") from None
        y, targets = y[:, : int(lengths.max())], targets[:, : int(target_lengths.max())]
        start = targets.new_zeros(len(targets), 1)
        before = self.embedding(torch.cat([start, targets], dim=1))
        seen = functional.dropout(torch.ones_like(before[:, :, :1]), self.dropout, self.training) > 0
        g, _ = self.prediction(before * seen)
        g = functional.dropout(g, self.dropout, self.training)
        hidden = self.from_encoder(y).unsqueeze(2) + self.from_prediction(g).unsqueeze(1)
        logits = self.head(hidden.tanh()).float()
        found: Tensor = rnnt_loss(logits, targets.int(), lengths.int(), target_lengths.int(), blank=0, reduction="none")
        return found

    def log_probabilities(self, y: Tensor, readings: Sequence[Sequence[int]]) -> Tensor:
        """Return ln p (readings,) of each reading of one input, y (steps, encoder_size). Needs torchaudio."""
        lengths = torch.tensor([len(y)], device=y.device)
        losses = []
        for reading in readings:  # one by one: together they might not fit into memory
            targets = torch.tensor([list(reading)], dtype=torch.long, device=y.device)
            losses.append(self.losses(y.unsqueeze(0), lengths, targets, torch.tensor([len(reading)], device=y.device)))
        return -torch.cat(losses)

    def init_state(self, batch: int = 1) -> TransducerState:
        """Return the state before the first step."""
        start = torch.zeros(batch, 1, dtype=torch.long, device=self.head.weight.device)
        output, memory = self.prediction(self.embedding(start))
        return TransducerState(output, memory, self._nothing(batch))

    def greedy(
        self, y: Tensor, lengths: Tensor, state: TransducerState | None = None, most: int = 5
    ) -> tuple[list[list[Span]], TransducerState]:
        """Return for each row symbol after symbol, each on one step, and the state at the end.

        A symbol is emitted at the first step at which the probability of a non-blank since the last emission
        exceeds 0.5: training may spread it over many steps, none of them probable alone. The symbol is the one
        of the greatest probability over these steps. At most `most` are emitted at one step.

        y (batch, steps, encoder_size), lengths (batch,); state: where an earlier call for the same inputs
        ended, by default their beginning. A window of steps is scored at once for the symbols read so far, and
        again only where one is found.
        """
        state = self.init_state(len(y)) if state is None else state
        found: list[list[Span]] = [[] for _ in y]
        for begin in range(0, y.shape[1], _WINDOW):
            encoded = self.from_encoder(y[:, begin : begin + _WINDOW])
            state = self._read_window(encoded, lengths - begin, state, most, found, begin)
        return found, state

    def change_symbols(self, sources: Sequence[int | None]) -> None:
        """See `lstmapps.nn.heads.Head`."""
        change_rows(self.head, sources)
        change_rows(self.embedding, sources)

    def _read_window(
        self, encoded: Tensor, lengths: Tensor, state: TransducerState, most: int, found: list[list[Span]], begin: int
    ) -> TransducerState:
        """Add what is read in encoded (batch, window, size) to `found`."""
        steps = torch.arange(encoded.shape[1], device=encoded.device)
        ahead = steps < lengths.unsqueeze(1)
        last, count = torch.full_like(lengths, -1), torch.zeros_like(lengths)
        while True:
            masses = self._masses(encoded, ahead, state)
            come = ahead & (masses[:, :, 0] < 0.5)
            active = come.any(dim=1)
            if not bool(active.any()):
                return replace(state, mass=masses[:, -1])
            at = come.int().argmax(dim=1)
            here = masses[torch.arange(len(at), device=at.device), at]
            probability, symbol = here[:, 1:].max(dim=1)
            symbol = symbol + 1
            for row in active.nonzero().flatten().tolist():
                step = begin + int(at[row])
                found[row].append(Span(int(symbol[row]), step, step + 1, float(probability[row])))
            count = torch.where(at == last, count + 1, 1)
            ahead = torch.where(active.unsqueeze(1), ahead & (steps >= (at + (count >= most)).unsqueeze(1)), ahead)
            last = at
            output, memory = self.prediction(self.embedding(symbol.unsqueeze(1)), None, state.memory)
            h, c = (torch.where(active[None, :, None], a, b) for a, b in zip(memory, state.memory, strict=True))
            output = torch.where(active[:, None, None], output, state.output)
            mass = torch.where(active.unsqueeze(1), self._nothing(len(at)), state.mass)
            state = TransducerState(output, (h, c), mass)

    def _masses(self, encoded: Tensor, ahead: Tensor, state: TransducerState) -> Tensor:
        """Return the state's mass after each step, (batch, window, symbols); steps not `ahead` change nothing."""
        hidden = (encoded + self.from_prediction(state.output)).tanh()
        probabilities = self.head(hidden).float().softmax(dim=2)
        none = state.mass[:, :1] * probabilities[:, :, 0].masked_fill(~ahead, 1.0).cumprod(dim=1)
        before = torch.cat([state.mass[:, :1], none[:, :-1]], dim=1)
        come = (probabilities * before.unsqueeze(2)).masked_fill(~ahead.unsqueeze(2), 0.0).cumsum(dim=1)
        masses = state.mass.unsqueeze(1) + come
        return torch.cat([none.unsqueeze(2), masses[:, :, 1:]], dim=2)

    def _nothing(self, batch: int) -> Tensor:
        mass = self.head.weight.new_zeros(batch, self.head.out_features, dtype=torch.float32)
        mass[:, 0] = 1.0
        return mass
