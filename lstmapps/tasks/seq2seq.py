"""Training a network that writes by a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from zlib import crc32

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from lstmapps.data import Batch
from lstmapps.lengths import padding_mask
from lstmapps.nn import ConvRecurrentEncoder, DecoderSettings, GridEncoder, Seq2SeqNetwork, TokenEmbedding
from lstmapps.scores import score_named
from lstmapps.search import Search, search
from lstmapps.tasks.optimisation import Optimisation, after_validation, mean_over_processes
from lstmapps.tasks.rewards import LONGEST, Rewards
from lstmapps.tasks.validation import Validation
from lstmapps.text import BLANK, Normalisation, Vocabulary, learn_lexicon


class Seq2SeqTask(LightningModule):
    """Trains `Seq2SeqNetwork(frontend, encoder, decoder)` on inputs and the texts to be written of them.

    The loss of a batch is the sum of the cross entropies of its symbols, the ends included, over their number, in nats
    a symbol; over several processes it is the same number as in one. Every validation searches greedily and logs
    each score, as in `validation_bleu`.

    frontend: what is read; for texts it is left out, and symbols are embedded (`TokenEmbedding`).
    source_vocabulary: of texts that are read. reverse, word_dropout: see `TokenEmbedding`.
    joint: both vocabularies are one, and so are their embeddings.
    label_smoothing: share of the target that is spread over all symbols (Szegedy et al. 2016, section 7).
    scheduled_sampling: share of the symbols before a step that are the network's own at the end of training, rising
        from none (Bengio et al. 2015; in two passes, Mihaylova & Martins 2019).
    coverage: weight of the squares of what each step of the input lacks, over all that is written, of being attended to
        once (Xu et al. 2015, eq. 14).
    reward: a score that is raised, instead of the probability of texts, by texts that are drawn, `draws` of each input,
        see `lstmapps.tasks.rewards`; a recipe then has a model to `start` from.
    thaw: epochs before a further stage of the frontend, the topmost first, learns; 0 lets all that are trained learn.
    shortlist: how many symbols are noted for each symbol that is read, for a faster search (`lstmapps.nn.shortlist`).
    search: how the model that is packaged searches unless told otherwise.
    scores: what is measured; the first decides what is kept and when training stops.
    """

    def __init__(
        self,
        encoder: ConvRecurrentEncoder | GridEncoder,
        decoder: DecoderSettings,
        vocabulary: Vocabulary,
        source_vocabulary: Vocabulary | None = None,
        frontend: nn.Module | None = None,
        normalisation: Normalisation = Normalisation(),
        optimisation: Optimisation = Optimisation(),
        reverse: bool = False,
        word_dropout: float = 0.0,
        joint: bool = False,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        coverage: float = 0.0,
        reward: str | None = None,
        draws: int = 5,
        thaw: float = 0.0,
        shortlist: int = 0,
        search: Search = Search(),
        scores: Sequence[str] = ("bleu", "chrf"),
    ) -> None:
        super().__init__()
        for name, share in (("label_smoothing", label_smoothing), ("scheduled_sampling", scheduled_sampling)):
            if not 0.0 <= share < 1.0:
                raise ValueError(f"{name} is a share of 0 to 1, not {share}")
        if min(coverage, thaw) < 0.0 or draws < 2:
            raise ValueError("coverage and thaw are 0 or more, and draws at least 2")
        if coverage and (decoder.attention == "none" or reward is not None):
            raise ValueError("coverage is of a decoder that attends, and is no part of training for a reward")
        if thaw and getattr(frontend, "frozen", True):
            raise ValueError("thaw is of a frontend with stages that are trained")
        if frontend is None:
            if source_vocabulary is None or isinstance(encoder, GridEncoder):
                raise ValueError("a network whose inputs are no texts needs a frontend")
            size = encoder.recurrent.stack.input_size
            frontend = TokenEmbedding(len(source_vocabulary), size, reverse=reverse, dropout=word_dropout)
        self.network = Seq2SeqNetwork(frontend, encoder, decoder, len(vocabulary), joint=joint, shortlist=shortlist)
        self.validation = Validation(vocabulary, normalisation, scores)
        self.optimisation = optimisation
        self.label_smoothing, self.scheduled_sampling = label_smoothing, scheduled_sampling
        self.coverage, self.thaw = coverage, thaw
        self.rewards = None if reward is None else Rewards(score_named(reward), draws)
        self.search = search

    @classmethod
    def further(
        cls, network: Seq2SeqNetwork, validation: Validation, optimisation: Optimisation, settings: Mapping[str, Any]
    ) -> Seq2SeqTask:
        """Return a task that trains a network further, by the `settings` of the task that trained it."""
        task = cls(
            network.encoder,
            network.decoder.settings,
            validation.vocabulary,
            frontend=network.frontend,
            optimisation=optimisation,
            label_smoothing=settings.get("label_smoothing", 0.1),
            scheduled_sampling=settings.get("scheduled_sampling", 0.0),
            coverage=settings.get("coverage", 0.0),
        )
        task.network, task.validation = network, validation
        return task

    def settings(self) -> dict[str, Any]:
        """Return what a package keeps for a further training."""
        return {name: getattr(self, name) for name in ("label_smoothing", "scheduled_sampling", "coverage")}

    def decoder(self) -> dict[str, Any]:
        """Return how a package's output is read unless told otherwise."""
        usual, own = asdict(Search()), asdict(self.search)
        changed = {name: value for name, value in own.items() if name == "beam" or value != usual[name]}
        return {"name": "sample" if self.search.sample else "beam"} | changed

    def on_fit_start(self) -> None:
        """Learn the shortlist, if it is not known already, and what rewards depend on, from the training part."""
        if self.rewards is not None:
            self.rewards.know(self.trainer.datamodule.parts["train"])  # type: ignore[attr-defined]
        if self.network.shortlist is None or bool(self.network.shortlist.table.any()):
            return
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        read, table = data.source_vocabulary, self.network.shortlist.table
        pairs = [
            (read.read_in(data.source_text(sample)), data.vocabulary.encode(sample.text))
            for sample in data.parts["train"]
        ]
        lexicon = learn_lexicon(pairs, len(read), len(data.vocabulary), table.shape[1])
        table.copy_(torch.from_numpy(lexicon))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        memory, lengths = self.network.encode(batch.x, batch.lengths, features=batch.features)
        if self.rewards is not None:
            return self._rewarded(batch, memory, lengths, self.rewards)
        before = functional.pad(batch.targets, (1, 0), value=BLANK)
        if self.scheduled_sampling:
            before = self._mixed(before, memory, lengths)
        vectors, attended = self.network.decoder(before, memory, lengths)
        real = ~padding_mask(batch.target_lengths + 1, before.shape[1])
        logits = self.network.decoder.output(vectors[real])
        symbols = functional.pad(batch.targets, (0, 1), value=BLANK)[real]
        total = mean_over_processes(self, real.sum())
        loss = functional.cross_entropy(logits.float(), symbols, reduction="sum", label_smoothing=self.label_smoothing)
        self.log("train_loss", loss.detach() / total, prog_bar=True, batch_size=len(batch.lengths), sync_dist=True)
        if self.coverage:
            lacking = 1.0 - (attended * real.unsqueeze(2)).sum(dim=1)
            lacking = lacking.masked_fill(padding_mask(lengths, lacking.shape[1]), 0.0)
            loss = loss + self.coverage * lacking.float().square().sum()
        return loss / total

    def _rewarded(self, batch: Batch, memory: Tensor, lengths: Tensor, rewards: Rewards) -> Tensor:
        """Return the loss whose gradient raises the expected reward, (5) to (8) of Rennie et al. 2017.

        The decoder drops nothing meanwhile: what is learnt from is what drew.
        """
        decoder, vocabulary = self.network.decoder.eval(), self.validation.vocabulary
        index = torch.arange(len(lengths), device=lengths.device).repeat_interleave(rewards.draws)
        memory, lengths = memory[index], lengths[index]
        seeds = [
            crc32(f"{self.trainer.global_step} {number} {sample.id}".encode())
            for sample in batch.samples
            for number in range(rewards.draws)
        ]
        drawing = Search(sample=True, longest=LONGEST)
        found = search(decoder, memory.detach(), lengths, drawing, None, seeds, vocabulary.never_written)
        drawn = [row[0].symbols for row in found]
        advantage, reward = rewards(batch.samples, [self.validation.text(each) for each in drawn])
        symbols = [torch.tensor((*each, BLANK), device=memory.device) for each in drawn]
        written = torch.tensor([len(each) for each in symbols], device=memory.device)
        weights = torch.tensor(advantage, device=memory.device)
        loss = torch.zeros((), device=memory.device)
        for part in written.argsort().chunk(rewards.draws):  # long texts beside long ones: there is little padding
            targets = torch.nn.utils.rnn.pad_sequence([symbols[row] for row in part.tolist()], batch_first=True)
            before = functional.pad(targets[:, :-1], (1, 0), value=BLANK)
            vectors, _ = decoder(before, memory[part], lengths[part])
            real = ~padding_mask(written[part], targets.shape[1])
            logits = decoder.output(vectors[real]).float()
            logits[:, vocabulary.never_written] = float("-inf")
            losses = functional.cross_entropy(logits, targets[real], reduction="none")
            loss = loss + (losses * weights[part].unsqueeze(1).expand(real.shape)[real]).sum()
        decoder.train()
        self.log("train_reward", reward, prog_bar=True, batch_size=len(batch.lengths), sync_dist=True)
        loss = loss / mean_over_processes(self, written.sum())
        self.log("train_loss", loss.detach(), batch_size=len(batch.lengths), sync_dist=True)
        return loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Leave the stages of the frontend alone whose time has not come."""
        if not self.thaw:
            return
        for number, stage in enumerate(reversed(self.network.frontend_levels()), start=1):
            if self.trainer.current_epoch < number * self.thaw:
                for parameter in stage.parameters():
                    parameter.grad = None

    @torch.no_grad()
    def _mixed(self, before: Tensor, memory: Tensor, lengths: Tensor) -> Tensor:
        """Return the symbols before each step, some of them what the network would have written."""
        share = self.scheduled_sampling * self.trainer.global_step / max(1, self.trainer.estimated_stepping_batches)
        vectors, _ = self.network.decoder(before, memory, lengths)
        own = self.network.decoder.output(vectors)[:, :-1].argmax(dim=2)
        drawn = (torch.rand(own.shape, device=own.device) < share) & (own != BLANK)
        return torch.cat([before[:, :1], torch.where(drawn, own, before[:, 1:])], dim=1)

    def on_validation_epoch_start(self) -> None:
        self.validation.begin()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        memory, lengths = self.network.encode(batch.x, batch.lengths, features=batch.features)
        never = self.validation.vocabulary.never_written
        found = search(self.network.decoder, memory, lengths, Search(beam=1), never=never)
        self.validation.add(batch.samples, [texts[0].symbols if texts else () for texts in found])

    def on_validation_epoch_end(self) -> None:
        after_validation(self, self.validation.finish(lambda name, value: self.log(name, value, prog_bar=True)))

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return self.optimisation.configure(self.network.levels(), steps, self.validation.scores[0])
