"""Lightning callbacks for any task with recurrent layers: a state carried on through endless streams, gates watched."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lstmapps.errors import UserError
from lstmapps.learning.rules import LearntBy
from lstmapps.lengths import whole_lengths
from lstmapps.nn import RecurrentLayer
from lstmapps.nn.cells import Cell, State, Weights


class CarriedState(Callback):
    """Truncated backpropagation through time over endless streams (Williams & Peng 1990): every recurrent layer begins
    a batch of training with the state in which it left the one before, and errors stop there.

    Row r of a batch goes on where row r of the one before ended. A batch may say which do not: an attribute `begins`,
    (batch,) truth values; and none do at the beginning of an epoch, or when the number of rows changes. A row that has
    ended before its batch did stays empty, or is said to begin; else a UserError names it. Another tells of a task
    without recurrent layers that run forwards as layers do, as none does that learns online.
    """

    def __init__(self) -> None:
        self._states: dict[nn.Module, tuple[Tensor, ...]] = {}
        self._ended: dict[nn.Module, Tensor] = {}  # rows that have, (batch,)
        self._handles: list[RemovableHandle] = []
        self._names: dict[str, RecurrentLayer | LearntBy] = {}
        self._restored: dict[str, tuple[tuple[Tensor, ...], Tensor]] = {}
        self._begins: Any = None  # what this batch says of its rows

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._names = recurrent_layers(pl_module)
        if not self._names:
            raise UserError(f"{type(pl_module).__name__} has no recurrent layers whose states could be carried on")
        for name, layer in self._names.items():
            if _recurrent(layer).stack.directions > 1:
                raise UserError(f"{name} has a backward direction, which cannot begin where a batch ended")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._states.clear()
        self._ended.clear()

    def state_dict(self) -> dict[str, Any]:
        return {
            name: (self._states[layer], self._ended[layer])
            for name, layer in self._names.items()
            if layer in self._states
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        for name, (state, ended) in self._restored.items():
            self._states[self._names[name]] = tuple(part.to(pl_module.device) for part in state)
            self._ended[self._names[name]] = ended.to(pl_module.device)
        self._restored = {}
        self._begins = getattr(batch, "begins", None)
        for layer in recurrent_layers(pl_module).values():
            self._handles.append(layer.register_forward_pre_hook(self._give, with_kwargs=True))
            self._handles.append(layer.register_forward_hook(self._keep, with_kwargs=True))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        while self._handles:
            self._handles.pop().remove()
        if not self._states:
            raise UserError(f"{type(pl_module).__name__} runs none of its recurrent layers; leave CarriedState out")

    def _give(self, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        given = named.get("state", args[2] if len(args) > 2 else None)
        held = self._states.get(layer)
        begins = None if self._begins is None else _truths(self._begins, len(args[0]))
        if given is not None or held is None or held[0].shape[1] != len(args[0]):
            self._ended.pop(layer, None)
            return None
        if begins is not None:
            begins = begins.to(held[0].device)
            held = tuple(part.masked_fill(begins.view(1, -1, 1), 0.0) for part in held)
        if layer in self._ended:
            if begins is not None:
                self._ended[layer] = self._ended[layer] & ~begins
            rows = (self._ended[layer] & (_own_lengths(args, named) > 0)).nonzero().flatten().tolist()
            if rows:
                raise UserError(f"rows {rows} have ended; say in the batch's `begins` where they begin anew")
        return args[:2], {**named, "state": held if len(held) > 1 else held[0]}

    def _keep(self, layer: nn.Module, args: Any, named: dict[str, Any], result: tuple[Tensor, Any]) -> None:
        state = result[1] if isinstance(result[1], tuple) else (result[1],)
        self._states[layer] = tuple(part.detach() for part in state)
        lengths = _own_lengths(args, named)
        ended = (lengths > 0) & (lengths < args[0].shape[1])
        self._ended[layer] = ended | self._ended.get(layer, torch.zeros_like(ended))


@dataclass(frozen=True)
class GateStatistics:
    """What one gate of one layer does in a batch.

    mean: how far it is open. closed, opened: share of its values below 0.1, and above 0.9, where hardly an error
    reaches its weights any more (Karpathy et al. 2015, section 4.2).
    """

    mean: float
    closed: float
    opened: float


class WatchGates(Callback):
    """Watches the gates and states of every recurrent layer while it is trained, except where it is learnt online.

    every: batches from one look to the next, which costs about as much as a forward pass, step by step. history: for
    each look the step, and by layer, number, direction and gate, as in `encoder.recurrent.0.0.f`, what it did; `.state`
    is the root mean square of each part of the state. Each is logged too, as in `gate/encoder.recurrent.0.0.f/mean`.
    """

    def __init__(self, every: int = 100) -> None:
        if every < 1:
            raise ValueError(f"gates are watched every 1 batch or more, not {every}")
        self.every = every
        self.history: list[tuple[int, dict[str, GateStatistics], dict[str, list[float]]]] = []
        self._handles: list[RemovableHandle] = []
        self._seen: tuple[dict[str, GateStatistics], dict[str, list[float]]] = ({}, {})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not recurrent_layers(pl_module):
            raise UserError(f"{type(pl_module).__name__} has no recurrent layers with gates to be watched")

    def state_dict(self) -> dict[str, Any]:
        plain = [
            (step, {name: vars(each) for name, each in gates.items()}, sizes) for step, gates, sizes in self.history
        ]
        return {"history": plain}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = [
            (step, {name: GateStatistics(**each) for name, each in gates.items()}, sizes)
            for step, gates, sizes in state_dict["history"]
        ]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step % self.every == 0:
            self._seen = ({}, {})
            for name, layer in recurrent_layers(pl_module).items():
                look = partial(self._look, name)
                self._handles.append(layer.register_forward_pre_hook(look, with_kwargs=True))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if not self._handles:
            return
        while self._handles:
            self._handles.pop().remove()
        gates, states = self._seen
        self.history.append((trainer.global_step, gates, states))
        for name, seen in gates.items():
            for what, value in vars(seen).items():
                pl_module.log(f"gate/{name}/{what}", value)

    @torch.no_grad()
    def _look(self, name: str, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        gates, states = gate_statistics(_recurrent(layer), *args, **named)
        self._seen[0].update({f"{name}.{gate}": seen for gate, seen in gates.items()})
        self._seen[1].update({f"{name}.{place}": seen for place, seen in states.items()})


@torch.no_grad()
def gate_statistics(
    layer: RecurrentLayer, x: Tensor, lengths: Tensor | Sequence[int] | None = None, state: Any = None
) -> tuple[dict[str, GateStatistics], dict[str, list[float]]]:
    """Return what each gate does over x (batch, time, input), and the root mean square of each part of each state.

    Names are layer, direction and gate, as in `0.1.f`, and `0.1.state`. Nothing is dropped meanwhile, and only steps
    within lengths count.
    """
    training = layer.training
    try:
        stack = copy.copy(layer.eval().stack)
        watched = _Watched(stack.cell)
        stack.cell = cast(Cell, watched)
        stack(x, lengths, (state,) if isinstance(state, Tensor) else state)
    finally:
        layer.train(training)
    gates: dict[str, GateStatistics] = {}
    states: dict[str, list[float]] = {}
    for run, (steps, after) in enumerate(zip(watched.gates_of_run, watched.states_of_run, strict=True)):
        place = "{}.{}".format(*divmod(run, stack.directions))
        for gate in steps[0] if steps else ():
            each = torch.cat([step[gate].flatten() for step in steps]).float()
            shares = [float(part.float().mean()) for part in (each, each < 0.1, each > 0.9)]
            gates[f"{place}.{gate}"] = GateStatistics(*shares)
        if after:
            parts = [torch.cat([part.flatten() for part in each]) for each in zip(*after, strict=True)]
            states[f"{place}.state"] = [float(part.float().square().mean().sqrt()) for part in parts]
    return gates, states


def recurrent_layers(module: nn.Module) -> dict[str, RecurrentLayer | LearntBy]:
    """Return every recurrent layer of a module by its name there; one that learns by a rule as what it is part of."""
    learnt = {id(one.layer) for one in module.modules() if isinstance(one, LearntBy)}
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, RecurrentLayer | LearntBy) and id(layer) not in learnt
    }


def _truths(begins: Any, rows: int) -> Tensor:
    """Return what a batch says of its rows, (rows,); raises UserError unless it is a truth value of each."""
    try:
        truths = torch.as_tensor(begins)
    except (TypeError, ValueError, RuntimeError):
        truths = None
    if truths is None or truths.dtype != torch.bool or truths.shape != (rows,):
        raise UserError(f"`begins` of a batch must be {rows} truth values, not {begins}")
    return truths


def _own_lengths(args: Sequence[Any], named: dict[str, Any]) -> Tensor:
    """Return the lengths (batch,) that a layer was given, or the time of x for each row."""
    x = args[0]
    lengths = named.get("lengths", args[1] if len(args) > 1 else None)
    lengths = [x.shape[1]] * len(x) if lengths is None else lengths
    return whole_lengths(lengths, len(x), x.shape[1], x.device)


def _recurrent(layer: nn.Module) -> RecurrentLayer:
    inner = layer.layer if isinstance(layer, LearntBy) else layer
    assert isinstance(inner, RecurrentLayer)
    return inner


class _Watched:
    """A cell that notes its gates and states; of rows that have ended none are run."""

    fused = None

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.gates_of_run: list[list[dict[str, Tensor]]] = []
        self.states_of_run: list[list[State]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cell, name)

    def inputs(self, x: Tensor, weights: Weights) -> Tensor:
        """Begin the run of a layer in one direction."""
        self.gates_of_run.append([])
        self.states_of_run.append([])
        return self.cell.inputs(x, weights)

    def recur(self, now: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        return self.advance(now, self.cell.share(state, weights), state, weights, keep)

    def advance(self, now: Tensor, share: Tensor, state: State, weights: Weights, keep: Tensor | None = None) -> State:
        self.gates_of_run[-1].append(self.cell.openness(now, share, state, weights))
        after = self.cell.advance(now, share, state, weights, keep)
        self.states_of_run[-1].append(after)
        return after
