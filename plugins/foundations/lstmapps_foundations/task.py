"""Training a recurrent layer on an early task, by any learning rule."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.errors import UserError
from lstmapps.learning import RULES, LearntBy, able_rules, error_flow
from lstmapps.lengths import refuse_nan
from lstmapps.nn import GridLSTM, RecurrentLayer, initialise
from lstmapps.report import Section, errors_shown
from lstmapps.scores import SCORES
from lstmapps.tasks.optimisation import Optimisation
from lstmapps_foundations.problems import Episodes, Problem

_TRIED = 20  # sequences, over the longest of which a report looks back,
_SHOWN = 200  # but over no more steps


class StepTask(LightningModule):
    """Trains `layer`, and a linear readout of what it gives at each step.

    problem: what is learnt; a recipe takes it from its data. rule: by which the layer learns, one of
    `lstmapps.learning.RULES`. horizon: of TBPTT. solved: training stops once so many percent of the validation
    sequences are right; without it, never before its end. lag: how many steps are to be remembered at most: gates
    begin so (`initialise`'s chrono).
    online: weights change while a batch is read, at every step of which something is to be said, by a rule that goes
    forwards; their influence on the state is carried on to the end of the batch, and nothing grows with its length.
    Raises ValueError if the layer does not read what the problem gives, for a rule that cannot learn so, for a plateau,
    and for a share of right sequences outside 0 to 100.
    """

    def __init__(
        self,
        layer: nn.Module,
        problem: Problem,
        rule: str = "BPTT",
        horizon: int = 100,
        optimisation: Optimisation = Optimisation(learning_rate=0.01, weight_decay=0.0, schedule="constant"),
        solved: float | None = 100.0,
        lag: int | None = None,
        online: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(layer, RecurrentLayer | GridLSTM):
            raise ValueError(f"a layer is one of lstmapps.nn that reads sequences, not {type(layer).__name__}")
        sizes = layer.stack if isinstance(layer, RecurrentLayer) else layer
        if solved is not None and not 0 <= solved <= 100:
            raise ValueError(f"{solved} % of the sequences cannot be right; solved is 0 to 100, or null")
        if sizes.input_size != problem.inputs:
            kind = type(problem).__name__
            raise ValueError(f"the layer reads {sizes.input_size} features, and {kind} gives {problem.inputs}")
        if lag is not None:
            if not isinstance(layer, RecurrentLayer):
                raise ValueError(f"{type(layer).__name__} has no gates that a lag could set")
            initialise(layer, chrono=lag)
        if isinstance(layer, RecurrentLayer):
            self.layer: nn.Module = LearntBy(layer, rule, horizon)
        elif rule != "BPTT":
            raise ValueError(f"{type(layer).__name__} learns by BPTT, not {rule}")
        else:
            self.layer = layer
        if online and RULES[rule].learner is None:
            known = able_rules(layer.stack.cell) if isinstance(layer, RecurrentLayer) else []
            able = ", ".join(name for name in known if RULES[name].learner is not None) or "recurrent layers alone"
            raise ValueError(f"{rule} needs a whole sequence; online learn {able}")
        if optimisation.schedule == "plateau":
            raise ValueError("no score decides of an early task; take a schedule other than plateau")
        self.automatic_optimization = not online
        self.readout = nn.Linear(sizes.output_size, problem.outputs)
        self.problem, self.optimisation, self.solved = problem, optimisation, solved

    @property
    def network(self) -> nn.ModuleDict:
        return nn.ModuleDict({"layer": self.layer, "readout": self.readout})

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return what is said of each step, y (batch, time, outputs)."""
        if not isinstance(self.layer, LearntBy):  # which looks for itself
            refuse_nan("inputs", x, lengths)
        y, _ = self.layer(x, lengths)
        said: Tensor = self.readout(y)
        return said

    def on_fit_start(self) -> None:
        if not self.automatic_optimization and self.trainer.world_size > 1:
            raise UserError("an early task is learnt online by one process; leave out --trainer.devices and num_nodes")

    def training_step(self, batch: Episodes, batch_idx: int) -> Tensor:
        if self.automatic_optimization:
            loss = loss_of(self.problem, self(batch.x, batch.lengths), batch)
        else:
            loss = self._learn_online(batch)
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=len(batch.x))
        return loss

    def _learn_online(self, batch: Episodes) -> Tensor:
        """Read a batch step by step and change the weights meanwhile; return the mean loss of what was said."""
        assert isinstance(self.layer, LearntBy)
        stack, make = self.layer.layer.stack, RULES[self.layer.rule].learner
        assert make is not None
        weights = stack.at(0)[0].weights()
        learner = make(stack.cell, weights, len(batch.x))
        optimiser: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        refuse_nan("inputs", batch.x, batch.lengths)
        in_full = torch.autocast(self.device.type, enabled=False)  # what is carried on is never half precise
        losses = []
        for step in range(batch.x.shape[1]):
            with in_full:
                h = learner.step(batch.x[:, step]).requires_grad_()
            now = batch.at(step)
            if not now.counts.any():
                continue
            loss = loss_of(self.problem, self.readout(h).unsqueeze(1), now)
            optimiser.zero_grad()
            self.manual_backward(loss)
            assert h.grad is not None
            with in_full:
                for weight, gradient in zip(weights, learner.gradient(h.grad), strict=True):
                    weight.grad = gradient
            optimiser.step()
            losses.append(loss.detach())
        schedule.step()
        return torch.stack(losses).mean()

    def validation_step(self, batch: Episodes, batch_idx: int) -> None:
        self._measure("validation", batch)

    def test_step(self, batch: Episodes, batch_idx: int) -> None:
        self._measure("test", batch)

    def _measure(self, part: str, batch: Episodes) -> None:
        problem = self.trainer.datamodule.problems[part]  # type: ignore[attr-defined]
        y = self(batch.x, batch.lengths)
        self.log(f"{part}_loss", loss_of(problem, y, batch), batch_size=len(batch.x))
        right = 100.0 * problem.right(y, batch).float().mean()
        self.log(f"{part}_right", right, prog_bar=True, batch_size=len(batch.x))
        if part == "test":
            further = problem.examine(self._say, torch.Generator().manual_seed(3))
            self.log_dict({f"test_{name}": value for name, value in further.items()}, batch_size=len(batch.x))

    def _say(self, episodes: Episodes) -> Tensor:
        there = episodes.to(self.device)
        said: Tensor = self(there.x, there.lengths).cpu()
        return said

    @torch.no_grad()
    def sections(self) -> list[Section]:
        """Return what a report shows of the trained layer: how far errors reach back over a long sequence."""
        stack = self.layer.layer.stack if isinstance(self.layer, LearntBy) else None
        if stack is None or not stack.cell.unitwise or stack.directions * stack.num_layers > 1:
            return []
        if not all(weight.isfinite().all() for weight in stack.at(0)[0].weights()):
            return []
        episodes = self.problem.draw(_TRIED, torch.Generator().manual_seed(4))
        longest = int(episodes.lengths.argmax())
        x = episodes.x[longest, : min(_SHOWN, int(episodes.lengths[longest]))].to(self.device)
        return [errors_shown({"this layer": error_flow(stack.cell, stack.at(0)[0].weights(), x)})]

    def on_validation_epoch_end(self) -> None:
        right = float(self.trainer.callback_metrics["validation_right"])
        if self.solved is not None and right >= self.solved and not self.trainer.sanity_checking:
            self.trainer.should_stop = True

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return self.optimisation.configure([self.layer, self.readout], steps, SCORES["exact"])


def loss_of(problem: Problem, y: Tensor, episodes: Episodes) -> Tensor:
    """Return the mean loss of the steps of which something is to be said."""
    said, targets = y[episodes.counts], episodes.targets[episodes.counts]
    if problem.loss == "classes":
        return functional.cross_entropy(said, targets)
    if problem.loss == "chances":
        return functional.binary_cross_entropy_with_logits(said, targets)
    return functional.mse_loss(said, targets)
