"""The RNN transducer (Graves 2012, "Sequence transduction with recurrent neural networks") on top of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.errors import UserError
from lstmapps.nn.recurrent import LSTM


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
            raise UserError(f"a transducer is trained with torchaudio, which cannot be imported ({error})") from None
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

    def greedy(self, y: Tensor, lengths: Tensor, most: int = 5) -> list[list[tuple[int, int, float]]]:
        """Return for each row the most probable symbol after symbol: `(symbol, step, probability)`.

        At most `most` symbols fall on one step.
        """
        batch = len(y)
        encoded = self.from_encoder(y)
        symbols = torch.zeros(batch, 1, dtype=torch.long, device=y.device)
        g, state = self.prediction(self.embedding(symbols))
        found: list[list[tuple[int, int, float]]] = [[] for _ in range(batch)]
        for step in range(y.shape[1]):
            active = step < lengths
            for _ in range(most):
                hidden = (encoded[:, step] + self.from_prediction(g[:, 0])).tanh()
                probability, symbol = self.head(hidden).float().softmax(dim=1).max(dim=1)
                active = active & (symbol != 0)
                if not bool(active.any()):
                    break
                for row in active.nonzero().flatten().tolist():
                    found[row].append((int(symbol[row]), step, float(probability[row])))
                new, moved = self.prediction(self.embedding(symbol.unsqueeze(1)), None, state)
                g = torch.where(active[:, None, None], new, g)
                state = (
                    torch.where(active[None, :, None], moved[0], state[0]),
                    torch.where(active[None, :, None], moved[1], state[1]),
                )
        return found
