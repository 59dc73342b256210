"""Training promises: a killed run continues exactly, and many processes do what one does."""

import json
import multiprocessing
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from drawn import draw_lines
from rich.console import Console
from safetensors.torch import load_file

from lstmapps import recipe, training
from lstmapps.cli.main import main
from lstmapps.errors import UserError
from lstmapps.model import Model
from lstmapps.nn import LSTMCell
from lstmapps.scores import SCORES, score_named
from lstmapps.tasks.callbacks import AveragedWeights, History, KeepBest
from lstmapps.tasks.checkpoints import SafeCheckpointIO
from lstmapps.tasks.optimisation import Optimisation, after_validation

TINY = Path(__file__).parents[2] / "tiny.yaml"
SETTINGS = ["--trainer.accelerator=cpu"]


def train(lines, output, *overrides, resume=False):
    run = recipe.build(str(TINY), [f"--data.root={lines}", *SETTINGS, *overrides])
    training.train(run, output, resume=resume, console=Console(quiet=True))
    return run


def final_weights(output):
    return torch.load(output / training.CHECKPOINT, weights_only=True)["state_dict"]


def rows(output):
    """The numbers logged in each epoch."""
    return torch.load(output / training.CHECKPOINT, weights_only=True)["callbacks"]["History"]["rows"]


def command(lines, output, *overrides):
    arguments = ["train", str(TINY), "--output", str(output), f"--data.root={lines}", *SETTINGS, *overrides]
    return [sys.executable, "-m", "lstmapps.cli.main", *arguments]


def wait_for(path, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_a_run_killed_at_any_moment_continues_exactly(lines, tmp_path):
    train(lines, tmp_path / "whole", "--trainer.max_epochs=30")
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        command(lines, killed, "--trainer.max_epochs=30"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wait_for(killed / training.CHECKPOINT, process)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(killed / training.CHECKPOINT, weights_only=True)["epoch"] < 29, "killed too late"
    train(lines, killed, "--trainer.max_epochs=30", resume=True)
    expected, got = final_weights(tmp_path / "whole"), final_weights(killed)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


PLATEAU = [f"--model.init_args.optimisation.{setting}" for setting in ("schedule=plateau", "patience=0")]


@pytest.mark.parametrize("settings", [[], PLATEAU], ids=["cosine", "plateau"])
@pytest.mark.parametrize("stop_after", [7, 13])
def test_a_run_interrupted_inside_an_epoch_continues_exactly(lines, tmp_path, settings, stop_after):
    train(lines, tmp_path / "whole", *settings)
    run = recipe.build(str(TINY), [f"--data.root={lines}", *SETTINGS, *settings])

    def interrupt(*_):
        if run.trainer.global_step == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    run.task.on_before_zero_grad = interrupt
    with pytest.raises(training.Interrupted):
        training.train(run, tmp_path / "stopped", resume=False, console=Console(quiet=True))
    state = torch.load(tmp_path / "stopped" / training.CHECKPOINT, weights_only=True)
    assert stop_after <= state["global_step"] <= stop_after + 1
    train(lines, tmp_path / "stopped", *settings, resume=True)
    expected, got = final_weights(tmp_path / "whole"), final_weights(tmp_path / "stopped")
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_ctrl_c_saves_and_tells_how_to_continue(lines, tmp_path):
    output = tmp_path / "a run"
    words = command(lines, output, "--trainer.max_epochs=40")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(output / training.CHECKPOINT, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    told = err.strip().splitlines()[-1].partition("continue with: lstmapps ")[2]
    assert main(shlex.split(told)) == 0
    assert torch.load(output / training.CHECKPOINT, weights_only=True)["epoch"] == 39


def test_two_processes_reach_the_weights_of_one(lines, tmp_path):
    settings = ["--data.domain.init_args.augmentation=0", "--model.init_args.encoder.init_args.dropout=0"]
    train(lines, tmp_path / "one", *settings)
    done = subprocess.run(
        command(lines, tmp_path / "two", *settings, "--trainer.devices=2", "--trainer.strategy=ddp", "--json"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "metrics" in json.loads(done.stdout.strip().split("\n")[-1])
    expected, got = final_weights(tmp_path / "one"), final_weights(tmp_path / "two")
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_workers_that_are_spawned_take_all_inputs_within_few_open_files(tmp_path):
    """Python 3.14 spawns; each of 300 inputs as a file of its own would be too many."""
    data = draw_lines(tmp_path / "data", 300)
    limits, method = resource.getrlimit(resource.RLIMIT_NOFILE), multiprocessing.get_start_method()
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    multiprocessing.set_start_method("spawn", force=True)
    try:
        train(data, tmp_path / "run", "--data.workers=1", "--trainer.max_epochs=1", "--data.batch_steps=3000")
    finally:
        multiprocessing.set_start_method(method, force=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(rows(tmp_path / "run")) == 1


def test_workers_make_the_batches_that_the_training_process_makes(lines, tmp_path):
    train(lines, tmp_path / "alone")
    train(lines, tmp_path / "workers", "--data.workers=2")
    expected, got = final_weights(tmp_path / "alone"), final_weights(tmp_path / "workers")
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_mixed_precision_learns_as_well(lines, tmp_path):
    run = train(lines, tmp_path / "mixed", "--trainer.precision=bf16-mixed")
    assert run.trainer.precision == "bf16-mixed"
    losses = [row["train_loss"] for row in rows(tmp_path / "mixed")]
    assert losses[-1] < losses[0]
    assert all(value.dtype == torch.float32 for value in final_weights(tmp_path / "mixed").values())


def test_training_can_stop_early(lines, tmp_path):
    settings = ["--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping", "--trainer.callbacks.patience=1"]
    settings += ["--trainer.callbacks.monitor=validation_cer", "--model.init_args.optimisation.learning_rate=0"]
    run = train(lines, tmp_path / "stopped", *settings, "--trainer.max_epochs=30")
    assert run.trainer.current_epoch < 5


def test_the_history_has_validation_scores_of_the_epochs_that_were_validated(lines, tmp_path):
    train(lines, tmp_path / "run", "--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=2")
    assert [("validation_cer" in row) for row in rows(tmp_path / "run")] == [False, True, False, True]


def test_the_package_holds_the_averaged_weights(lines, tmp_path):
    train(lines, tmp_path / "run", "--trainer.max_epochs=1")
    checkpoint = torch.load(tmp_path / "run" / training.CHECKPOINT, weights_only=True)
    average = checkpoint["callbacks"]["AveragedWeights"]["average"]
    packaged = load_file(tmp_path / "run" / "model" / "weights.safetensors")
    for name, value in average.items():
        torch.testing.assert_close(packaged[name].float(), value, atol=1e-3, rtol=1e-2)
    trained = {name.removeprefix("network."): value for name, value in checkpoint["state_dict"].items()}
    assert any(not torch.allclose(trained[name], value) for name, value in average.items())


def test_the_average_follows_fast_at_first():
    average = AveragedWeights(decay=0.9)
    module = SimpleNamespace(network=torch.nn.Linear(1, 1, bias=False))
    module.network.weight.data.fill_(1.0)
    average.on_fit_start(None, module)
    expected = 1.0
    for step in range(1, 200):
        module.network.weight.data.fill_(float(step))
        average.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert average.state_dict()["average"]["weight"].item() == pytest.approx(expected, rel=1e-4)


def test_the_history_has_the_mean_of_an_epoch_and_goes_on_where_it_was():
    history, whole = History(), History()
    for number, loss in enumerate([4.0, 2.0, 1.0]):
        trainer = SimpleNamespace(callback_metrics={"train_loss": torch.tensor(loss)}, current_epoch=0, global_step=3)
        for each in (history, whole):
            each.on_train_batch_end(trainer, None, None, None, number)
        if number == 1:
            state = history.state_dict()
            history = History()
            history.load_state_dict(state)
    for each in (history, whole):
        each.on_train_epoch_end(trainer, None)
        assert each.rows[-1]["train_loss"] == pytest.approx(7 / 3)


@pytest.mark.parametrize(
    ("limit", "tolerance", "written"),
    [(float("inf"), 0.0, [9, 8, 5]), (8.5, 0.0, [8, 5]), (float("inf"), 0.25, [9, 8, 5, 6]), (5.5, 0.25, [5])],
)
def test_what_is_kept_is_the_best_or_a_later_one_nearly_as_good(limit, tolerance, written):
    kept = []
    keep = KeepBest(lambda module, scores: kept.append(scores["validation_cer"]), score_named("cer"), limit, tolerance)
    for epoch, score in enumerate([9.0, 8.0, 10.0, 5.0, 7.0, 6.0]):
        trainer = SimpleNamespace(
            sanity_checking=False, callback_metrics={"validation_cer": score}, is_global_zero=True, current_epoch=epoch
        )
        keep.on_validation_end(trainer, None)
    assert kept == written
    assert keep.best == 5.0


def test_a_new_run_does_not_overwrite_another(lines, tmp_path):
    train(lines, tmp_path / "run", "--trainer.max_epochs=1")
    with pytest.raises(UserError, match="--resume"):
        train(lines, tmp_path / "run")


def test_resuming_inside_an_epoch_with_other_batches_is_refused(lines, tmp_path):
    run = recipe.build(str(TINY), [f"--data.root={lines}", *SETTINGS])
    run.task.on_before_zero_grad = lambda *_: run.trainer.global_step == 3 and os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(training.Interrupted):
        training.train(run, tmp_path / "run", resume=False, console=Console(quiet=True))
    with pytest.raises(UserError, match=r"stopped within an epoch of \d+ batches, which are \d+ now"):
        train(lines, tmp_path / "run", "--data.batch_steps=400", resume=True)


def test_resuming_with_other_data_is_refused_and_with_the_same_elsewhere_is_not(lines, tmp_path):
    train(lines, tmp_path / "run", "--trainer.max_epochs=1")
    moved = lines.rename(tmp_path / "moved")
    train(moved, tmp_path / "run", "--trainer.max_epochs=2", resume=True)
    table = moved / "train.tsv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="begun with other data"):
        train(moved, tmp_path / "run", "--trainer.max_epochs=3", resume=True)


def test_resuming_nothing_is_refused(lines, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        train(lines, tmp_path / "run", resume=True)


def test_a_pickle_posing_as_a_checkpoint_is_not_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/sprung",))

    path = tmp_path / "trap.ckpt"
    torch.save({"trap": Trap()}, path)
    with pytest.raises(UserError, match=r"trap\.ckpt is not a checkpoint"):
        SafeCheckpointIO().load_checkpoint(path)
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_previous_checkpoint_whole(tmp_path, monkeypatch):
    path = tmp_path / "run.ckpt"
    SafeCheckpointIO().save_checkpoint({"step": 1}, path)

    def full(*_):
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="free some space"):
        SafeCheckpointIO().save_checkpoint({"step": 2}, path)
    assert SafeCheckpointIO().load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]


def test_the_rate_rises_and_falls():
    made = Optimisation(warmup=0.1)
    factors = [made.factor(step, 100) for step in range(101)]
    assert factors[9] == 1.0
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0.0)
    assert Optimisation(schedule="constant").factor(100, 100) == 1.0
    assert Optimisation(schedule="linear", warmup=0.0).factor(50, 100) == pytest.approx(0.5, abs=0.02)


def test_lower_levels_learn_more_slowly():
    levels = [torch.nn.Linear(2, 2) for _ in range(3)]
    groups = (
        Optimisation(learning_rate=1.0, layer_decay=0.5).configure(levels, 10, SCORES["cer"])["optimizer"].param_groups
    )
    rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    assert [rates[id(level.weight)] for level in levels] == [0.25, 0.5, 1.0]
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays[id(levels[0].bias)] == 0.0 < decays[id(levels[0].weight)]


@pytest.mark.parametrize("score", ["cer", "bleu"])
def test_a_plateau_halves_the_rate_when_the_score_stays(score):
    made = Optimisation(learning_rate=1.0, warmup=0.1, schedule="plateau", patience=1)
    weights = torch.nn.Linear(2, 2)
    (optimiser,), (rising, plateau) = made.configure([weights], 100, SCORES[score])
    rates = []
    for _ in range(20):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        rising["scheduler"].step()
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([1.0] * 10)
    assert plateau["monitor"] == f"validation_{score}"
    better = [30.0, 20.0, 10.0] if score == "cer" else [10.0, 20.0, 30.0]
    task = SimpleNamespace(lr_schedulers=lambda: [rising["scheduler"], plateau["scheduler"]])
    for value in [*better, better[-1], better[-1]]:
        after_validation(task, value)
        rising["scheduler"].step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5)


def test_a_run_begins_from_a_model_of_other_symbols(tmp_path):
    digits, letters = draw_lines(tmp_path / "digits", 24), draw_lines(tmp_path / "letters", 24, "456abc")
    train(digits, tmp_path / "begun", "--trainer.max_epochs=1", "--card.data=digits")
    still = ["--trainer.max_epochs=1", "--model.init_args.optimisation.learning_rate=1e-12"]
    start = str(tmp_path / "begun" / "model")
    still.append("--card.data=letters")
    run = recipe.build(str(TINY), [f"--data.root={letters}", f"--start={start}", *SETTINGS, *still])
    training.train(run, tmp_path / "run", resume=False, console=Console(quiet=True))
    before, after = Model.load(start), Model.load(tmp_path / "run" / "model")
    assert set(after.vocabulary.symbols) == set("456abc")
    rows = [[model.vocabulary.encode(symbol)[0] for symbol in "456"] for model in (before, after)]
    old, new = (model.network.head.weight[row] for model, row in zip((before, after), rows, strict=True))
    torch.testing.assert_close(old, new, atol=1e-4, rtol=0)
    origin = f"Trained on: letters\n\nBegun with: {before.name} (digits)\n"
    assert origin in (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")

    train(letters, tmp_path / "longer", f"--start={tmp_path / 'run' / 'model'}", *still)
    assert origin in (tmp_path / "longer" / "model" / "README.md").read_text(encoding="utf-8")


def test_a_recipe_chooses_any_cell(lines, tmp_path):
    encoder = "--model.init_args.encoder.init_args"
    cell = f"{encoder}.recurrent.class_path=lstmapps.nn.LSTMCell"
    variant = f"{encoder}.recurrent.init_args.variant=CIFG"
    noise = f"{encoder}.noise.zoneout=0.1"
    train(lines, tmp_path / "run", cell, variant, noise, "--trainer.max_epochs=1")
    network = Model.load(tmp_path / "run" / "model").network
    assert network.encoder.recurrent.stack.cell == LSTMCell("CIFG")
    assert network.encoder.recurrent.stack.extras.noise.zoneout == 0.1


def test_inputs_without_anything_to_be_read_are_trained_on_and_held_out_of_nothing(tmp_path):
    lines = draw_lines(tmp_path / "lines", 24)
    blanks = ["--data.blanks.class_path=lstmapps_handwriting.blanks.Blanks", "--data.blanks.init_args.count=6"]
    run = train(lines, tmp_path / "run", *blanks, "--model.init_args.transducer=8", "--trainer.max_epochs=1")
    parts = run.data.parts
    blank = [sample for sample in parts["train"] if sample.blank]
    assert len(blank) == 6
    assert {sample.text for sample in blank} == {""}
    assert not any(sample.blank for sample in parts["validation"])
    assert all(torch.tensor([row["train_loss"] for row in rows(tmp_path / "run")]).isfinite())
    assert len(run.data.vocabulary) == len(train(lines, tmp_path / "other", "--trainer.max_epochs=1").data.vocabulary)
