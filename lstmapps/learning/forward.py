"""Gradients found forwards in time: while a cell runs, in memory that does not grow with the time that it has run.

A learner advances a cell and carries along how each weight has influenced its state so far. At any step an error at the
cell's output gives that step's part of the gradient at once:

    learner = RTRL(cell, weights, batch=8)
    h = learner.step(x)                       # (batch, size)
    parts = learner.gradient(error)           # of each weight, summed over the batch, from dL/dh of this step alone

The sum of these parts over all steps is the gradient of the sum of the losses. Below, S is the size of the state, P the
number of weights, both of one cell, and a step of the cell itself costs O(P).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vjp, vmap

from lstmapps.nn.cells import Cell, State, Weights


class ForwardLearner(ABC):
    """A cell that runs, and how its weights have influenced its state.

    weights: of the cell, which may change between steps. start: the state before the first step, (batch, size) each, on
    which no weight has had an influence yet; zeros unless given. state: the present one.
    """

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        self.cell, self.weights = cell, tuple(weights)
        hidden = cell.hidden_size(self.weights)
        like = self.weights[0].detach()
        sizes = cell.state_sizes(hidden)
        self.hidden_size, self.batch = hidden, batch
        given = [like.new_zeros(batch, size) for size in sizes] if start is None else start
        self.state: State = tuple(part.to(like.dtype) for part in given)
        if [tuple(part.shape) for part in self.state] != [(batch, size) for size in sizes]:
            raise ValueError(f"the state must be {batch} rows of {sizes}, not {[tuple(p.shape) for p in self.state]}")

    def step(self, x: Tensor) -> Tensor:
        """Advance by an input x (batch, input); return what the cell gives out, (batch, size)."""
        expected = (self.batch, self.weights[0].shape[1])
        if tuple(x.shape) != expected:
            raise ValueError(f"x must be {expected}, not {tuple(x.shape)}")
        self._advance(x)
        return self.state[0]

    def gradient(self, error: Tensor) -> Weights:
        """Return the gradient of each weight, given that of the loss by what the last step gave out, (batch, size)."""
        if error.shape != self.state[0].shape:
            raise ValueError(f"the error must be {tuple(self.state[0].shape)}, not {tuple(error.shape)}")
        return self._found(error)

    @abstractmethod
    def _advance(self, x: Tensor) -> None:
        """Move the state on, and how each weight has influenced it."""

    @abstractmethod
    def _found(self, error: Tensor) -> Weights:
        """Return what `gradient` does."""


class RTRL(ForwardLearner):
    """Real-time recurrent learning (Williams & Zipser 1989, eq. 8 to 10), exact for any cell.

    J' = (ds'/ds) J + ds'/dw, the influence (S x P) of every weight on every part of the state. A step costs O(S^2 P)
    time, and O(S P) memory, for each row of a batch.
    """

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        super().__init__(cell, weights, batch, start)
        self._influence = [
            torch.cat([w.new_zeros(len(part), part.shape[1], w.numel()) for part in self.state], dim=1)
            for w in self.weights
        ]

    @torch.no_grad()
    def _advance(self, x: Tensor) -> None:
        sizes = [part.shape[1] for part in self.state]

        def advanced(state: Tensor, weights: Weights, x: Tensor) -> Tensor:
            parts = tuple(part.unsqueeze(0) for part in torch.split(state, sizes))
            return torch.cat(self.cell.step(x.unsqueeze(0), parts, weights), dim=1).squeeze(0)

        flat = torch.cat(self.state, dim=1)
        weights = tuple(weight.detach() for weight in self.weights)
        by_state, by_weights = vmap(jacrev(advanced, argnums=(0, 1)), in_dims=(0, None, 0))(flat, weights, x)
        self._influence = [
            torch.bmm(by_state, before) + now.flatten(2)
            for before, now in zip(self._influence, by_weights, strict=True)
        ]
        self.state = self.cell.step(x, self.state, weights)

    @torch.no_grad()
    def _found(self, error: Tensor) -> Weights:
        size = error.shape[1]
        return tuple(
            torch.einsum("bs,bsp->p", error, influence[:, :size]).view_as(weight)
            for influence, weight in zip(self._influence, self.weights, strict=True)
        )


class _Traces(ForwardLearner):
    """How each weight has influenced the unit that it belongs to, along the ways that a rule follows.

    T' = D T + ds'/dw: of each weight its influence T on every part of the state of its own unit alone, and D how those
    parts depend on each other. A step costs O(P) time and memory, for each row of a batch. Raises ValueError for a cell
    whose units depend on each other in another way than through its recurrent weights.
    """

    through_itself: bool
    """Whether a unit's influence on itself through the recurrent weights is followed."""

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        if not cell.unitwise:
            raise ValueError(f"{type(self).__name__} needs units that meet in the recurrent weights alone, not {cell}")
        super().__init__(cell, weights, batch, start)
        self._traces = [[w.new_zeros(batch, *w.shape) for w in self.weights] for _ in self.state]

    @torch.enable_grad()
    def _advance(self, x: Tensor) -> None:
        weights = tuple(weight.detach() for weight in self.weights)
        before = tuple(part.detach().requires_grad_() for part in self.state)
        now = self.cell.inputs(x.detach(), weights).requires_grad_()
        share = self.cell.share(before, weights).detach().requires_grad_()
        # what has a unit to each column gets a copy for each row of the batch, to tell their gradients apart
        others = [w.unsqueeze(-2).expand(*w.shape[:-1], len(x), -1).clone().requires_grad_() for w in weights[4:]]
        after = self.cell.advance(now, share, before, (*weights[:4], *others))
        traces = []
        for part in after:
            by_now, by_share, *rest = torch.autograd.grad(
                part.sum(), [now, share, *before, *others], retain_graph=True, materialize_grads=True
            )
            by_state, by_others = rest[: len(before)], rest[len(before) :]
            if self.through_itself:
                place, own = self.cell.own(weights)
                through = torch.stack(torch.split(by_share * own, self.hidden_size, dim=1)).sum(dim=0)
                by_state[place] = by_state[place] + through
            heard = self.cell.heard(before).detach()
            fresh = [by_now.unsqueeze(2) * x.unsqueeze(1), by_share.unsqueeze(2) * heard, by_now, by_share]
            fresh += [gradient.movedim(-2, 0) for gradient in by_others]
            traces.append([new + self._carried(number, by_state) for number, new in enumerate(fresh)])
        self._traces = traces
        self.state = tuple(part.detach() for part in after)

    @torch.no_grad()
    def _found(self, error: Tensor) -> Weights:
        return tuple((self._of(number, error) * trace).sum(dim=0) for number, trace in enumerate(self._traces[0]))

    def _carried(self, number: int, by_state: Sequence[Tensor]) -> Tensor:
        """Return D T of one weight, by how a part of the next state depends on the parts of this one."""
        terms = [self._of(number, by) * part[number] for by, part in zip(by_state, self._traces, strict=True)]
        return torch.stack(terms).sum(dim=0)

    def _of(self, number: int, units: Tensor) -> Tensor:
        """Return a number of each unit (batch, units) as one of each element of a weight."""
        if number >= 4:
            return units.unsqueeze(1)
        rows = units.repeat(1, len(self.weights[number]) // self.hidden_size)
        return rows.unsqueeze(2) if self.weights[number].dim() == 2 else rows


class SnAp1(_Traces):
    """The sparse approximation of RTRL that keeps what a weight does to its own unit in one step (Menick et al. 2021,
    "Practical real time recurrent learning with a sparse approximation", section 3.1).

    Exact where the recurrent weights are diagonal. A step costs O(P) time and memory.
    """

    through_itself = True


class ElementwiseRTRL(_Traces):
    """RTRL of a cell whose units see their own past alone (Mozer 1989; Irie et al. 2023): exact.

    A step costs O(P) time and memory.
    """

    through_itself = True

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        if not cell.diagonal:
            raise ValueError(f"{cell} has units that see others; take RTRL, or SnAp1 for an approximation")
        super().__init__(cell, weights, batch, start)


class ErrorCarousel(_Traces):
    """The rule that LSTM was first trained by (Hochreiter & Schmidhuber 1997, appendix A.2): errors flow back in time
    within cells alone, and are cut off where they would leave them for the gates' and cells' inputs.

    The gradients are those of backpropagation through time in which what the gates hear of the state is held constant,
    the rule "1997" of `lstmapps.learning.LearntBy`; what peepholes see is of the same cell, and is followed. A step
    costs O(P) time and memory.
    """

    through_itself = False

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        if len(cell.state_sizes(cell.multiple)) < 2:
            raise ValueError(f"{cell} has no memory besides what it gives out, in which errors could flow")
        super().__init__(cell, weights, batch, start)


class UORO(ForwardLearner):
    """Unbiased online recurrent optimisation (Tallec & Ollivier 2018, algorithm 1): the influence of all weights as one
    product of two vectors, drawn so that its mean is exact.

    A step costs O(P) time and memory; the gradient is noisy, the more the longer the past matters. Works for any cell.
    """

    def __init__(self, cell: Cell, weights: Weights, batch: int = 1, start: State | None = None) -> None:
        super().__init__(cell, weights, batch, start)
        self._of_state = tuple(torch.zeros_like(part) for part in self.state)
        self._of_weights = [w.new_zeros(batch, *w.shape) for w in self.weights]

    @torch.no_grad()
    def _advance(self, x: Tensor) -> None:
        weights = tuple(weight.detach() for weight in self.weights)

        def row(x: Tensor, state: State, tangents: State, signs: State) -> tuple[State, State, Weights]:
            def advanced(state: State, weights: Weights) -> State:
                parts = self.cell.step(x.unsqueeze(0), tuple(part.unsqueeze(0) for part in state), weights)
                return tuple(part.squeeze(0) for part in parts)

            after, moved, *_ = jvp(lambda *parts: advanced(parts, weights), state, tangents)
            _, back, *_ = vjp(lambda *own: advanced(state, own), *weights)
            return after, moved, back(signs)

        signs = tuple(torch.randint_like(part, 2) * 2 - 1 for part in self.state)
        after, moved, fresh = vmap(row)(x, self.state, self._of_state, signs)
        grown = self._sizes(self._of_weights) / (self._sizes(moved) + _TINY)
        added = self._sizes(fresh) / self._sizes(signs)
        first, second = (grown + _TINY).sqrt(), (added + _TINY).sqrt()
        self._of_state = tuple(
            _each(first, part) * part + _each(second, sign) * sign for part, sign in zip(moved, signs, strict=True)
        )
        self._of_weights = [
            old / _each(first, old) + new / _each(second, new) for old, new in zip(self._of_weights, fresh, strict=True)
        ]
        self.state = after

    @torch.no_grad()
    def _found(self, error: Tensor) -> Weights:
        heard = (error * self._of_state[0]).sum(dim=1)
        return tuple((_each(heard, part) * part).sum(dim=0) for part in self._of_weights)

    @staticmethod
    def _sizes(parts: Sequence[Tensor]) -> Tensor:
        """Return the norm (batch,) of all parts together."""
        return torch.stack([part.flatten(1).square().sum(dim=1) for part in parts]).sum(dim=0).sqrt()


_TINY = 1e-7  # of Tallec & Ollivier, against division by zero


def _each(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (like.dim() - 1))
