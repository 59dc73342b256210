"""Training a CTC network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from lstmapps.data import Batch
from lstmapps.nn import ConvRecurrentEncoder, CTCNetwork
from lstmapps.tasks.masks import Masks
from lstmapps.tasks.optimisation import Optimisation, after_validation, mean_over_processes
from lstmapps.tasks.validation import Validation
from lstmapps.text import Normalisation, Vocabulary


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
        self.validation = Validation(vocabulary, normalisation, scores)
        self.optimisation = optimisation
        self.auxiliary = auxiliary
        self.masks = masks

    @classmethod
    def further(
        cls, network: CTCNetwork, validation: Validation, optimisation: Optimisation, settings: Mapping[str, Any]
    ) -> CTCTask:
        """Return a task that trains a network further, by the `settings` of the task that trained it."""
        usual = {"auxiliary": 0.3 if network.auxiliary_head is not None else 0.0, "masks": None}
        known = {**usual, **settings}
        masks = None if known["masks"] is None else Masks(**known["masks"])
        vocabulary, normalisation = validation.vocabulary, validation.normalisation
        task = cls(
            network.frontend, network.encoder, vocabulary, normalisation, optimisation, known["auxiliary"], masks
        )
        task.network, task.validation = network, validation
        return task

    def settings(self) -> dict[str, Any]:
        """Return what a package keeps for a further training."""
        return {"auxiliary": self.auxiliary, "masks": None if self.masks is None else asdict(self.masks)}

    def decoder(self) -> dict[str, Any]:
        """Return how a package's output is read unless told otherwise."""
        return {"name": list(self.network.heads)[-1], "beam": 16}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features, lengths = batch.x, batch.lengths
        if not batch.features:
            features, lengths = self.network.frontend(features, lengths)
        if self.masks is not None:
            features = self.masks(features, lengths)
        total = mean_over_processes(self, batch.target_lengths.clamp(min=1).sum())
        losses = self.network.losses(features, lengths, batch.targets, batch.target_lengths)
        means = {name: each.sum() / total for name, each in losses.items()}
        self.log("train_loss", means["greedy"].detach(), prog_bar=True, batch_size=len(batch.lengths), sync_dist=True)
        weighted = [mean * (self.auxiliary if name == "auxiliary" else 1.0) for name, mean in means.items()]
        return torch.stack(weighted).sum()

    def on_validation_epoch_start(self) -> None:
        self.validation.begin()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        spans, _ = self.network.reader.greedy(*self.network.encode(batch.x, batch.lengths, features=batch.features))
        self.validation.add(batch.samples, [[span.symbol for span in row] for row in spans])

    def on_validation_epoch_end(self) -> None:
        after_validation(self, self.validation.finish(lambda name, value: self.log(name, value, prog_bar=True)))

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return self.optimisation.configure(self.network.levels(), steps, self.validation.scores[0])
