"""An early task is trained, told of, stopped and continued."""

import json
import re

import pytest
import torch
from lstmapps_foundations.data import EpisodeData
from lstmapps_foundations.problems import Counting, Parity
from lstmapps_foundations.task import StepTask

from lstmapps.cli.main import main
from lstmapps.nn import GRU, LSTM, GridLSTM
from lstmapps.plugins import installed

RECIPES = sorted(installed()[0]["foundations"].recipes())
SMALL = [
    "--data.init_args.batches=2",
    "--data.init_args.count=10",
    "--trainer.max_epochs=2",
    "--trainer.accelerator=cpu",
]


def train(capsys, recipe, output, *overrides):
    code = main(["train", recipe, "--output", str(output), "--json", *SMALL, *overrides])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.strip().split("\n")[-1])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_measures_and_reports(capsys, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("lstmapps_foundations.problems.reber._LONG", 50)
    online = recipe.endswith("online")
    short = ["--data.init_args.problem.init_args.length=20"] if online else []
    result = train(capsys, recipe, tmp_path / "run", *short)
    assert 0.0 <= result["test"]["right"] <= 100.0
    assert (result["training"]["steps"] > 4) == online
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"] == result["test"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert recipe in page
    drawn = {path.stem for path in (tmp_path / "run" / "report-drawings").iterdir()}
    assert page.count("<svg") == len(drawn)
    assert drawn - {"error-flow", "error-ways"} == {"loss", "right"}
    others = {"foundations/parity", "foundations/addition", "foundations/reber-jordan"}
    assert ("error-flow" in drawn) == (recipe not in others)


def test_a_run_continues_as_if_it_had_not_stopped(capsys, tmp_path):
    steady = [f"--model.init_args.optimisation.{setting}" for setting in ("schedule=constant", "warmup=0")]
    recipe, more = "foundations/reber", ["--trainer.max_epochs=4", "--data.init_args.batches=3", *steady]
    train(capsys, recipe, tmp_path / "whole", *more)
    train(capsys, recipe, tmp_path / "part", *more, "--trainer.max_epochs=2")
    train(capsys, recipe, tmp_path / "part", *more, "--resume")
    whole, part = (torch.load(tmp_path / run / "checkpoint.ckpt", weights_only=True) for run in ("whole", "part"))
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, part["state_dict"][name]), name


def test_batches_follow_from_seed_epoch_and_number():
    data = EpisodeData(Counting(), batch_size=3, batches=4, seed=1)
    batches = [batch.x for batch in data.train_dataloader()]
    again = [batch.x for batch in data.train_dataloader()]
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    data.load_state_dict({"batches": 3})
    (rest,) = data.train_dataloader()
    assert torch.equal(rest.x, batches[3])
    other = EpisodeData(Counting(), batch_size=3, batches=4, seed=2)
    assert not all(a.shape == b.x.shape for a, b in zip(batches, other.train_dataloader(), strict=True))
    (one,), (same,) = data.val_dataloader(), other.val_dataloader()
    assert torch.equal(one.x, same.x)


def test_a_run_stops_once_its_task_is_solved(capsys, tmp_path):
    result = train(
        capsys, "foundations/parity", tmp_path / "run", "--model.init_args.solved=1", "--trainer.max_epochs=9"
    )
    assert result["training"]["steps"] == 2


def test_a_recipe_chooses_its_rule_by_name(capsys, tmp_path):
    result = train(capsys, "foundations/reber", tmp_path / "run", "--model.init_args.rule=1997 online")
    assert result["test"]["loss"] > 0
    overrides = ["--model.init_args.rule=magic", *SMALL]
    assert main(["train", "foundations/reber", "--output", str(tmp_path / "x"), *overrides]) == 1
    assert "no learning rule" in capsys.readouterr().err


def test_what_is_learnt_online_follows_the_gradient_through_time(capsys, tmp_path):
    few = ["--data.init_args.problem.init_args.shortest=5", "--data.init_args.problem.init_args.longest=5"]
    few += ["--data.init_args.batches=1", "--trainer.max_epochs=1", "--trainer.gradient_clip_val=null"]
    layer = ["--model.init_args.layer=lstmapps.nn.LSTM", "--model.init_args.layer.input_size=1"]
    layer += ["--model.init_args.layer.hidden_size=4", "--model.init_args.layer.num_layers=1"]
    gradients = []
    for name, settings in (("whole", []), ("online", ["--model.init_args.rule=RTRL", "--model.init_args.online=true"])):
        train(capsys, "foundations/parity", tmp_path / name, *few, *layer, *settings)
        kept = torch.load(tmp_path / name / "checkpoint.ckpt", weights_only=True)
        gradients.append([part["exp_avg"] for part in kept["optimizer_states"][0]["state"].values()])
    for whole, online in zip(*gradients, strict=True):  # of one step, of the last of five bits
        torch.testing.assert_close(online, whole, atol=1e-7, rtol=1e-5)
        assert bool(whole.any())


def test_a_run_learnt_online_continues_as_if_it_had_not_stopped(capsys, tmp_path):
    more = ["--model.init_args.optimisation.schedule=constant", "--data.init_args.problem.init_args.length=20"]
    more += ["--model.init_args.solved=null", "--data.init_args.batches=3"]
    recipe = "foundations/temporal-order-online"
    train(capsys, recipe, tmp_path / "whole", *more, "--trainer.max_epochs=3")
    train(capsys, recipe, tmp_path / "part", *more, "--trainer.max_epochs=1")
    train(capsys, recipe, tmp_path / "part", *more, "--trainer.max_epochs=3", "--resume")
    whole, part = (torch.load(tmp_path / run / "checkpoint.ckpt", weights_only=True) for run in ("whole", "part"))
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, part["state_dict"][name]), name


def test_gates_that_are_watched_stand_in_the_report(capsys, tmp_path):
    watched = ["--trainer.callbacks+=lstmapps.learning.WatchGates", "--trainer.callbacks.every=1"]
    train(capsys, "foundations/reber", tmp_path / "run", *watched)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Gates of layer.0.0" in page
    drawn = {path.stem for path in (tmp_path / "run" / "report-drawings").iterdir()}
    assert {f"gates-layer.0.0-{kind}" for kind in ("open", "saturated", "state")} < drawn
    train(capsys, "foundations/reber", tmp_path / "run", *watched, "--trainer.max_epochs=3", "--resume")
    kept = torch.load(tmp_path / "run" / "checkpoint.ckpt", weights_only=True)["callbacks"]
    (history,) = (state["history"] for name, state in kept.items() if "WatchGates" in name)
    assert [step for step, _, _ in history] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (
            "reber",
            ["--model.init_args.rule=SnAp-1", "--model.init_args.online=true"],
            "leave out trainer.gradient_clip",
        ),
        ("reber", ["--model.init_args.optimisation.schedule=plateau"], "other than plateau"),
        ("parity", ["--trainer.callbacks+=lstmapps.learning.WatchGates"], "no recurrent layers with gates"),
        ("parity", ["--trainer.callbacks+=lstmapps.learning.CarriedState"], "no recurrent layers whose states"),
        ("temporal-order-online", ["--trainer.callbacks+=lstmapps.learning.CarriedState"], "leave CarriedState out"),
        ("parity", ["--model.init_args.layer.init_args.num_layers=0"], "num_layers and dimensions must be at least 1"),
        ("parity", ["--model.init_args.layer=lstmapps.nn.LSTMM"], "no attribute 'LSTMM'"),
        ("parity", ["--model.init_args.layer=torch.nn.Identity"], "not Identity"),
        ("reber", ["--trainer.max_epochs=0"], "nothing was trained"),
        (
            "counting-ab",
            ["--data.init_args.problem.init_args.letters=3", "--model.init_args.layer.init_args.input_size=4"],
            "validation has 3 inputs",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(capsys, tmp_path, recipe, settings, message):
    assert main(["train", f"foundations/{recipe}", "--output", str(tmp_path / "run"), *SMALL, *settings]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("adding", ["--trainer.precision=64-true"]),
        ("parity", ["--trainer.precision=bf16-true"]),
        ("temporal-order-online", ["--model.init_args.rule=RTRL", "--trainer.precision=bf16-mixed"]),
    ],
)
def test_early_tasks_are_learnt_in_every_precision(capsys, tmp_path, recipe, settings):
    assert train(capsys, f"foundations/{recipe}", tmp_path / "run", *settings)["test"]["loss"] > 0


def test_inputs_that_are_no_numbers_are_named():
    x = torch.zeros(2, 3, 1)
    x[1, 2] = float("nan")
    task = StepTask(GridLSTM(1, 4, 2), Parity(1, 5))
    task(x, torch.tensor([3, 2]))
    with pytest.raises(ValueError, match=r"rows \[1\]"):
        task(x, torch.tensor([3, 3]))


def test_a_run_needs_no_seed(capsys, tmp_path):
    assert train(capsys, "foundations/reber", tmp_path / "run", "--seed_everything=false")["test"]["loss"] > 0


@pytest.mark.parametrize(
    ("layer", "settings", "message"),
    [
        (lambda: LSTM(2, 4), {}, "reads 2 features, and Parity gives 1"),
        (lambda: GRU(1, 4), {"rule": "1997"}, "cannot train GRUCell"),
        (lambda: GridLSTM(1, 4, 2), {"rule": "RTRL"}, "GridLSTM learns by BPTT"),
        (lambda: LSTM(1, 4), {"rule": "1997", "online": True}, "online learn 1997 online, RTRL"),
        (lambda: GridLSTM(1, 4, 2), {"lag": 50}, "no gates that a lag could set"),
        (lambda: GRU(1, 4), {"lag": 50}, "no forget gates of its own; leave the lag"),
        (lambda: GRU(1, 4), {"online": True}, "online learn RTRL, SnAp-1, UORO"),
        (lambda: LSTM(1, 4), {"solved": 200}, "solved is 0 to 100"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layer, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        StepTask(layer(), Parity(1, 5), **settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("--data.init_args.problem.init_args.length=0", "lengths of 0"),
        ("--data.init_args.batch_size=0", "at least 1"),
        ("--data.init_args.count=100000000000", "GiB; give fewer"),
        ("--data.init_args.colour=red", "colour"),
    ],
)
def test_a_wrong_setting_is_one_sentence(capsys, tmp_path, setting, message):
    assert main(["train", "foundations/adding", "--output", str(tmp_path / "x"), *SMALL, setting]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
