"""Training a model further on one's own data, with good defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from rich.console import Console

from lstmapps.data import SequenceData
from lstmapps.errors import UserError
from lstmapps.evaluation import Evaluation, conclude, evaluate
from lstmapps.model import Model
from lstmapps.package import origin
from lstmapps.recipe import own_data, parse_data, settings_refused
from lstmapps.scores import Score
from lstmapps.tasks import further
from lstmapps.tasks.optimisation import Optimisation
from lstmapps.tasks.validation import Validation
from lstmapps.text import VocabularyChange
from lstmapps.training import TRAINER_DEFAULTS, Run, Trained, claim, prepare, progress, train

_SETTINGS: dict[str, Any] = {f"trainer.{key}": value for key, value in TRAINER_DEFAULTS.items() if key != "plugins"}
_SETTINGS |= {"trainer.gradient_clip_val": 5.0, "optimisation.warmup": 0.1, "optimisation.schedule": "linear"}
_GENTLY = {"trainer.max_epochs": 60, "optimisation.learning_rate": 0.001, "optimisation.layer_decay": 0.85}
_FAST = {"optimisation.learning_rate": 0.006, "optimisation.layer_decay": 1.0}
_FAST_BATCHES = 1000  # in all, but of 20 epochs at least and of 60 at most
_MOSTLY_WRONG = 50.0  # an error rate in percent above which a model has more to learn than to keep
_AVERAGE = 0.98
_PATIENCE = 20  # validations without a better score before training stops, or two thirds of the epochs if that is more
_TOLERANCE = 0.1  # of the best score, by which a later one may be worse and yet be kept
_BATCHES = 16  # at least, in an epoch: fifty lines are to move the weights too
_SUFFIX = "-finetuned"  # of the name of what comes of a model


@dataclass(frozen=True)
class FineTuned:
    """Scores on the same held-out samples before and after, and what the training left."""

    model: Model
    before: Evaluation
    after: Evaluation
    change: VocabularyChange
    trained: Trained


def finetune(
    model: Model, overrides: Sequence[str], output: Path, *, resume: bool, console: Console
) -> FineTuned | None:
    """Train `model` on `--data.train`, and keep the result only if it is better on held-out samples.

    overrides: settings in LightningCLI's form, `--data.…`, `--trainer.…`, `--optimisation.…`. What else the
    training needs is what the package was trained with. All chance follows from `--data.seed`.
    Symbols of the training texts that the model lacks are added; none is dropped. Upper levels learn faster
    than lower ones; where more than half is wrong before, all learn alike, at a higher rate, and the fewer
    epochs, the more samples there are. Training stops when the held-out score no longer improves. Raises
    UserError if it never did, having written no model, or if `output` holds a run already. Of several
    processes only the first returns a result, the others None.
    """
    claim(output, resume)
    defaults = own_data(model.config) | {"batch_steps": model.domain.batch_steps // 2}
    extra = {"trainer": Trainer, "optimisation": Optimisation}
    score = model.scores[0]

    def planned(pace: dict[str, Any]) -> tuple[SequenceData, Optimisation, Trainer]:
        settings = [f"--{key}={value}" for key, value in {**_SETTINGS, **pace}.items()]
        parsed = parse_data(defaults, [*settings, *overrides], extra)
        with settings_refused():
            optimisation = Optimisation(**vars(parsed["optimisation"]))
            return parsed["data"], optimisation, _trainer(vars(parsed["trainer"]), score, output, console)

    data, optimisation, trainer = planned(_GENTLY)
    if model.domain.reads_text:  # pieces of words are left as they are, on both sides
        data.source_vocabulary, vocabulary = model.inputs.vocabulary, model.vocabulary
    elif model.vocabulary.has_unknown:  # so are whole words
        vocabulary = model.vocabulary
    else:
        vocabulary = model.vocabulary.extended(data.vocabulary.symbols, visual=model.domain.visual)
    change = VocabularyChange.between(model.vocabulary, vocabulary)
    data.vocabulary = vocabulary
    prepare(data, model.network, trainer.strategy.root_device)
    data.batch_steps = _small_batches(data)
    console.print(str(change), markup=False, highlight=False)

    held_out = data.parts["validation"]
    before = evaluate(model, held_out)
    to_beat = before.first.value
    if not score.higher_is_better and to_beat > _MOSTLY_WRONG:
        _, optimisation, trainer = planned({**_FAST, "trainer.max_epochs": _fast_epochs(data)})
    pace = f"a rate of {optimisation.learning_rate:g}, {trainer.max_epochs} epochs at most"
    console.print(f"{before} as it is; learns at {pace}", highlight=False)
    torch.manual_seed(data.seed)  # the same command gives the same model
    model.network.change_symbols(change.sources)
    config = _config(model, change, len(data.parts["train"]))
    validation = Validation(vocabulary, model.normalisation, model.config["scores"])
    task = further(model.network.train(), validation, optimisation, model.config.get("training", {}))
    run = Run(f"{model.name} fine-tuned", config, _AVERAGE, trainer, task, data)
    limit = to_beat + score.sign * 0.005
    trained = train(run, output, resume=resume, console=console, better_than=limit, tolerance=_TOLERANCE)
    if not trained.improved:
        raise UserError(
            f"{model.name} was not improved: {score.shown(to_beat)} on {len(held_out)} held-out samples was never "
            "beaten, so no model was written; give more lines, or a lower --optimisation.learning_rate, and another "
            "--output"
        )
    if not run.trainer.is_global_zero:
        return None
    tuned, after = conclude(trained.package, held_out)
    return FineTuned(tuned, before, after, change, trained)


def _trainer(settings: dict[str, Any], score: Score, output: Path, console: Console) -> Trainer:
    """Return a trainer that stops when the score no longer improves; callbacks and plugins given come after ours."""
    patience = max(_PATIENCE, (settings["max_epochs"] or 0) * 2 // 3)
    mode = "max" if score.higher_is_better else "min"
    early = EarlyStopping(f"validation_{score.name}", patience=patience, mode=mode)
    for key, ours in (("callbacks", [*progress(console), early]), ("plugins", TRAINER_DEFAULTS["plugins"])):
        own = settings[key] or []
        settings[key] = [*ours, *(own if isinstance(own, list) else [own])]
    return Trainer(**{**settings, "default_root_dir": settings["default_root_dir"] or output})


def _small_batches(data: SequenceData) -> int:
    """Return a size of batches that makes enough of them, each big enough for the longest sample."""
    sizes = [data.size_of(sample) for sample in data.parts["train"]]
    return min(data.batch_steps, max(sum(sizes) // _BATCHES, max(sizes)))


def _fast_epochs(data: SequenceData) -> int:
    """Return how many epochs make enough batches for a model that learns fast."""
    batches = len(data.train_dataloader())
    return round(min(60, max(20, _FAST_BATCHES / batches)))


def _config(model: Model, change: VocabularyChange, samples: int) -> dict[str, Any]:
    """Return the configuration of what comes of a model: it goes by a name and a card of its own."""
    network = model.config["network"]
    network = {**network, "init_args": {**network["init_args"], "symbols": len(change.new)}}
    decoder = {key: value for key, value in model.config["decoder"].items() if key != "language_model"}
    begun = model.name.removesuffix(_SUFFIX)
    card = {
        "summary": f"{begun}, fine-tuned.",
        "data": f"{samples} samples of one's own",
        "begun_with": origin(model.package),
    }
    config = {**model.config, "name": f"{begun}{_SUFFIX}", "network": network, "decoder": decoder, "card": card}
    config.pop("recipe", None)  # its data are not those that this model is of
    return config
