"""A language model given to a model: chosen on held-out samples, kept in the package, used by the search."""

import json

import pytest
from lstmapps_handwriting.digits import DigitStrings

import lstmapps
from lstmapps.cli.main import main
from lstmapps.errors import UserError
from lstmapps.evaluation import evaluate
from lstmapps.tuning import tune


@pytest.fixture(scope="module")
def held_out():
    return list(DigitStrings("validation", 50).samples())


def texts(samples):
    return [sample.text for sample in samples]


@pytest.mark.parametrize("units", ["characters", "words"])
def test_a_language_model_that_knows_the_texts_lowers_the_error(held_out, tmp_path, units):
    model = lstmapps.load("handwriting/digits", device="cpu")
    lines = []
    tuned = tune(model, texts(held_out), held_out, units=units, report=lines.append)
    assert tuned.after.scores["cer"].value < tuned.before.scores["cer"].value
    assert len(lines) >= 5
    model.save(tmp_path / "tuned")
    again = lstmapps.load(str(tmp_path / "tuned"), device="cpu")
    assert evaluate(again, held_out, "beam").scores == tuned.after.scores
    assert evaluate(again, held_out).scores == tuned.before.scores
    assert "validation (beam)" in (tmp_path / "tuned" / "README.md").read_text()

    (tmp_path / "tuned" / "language_model.arpa.gz").unlink()
    with pytest.raises(UserError, match=r"language_model\.arpa\.gz cannot be read"):
        lstmapps.load(str(tmp_path / "tuned"))


def test_a_language_model_that_misleads_is_refused(held_out):
    model = lstmapps.load("handwriting/digits", device="cpu")
    before = dict(model.config["decoder"])
    with pytest.raises(UserError, match="reads no better"):
        tune(model, ["0000000000"], held_out)
    assert model.config["decoder"] == before
    assert model.package.language_model is None


def test_hot_words_are_preferred(held_out):
    model = lstmapps.load("handwriting/digits", device="cpu")
    wrong = next(case for case in evaluate(model, held_out).cases if case.hypothesis != case.reference)
    read = next(iter(model.predict([wrong.prediction.sample], hot_words=[wrong.reference])))
    assert read.text == wrong.reference


def test_the_command_writes_a_model(held_out, tmp_path, capsys):
    (tmp_path / "more.txt").write_text("\n".join(texts(held_out)))
    more, output = str(tmp_path / "more.txt"), str(tmp_path / "tuned")
    data = ["--data.train.init_args.count=1", "--data.validation.init_args.count=100"]
    assert main(["tune", "handwriting/digits", "--text", more, "--output", output, "--json", *data]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["after"]["cer"]["value"] < result["before"]["cer"]["value"]
    assert main(["test", output, "--split", "validation", "--decoder", "beam", "--json", *data[1:]]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"] == result["after"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--text", "none.txt"], "none.txt is not a readable"), (["--order", "0"], "--order is 0; give 1 or more")],
)
def test_mistakes_are_one_line(capsys, arguments, message):
    assert main(["tune", "handwriting/digits", *arguments]) == 1
    assert message in capsys.readouterr().err
