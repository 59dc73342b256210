"""Training a CTC network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lstmapps.ctc import ctc_loss, greedy_decode
from lstmapps.data import Batch
from lstmapps.nn import ConvRecurrentEncoder, CTCNetwork
from lstmapps.nn.recurrent import RecurrentStack
from lstmapps.scores import measure, scores_named
from lstmapps.tasks.masks import Masks
from lstmapps.tasks.optimisation import Optimisation
from lstmapps.text import Normalisation, Vocabulary


@dataclass(frozen=True)
class Reading:
    """The references of a sample and what the network read."""

    id: str
    references: tuple[str, ...]
    hypothesis: str


class CTCTask(LightningModule):
    """Trains `CTCNetwork(frontend, encoder)` on sequences and their texts.

    The loss of a batch is the sum of its CTC losses over the number of its symbols, in nats a
    symbol; over several processes it is the same number as in one. Every validation decodes
    greedily and logs each score, as in `validation_cer`.

    auxiliary: weight of the loss of a second head on the encoder's convolutions; 0 leaves it out.
    masks: what is blanked out of the frontend's output in training.
    transducer: size of an RNN transducer that is trained beside the head on the same encoder, and by
        which the model then reads; 0 leaves it out.
    scores: what is measured; the first decides what is kept and when training stops.
    """

    def __init__(
        self,
        frontend: nn.Module,
        encoder: ConvRecurrentEncoder,
        vocabulary: Vocabulary,
        normalisation: Normalisation = Normalisation(),
        optimisation: Optimisation = Optimisation(),
        auxiliary: float = 0.0,
        masks: Masks | None = None,
        transducer: int = 0,
        scores: Sequence[str] = ("cer", "wer"),
    ) -> None:
        super().__init__()
        if auxiliary < 0.0 or transducer < 0:
            raise ValueError(f"auxiliary and transducer are 0 or more, not {auxiliary} and {transducer}")
        self.network = CTCNetwork(frontend, encoder, len(vocabulary), auxiliary=auxiliary > 0, transducer=transducer)
        self.vocabulary = vocabulary
        self.normalisation = normalisation
        self.optimisation = optimisation
        self.auxiliary = auxiliary
        self.masks = masks
        self.scores = scores_named(scores)
        self.readings: list[Reading] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features, lengths = self.network.frontend(batch.x, batch.lengths)
        if self.masks is not None:
            features = self.masks(features, lengths)
        y, logits, auxiliary, lengths = self.network.from_features(features, lengths)
        loss = self._loss(_possible_losses(logits, lengths, batch), batch)
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=len(batch.lengths))
        if auxiliary is not None:
            loss = loss + self.auxiliary * self._loss(_possible_losses(auxiliary, lengths, batch), batch)
        if self.network.transducer is not None:
            losses = self.network.transducer.losses(y, lengths, batch.targets, batch.target_lengths)
            loss = loss + self._loss(losses, batch)
        return loss

    def _loss(self, losses: Tensor, batch: Batch) -> Tensor:
        """Return the sum of losses (batch,) over the mean number of symbols a process has."""
        total = batch.target_lengths.sum()
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total.float(), reduce_op="mean")
        return losses.sum() / total

    def on_validation_epoch_start(self) -> None:
        self.readings = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        y, logits, _, lengths = self.network.forward_all(batch.x, batch.lengths)
        if self.network.transducer is not None:
            found, _ = self.network.transducer.greedy(y, lengths)
            read = [tuple(s for s, _, _ in row) for row in found]
        else:
            read = [hypothesis.symbols for hypothesis in greedy_decode(logits, lengths)]
        for sample, symbols in zip(batch.samples, read, strict=True):
            reading = self.normalisation(self.vocabulary.decode(symbols))
            self.readings.append(Reading(sample.id, sample.references or ("",), reading))

    def on_validation_epoch_end(self) -> None:
        self.readings = _gather(self.readings)
        references = [reading.references for reading in self.readings]
        hypotheses = [reading.hypothesis for reading in self.readings]
        for score in self.scores:
            measured = measure(score, references, hypotheses, resamples=0)
            self.log(f"validation_{score.name}", measured.value, prog_bar=True)

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return self.optimisation.configure(self.levels(), steps)

    def levels(self) -> list[nn.Module]:
        """Return the parts of the network from the input to the top, for rates by level."""
        network = self.network
        levels: list[nn.Module] = [network.frontend, *network.encoder.convolutions]
        stack: RecurrentStack = network.encoder.recurrent.stack
        for index in range(stack.num_layers):
            norm = [] if stack.norms is None else [stack.norms[index]]
            levels.append(nn.ModuleList([*stack.at(index), *norm]))
        top: list[nn.Module | None] = [network.head, network.auxiliary_head, network.transducer]
        top += [network.encoder.look_ahead, network.encoder.projection]
        levels.append(nn.ModuleList([part for part in top if part is not None]))
        return levels


def _possible_losses(logits: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    """Return CTC losses (batch,), 0 where an input has become too short for its text by being varied."""
    return ctc_loss(logits, lengths, batch.targets, batch.target_lengths, zero_infinity=True)


def _gather(readings: list[Reading]) -> list[Reading]:
    """Return the readings of all processes, sorted by id."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        parts: list[list[Reading]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(parts, readings)
        readings = [reading for part in parts for reading in part]
    return sorted(readings, key=lambda reading: reading.id)
