"""Long short-term memory in every form that it has had since 1997, in one step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lstmapps.nn.cells.cell import Cell, Fused, State, Weights, normalised, plain_shapes

Variant = Literal["NP", "V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "FGR", "1997", "2000"]

_LACKS = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f", "1997": "f"}
_WITHOUT_PEEPHOLES = ("NP", "1997", "2000")


@dataclass(frozen=True)
class LSTMCell(Cell):
    """A long short-term memory, one of its variants.

        i = sigma(W_i x + R_i h + p_i * c  + b_i)       input gate
        f = sigma(W_f x + R_f h + p_f * c  + b_f)       forget gate
        g = tanh (W_g x + R_g h            + b_g)       new content
        c' = f * c + i * g                              constant error carousel
        o = sigma(W_o x + R_o h + p_o * c' + b_o)       output gate
        h' = o * tanh(c')

    variant: one of the nine of Greff et al. 2017 ("LSTM: a search space odyssey", section III and appendix A): "V" as
    above; "NP" without peepholes p (the usual one, and torch's); "NIG" i = 1; "NFG" f = 1; "NOG" o = 1; "NIAF" g
    without tanh; "NOAF" h' = o * c'; "CIFG" f = 1 - i; "FGR" with the gates of the step before, R_ii i + R_fi f +
    R_oi o, added in each gate. Or "1997", as Hochreiter & Schmidhuber had it: f = 1, g = 4 sigma(…) - 2 and
    h' = o * (2 sigma(c') - 1); "2000" is that with forget gates (Gers, Schmidhuber & Cummins 2000).

    peepholes: whether the gates see the cells (Gers, Schraudolph & Schmidhuber 2002); None as the variant has it.
    block_size: how many cells share their gates, a memory block (Hochreiter & Schmidhuber 1997, section 4).
    projection_size: h is projected to so many units before it goes on, 0 for no projection (Sak et al. 2014, eq. 7).
    layer_norm: normalise the sums over all gates, and c' before it goes out (Ba et al. 2016, eq. 20 to 22).

    The state is (h, c), of "FGR" (h, c, i, f, o). Rows of gates lie in torch's order, i, f, g, o.
    """

    variant: Variant = "NP"
    peepholes: bool | None = None
    block_size: int = 1
    projection_size: int = 0
    layer_norm: bool = False

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ValueError(f"{self.variant!r} is no variant of an LSTM; take one of {', '.join(get_args(Variant))}")
        if self.block_size < 1 or self.projection_size < 0:
            raise ValueError("a memory block has at least one cell, and a projection at least one unit, or 0 for none")

    @property
    def gates(self) -> str:
        return "ifgo".replace(_LACKS.get(self.variant, " "), "")

    @cached_property
    def looks(self) -> bool:
        """Whether the gates see the cells."""
        return self.variant not in _WITHOUT_PEEPHOLES if self.peepholes is None else self.peepholes

    @cached_property
    def fused(self) -> Fused | None:  # asked at every step
        usual = self.variant == "NP" and not (self.looks or self.layer_norm or self.projection_size)
        return "lstm" if usual and self.block_size == 1 else None

    def blocks(self, hidden_size: int) -> list[int]:
        if hidden_size % self.block_size:
            raise ValueError(f"{hidden_size} cells are no blocks of {self.block_size}; give a multiple of it")
        return [hidden_size if gate == "g" else hidden_size // self.block_size for gate in self.gates]

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        rows = self.blocks(hidden_size)
        true_gates = len(rows) - 1
        shapes = plain_shapes(sum(rows), input_size, self.projection_size or hidden_size)
        if self.looks:
            shapes["weight_peephole"] = (true_gates, hidden_size)
        if self.variant == "FGR":
            shapes["weight_gates"] = (true_gates * rows[0], true_gates * rows[0])
        if self.layer_norm:
            shapes |= {"gain_ih": (sum(rows),), "gain_hh": (sum(rows),), "gain_c": (hidden_size,)}
            shapes["bias_c"] = (hidden_size,)
        if self.projection_size:
            shapes["weight_hr"] = (self.projection_size, hidden_size)
        return shapes

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        before = [hidden_size // self.block_size] * 3 if self.variant == "FGR" else []
        return (self.projection_size or hidden_size, hidden_size, *before)

    def inputs(self, x: Tensor, weights: Weights) -> Tensor:
        if not self.layer_norm:
            return super().inputs(x, weights)
        return normalised(linear(x, weights[0]), self._named(weights)["gain_ih"], weights[2])

    @property
    def multiple(self) -> int:
        return self.block_size

    @property
    def hears(self) -> int | None:
        return None if self.variant == "FGR" else 0

    @property
    def unitwise(self) -> bool:
        return not (self.layer_norm or self.projection_size or self.variant == "FGR") and self.block_size == 1

    def share(self, state: State, weights: Weights) -> Tensor:
        if not self.layer_norm:
            return super().share(state, weights)
        return normalised(linear(state[0], weights[1]), self._named(weights)["gain_hh"], weights[3])

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        _, c, *before = state
        if self.fused and keep is None:
            return lstm_recur(now, share, c)
        named = self._named(weights)
        g, gates = self._parts(now, share, state, named)
        old = self.variant in ("1997", "2000")
        g = g if self.variant == "NIAF" else 4 * torch.sigmoid(g) - 2 if old else g.tanh()
        g = g if keep is None else g * keep
        i, f = gates.get("i"), gates.get("f")
        c = (c if f is None else self._each(f) * c) + (g if i is None else self._each(i) * g)
        o = self._opened("o", gates["o"], c, named) if "o" in gates else None
        out = normalised(c, named["gain_c"], named["bias_c"]) if self.layer_norm else c
        h = out if self.variant == "NOAF" else 2 * out.sigmoid() - 1 if old else out.tanh()
        h = h if o is None else self._each(o) * h
        h = linear(h, named["weight_hr"]) if self.projection_size else h
        return (h, c, i, f, o) if before and i is not None and f is not None and o is not None else (h, c)

    def openness(self, now: Tensor, share: Tensor, state: State, weights: Weights) -> dict[str, Tensor]:
        named = self._named(weights)
        _, gates = self._parts(now, share, state, named)
        if "o" in gates:
            after = self.advance(now, share, state, weights)
            gates["o"] = self._opened("o", gates["o"], after[1], named)
        return gates

    def _parts(
        self, now: Tensor, share: Tensor, state: State, named: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sums of the new content, the gates that are open before it, and the sums of the output gate."""
        _, c, *before = state
        parts = dict(zip(self.gates, torch.split(now + share, self.blocks(c.shape[-1]), dim=-1), strict=True))
        g = parts.pop("g")
        if before:
            again = linear(torch.cat(before, dim=-1), named["weight_gates"]).chunk(3, dim=-1)
            parts = {gate: sums + more for (gate, sums), more in zip(parts.items(), again, strict=True)}
        gates = {gate: sums if gate == "o" else self._opened(gate, sums, c, named) for gate, sums in parts.items()}
        return g, gates | ({"f": 1 - gates["i"]} if self.variant == "CIFG" else {})

    def _opened(self, gate: str, sums: Tensor, seen: Tensor, named: dict[str, Tensor]) -> Tensor:
        """Return how far a gate of each block is open, which sees the cells."""
        if self.looks:
            peepholes = dict(zip(self.gates.replace("g", ""), named["weight_peephole"], strict=True))
            peep = peepholes[gate] * seen
            sums = sums + peep.view(*sums.shape, self.block_size).sum(dim=-1)
        return torch.sigmoid(sums)

    def initialise(self, weights: Weights, hidden_size: int) -> None:
        """Fill weights in place; a forget gate starts open, with bias 1 (Gers et al. 2000; Jozefowicz et al. 2015)."""
        super().initialise(weights, hidden_size)
        named = self._named(weights)
        if "f" in self.gates:
            forget = dict(zip(self.gates, torch.split(weights[2], self.blocks(hidden_size)), strict=True))["f"]
            nn.init.ones_(forget)
        for name in ("gain_ih", "gain_hh", "gain_c"):
            if name in named:
                nn.init.ones_(named[name])
        if "weight_gates" in named:
            nn.init.orthogonal_(named["weight_gates"])
        if "weight_hr" in named:
            nn.init.xavier_uniform_(named["weight_hr"])

    def _each(self, gate: Tensor) -> Tensor:
        """Return a gate of each block as one of each cell."""
        return gate if self.block_size == 1 else gate.repeat_interleave(self.block_size, dim=-1)

    def _named(self, weights: Weights) -> dict[str, Tensor]:
        return dict(zip(self._names, weights, strict=True))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.shapes(1, self.block_size))


def lstm_step(x: Tensor, state: tuple[Tensor, Tensor], weights: Weights) -> tuple[Tensor, Tensor]:
    """Advance an LSTM with forget gate by one step (Gers, Schmidhuber & Cummins 2000, eqs. 1-5).

        i = sigma(W_i x + R_i h + b_i)      f = sigma(W_f x + R_f h + b_f)
        g = tanh (W_g x + R_g h + b_g)      o = sigma(W_o x + R_o h + b_o)
        c' = f * c + i * g                  h' = o * tanh(c')

    Takes and returns the state `(h, c)`.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    h, c = state
    return lstm_recur(linear(x, weight_ih, bias_ih), linear(h, weight_hh, bias_hh), c)


def lstm_recur(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Advance as `lstm_step`, given the shares W x + b and R h + d of all gates, (batch, gates * hidden) each."""
    i, f, g, o = (x + h).chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
