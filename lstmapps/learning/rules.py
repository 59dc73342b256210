"""Learning rules by name: a recurrent layer whose gradient is found by one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lstmapps.learning.forward import RTRL, UORO, ElementwiseRTRL, ErrorCarousel, ForwardLearner, SnAp1
from lstmapps.lengths import Lengths, padding_mask, refuse_nan, whole_lengths
from lstmapps.nn import RecurrentLayer
from lstmapps.nn.cells import Cell, State, Weights
from lstmapps.nn.stack import Extras


@dataclass(frozen=True)
class Rule:
    """How the gradient of what recurs is found.

    time, memory: what it costs for T steps of a cell with P weights and a state of size S, for each sequence.
    learner: what finds it forwards in time; None for rules that go backwards.
    """

    name: str
    summary: str
    time: str
    memory: str
    learner: type[ForwardLearner] | None = None


RULES = {
    rule.name: rule
    for rule in (
        Rule("BPTT", "backpropagation through time (Werbos 1990): exact", "O(T P)", "O(T S)"),
        Rule("TBPTT", "the same, cut off at every `horizon` steps (Williams & Peng 1990)", "O(T P)", "O(horizon S)"),
        Rule(
            "1997", "the same, cut off where errors leave the cells (Hochreiter & Schmidhuber 1997)", "O(T P)", "O(T S)"
        ),
        Rule("1997 online", "the same gradients, forwards in time", "O(T P)", "O(P)", ErrorCarousel),
        Rule("RTRL", "real-time recurrent learning (Williams & Zipser 1989): exact", "O(T S^2 P)", "O(S P)", RTRL),
        Rule("elementwise RTRL", "the same, of units that see themselves alone", "O(T P)", "O(P)", ElementwiseRTRL),
        Rule("SnAp-1", "RTRL of what a weight does to its own unit (Menick et al. 2021)", "O(T P)", "O(P)", SnAp1),
        Rule("UORO", "RTRL by an unbiased product of two vectors (Tallec & Ollivier 2018)", "O(T P)", "O(P)", UORO),
    )
}
"""Every rule by its name."""


class LearntBy(nn.Module):
    """A recurrent layer of one layer and direction, whose gradient is found by a rule.

        layer = LearntBy(LSTM(8, 32, variant="1997"), "1997 online")
        y, state = layer(x, lengths)
        loss(y).backward()

    Takes and returns what the layer does. Rules that go forwards find the gradient in a second run over the sequence,
    in memory that does not depend on its length; an error reaches inputs at its own step only, and states that are
    given not at all. The state that is returned carries no error, but by BPTT and 1997.

    horizon: steps after which TBPTT cuts off.
    Raises ValueError for a rule that there is not, a layer that it cannot train, or x that is NaN within lengths.
    """

    def __init__(self, layer: RecurrentLayer, rule: str = "BPTT", horizon: int = 100) -> None:
        super().__init__()
        if rule not in RULES:
            raise ValueError(f"{rule!r} is no learning rule; take one of {', '.join(RULES)}")
        if not isinstance(layer, RecurrentLayer):
            raise ValueError(f"{type(layer).__name__} learns by BPTT alone, as it is; rules are for recurrent layers")
        if horizon < 1:
            raise ValueError(f"a horizon is 1 step or more, not {horizon}")
        stack = layer.stack
        more = stack.num_layers > 1 or stack.directions > 1 or stack.extras != Extras()
        if rule == "TBPTT" and stack.directions > 1:
            raise ValueError("TBPTT goes on where a piece ended, and a backward direction has no such place; take BPTT")
        if rule not in ("BPTT", "TBPTT") and more:
            others = "BPTT" if stack.directions > 1 else "BPTT or TBPTT"
            raise ValueError(f"{rule} trains one layer of one direction, without extras; take {others}")
        able = able_rules(stack.cell)
        if rule not in able:
            raise ValueError(f"{rule} cannot train {stack.cell}; {', '.join(able)} can")
        self.layer, self.rule, self.horizon = layer, rule, horizon

    def forward(self, x: Tensor, lengths: Lengths | None = None, state: Any = None) -> tuple[Tensor, Any]:
        start = (state,) if isinstance(state, Tensor) else state
        self.layer.stack.check(x, start)
        own = whole_lengths([x.shape[1]] * len(x) if lengths is None else lengths, len(x), x.shape[1], x.device)
        refuse_nan("inputs", x, own)
        if self.rule == "BPTT":
            y, end = self.layer(x, lengths, state)
            return y, end
        if self.rule == "TBPTT":
            return self._in_pieces(x, own, state)
        if self.rule == "1997":
            stack = copy.copy(self.layer.stack)
            stack.cell = cast(Cell, _CutOff(stack.cell))
            y, end = stack(x, lengths, start)
            return y, end if len(end) > 1 else end[0]
        with torch.no_grad():
            y, end = self.layer(x, lengths, state)
        learner = RULES[self.rule].learner
        begin = self.layer.stack.init_state(len(x)) if start is None else start
        begin, cell = tuple(part[0] for part in begin), self.layer.stack.cell
        weights = self.layer.stack.at(0)[0].weights()
        if lengths is None:
            return _forwards(learner, cell, y, begin, x, weights), end
        beyond = padding_mask(own, x.shape[1]).unsqueeze(2)
        y = _forwards(learner, cell, y, begin, x.masked_fill(beyond, 0.0), weights)
        return y.masked_fill(beyond, 0.0), end

    def _in_pieces(self, x: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
        outputs = []
        for begin in range(0, x.shape[1], self.horizon):
            piece = x[:, begin : begin + self.horizon]
            y, state = self.layer(piece, (lengths - begin).clamp(0, piece.shape[1]), state)
            outputs.append(y)
            state = state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)
        return torch.cat(outputs, dim=1), state


def able_rules(cell: Cell) -> list[str]:
    """Return the names of the rules that can train a cell."""
    weights = tuple(torch.empty(shape, device="meta") for shape in cell.shapes(1, cell.multiple).values())
    able = []
    for rule in RULES.values():
        try:
            if rule.name == "1997":
                ErrorCarousel(cell, weights)
            elif rule.learner is not None:
                rule.learner(cell, weights)
        except ValueError:
            continue
        able.append(rule.name)
    return able


class _CutOff:
    """A cell whose errors do not leave it for the state that its gates hear."""

    fused = None

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cell, name)

    def recur(self, now: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        share = self.cell.share(tuple(part.detach() for part in state), weights)
        return self.cell.advance(now, share, state, weights, keep)


def _forwards(
    learner: type[ForwardLearner] | None, cell: Cell, y: Tensor, begin: State, x: Tensor, weights: Weights
) -> Tensor:
    given: Tensor = _Forwards.apply(learner, cell, y, begin, x, *weights)
    return given


class _Forwards(torch.autograd.Function):
    """What a layer gave, y (batch, time, size), with the gradient that a learner finds when it runs again."""

    @staticmethod
    def forward(
        ctx: Any,
        learner: Callable[..., ForwardLearner],
        cell: Cell,
        y: Tensor,
        start: State,
        x: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        ctx.learner, ctx.cell, ctx.parts = learner, cell, len(start)
        ctx.save_for_backward(x, *start, *weights)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, *rest = ctx.saved_tensors
        start, weights = tuple(rest[: ctx.parts]), tuple(rest[ctx.parts :])
        x, errors = (each.to(weights[0].dtype) for each in (x, *gradients))
        with torch.autocast(x.device.type, enabled=False):
            return (None, None, None, None, *_Forwards.found(ctx, x, start, weights, errors))

    @staticmethod
    def found(ctx: Any, x: Tensor, start: State, weights: Weights, errors: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the inputs, if they are needed, and of the weights."""
        learner = ctx.learner(ctx.cell, weights, len(x), start)
        totals = [torch.zeros_like(weight) for weight in weights]
        to_inputs = torch.zeros_like(x) if ctx.needs_input_grad[4] else None
        for step in range(x.shape[1]):
            before = learner.state
            learner.step(x[:, step])
            for total, part in zip(totals, learner.gradient(errors[:, step]), strict=True):
                total += part
            if to_inputs is not None:
                with torch.enable_grad():
                    now = x[:, step].detach().requires_grad_()
                    (y, *_) = ctx.cell.step(now, before, weights)
                (to_inputs[:, step],) = torch.autograd.grad(y, now, errors[:, step])
        return to_inputs, *totals
