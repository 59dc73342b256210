"""Every recipe of captioning, trained on a few pictures in its data's true layout; what is written of pictures."""

import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from lstmapps_captioning.shapes import Shapes
from PIL import Image

from lstmapps.cli.main import main
from lstmapps.data import Sample
from lstmapps.model import Model
from lstmapps.plugins import find

CPU = "--trainer.accelerator=cpu"
SMALL = [
    "--data.domain.init_args.size=64",
    "--data.batch_steps=400",
    "--model.init_args.encoder.init_args.output_size=8",
    "--model.init_args.decoder.embedding_size=8",
    "--model.init_args.decoder.hidden_size=16",
    "--trainer.max_epochs=1",
    "--trainer.check_val_every_n_epoch=1",
    CPU,
]
GRID = ["--model.init_args.encoder.init_args.rows=2", "--model.init_args.encoder.init_args.columns=2"]
WORDS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def call(capsys, *arguments, code=0):
    found = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert found == code, printed.err
    return printed.out


def photographs(count):
    """Yield `(name, picture, captions)`."""
    drawn = np.random.default_rng(0)
    for number in range(count):
        colour = list(WORDS)[number % 3]
        pixels = drawn.integers(0, 60, (48, 64, 3)) + np.array(WORDS[colour]) * 3 // 4
        picture = Image.fromarray(pixels.astype(np.uint8))
        yield f"{number}.jpg", picture, [f"A {colour} picture .", f"It is {colour} ."]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    flickr, coco = root / "flickr8k", root / "coco"
    for folder in (flickr / "Flicker8k_Dataset", coco / "train2014"):
        folder.mkdir(parents=True)
    lines, parts, images = [], {"train": [], "dev": [], "test": []}, []
    for number, (name, picture, captions) in enumerate(photographs(30)):
        picture.save(flickr / "Flicker8k_Dataset" / name)
        picture.save(coco / "train2014" / name)
        lines += [f"{name}#{i}\t{caption}" for i, caption in enumerate(captions)]
        part = "dev" if number % 5 == 0 else "test" if number % 5 == 1 else "train"
        parts[part].append(name)
        sentences = [{"raw": caption} for caption in captions]
        split = part.replace("dev", "val")
        images.append({"filename": name, "filepath": "train2014", "split": split, "sentences": sentences})
    (flickr / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    for part, names in parts.items():
        (flickr / f"Flickr_8k.{part}Images.txt").write_text("\n".join(names) + "\n")
    (coco / "dataset_coco.json").write_text(json.dumps({"images": images}))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), path)
    return path


def train(capsys, data, weights, recipe, output, *further):
    overrides = [f"--data.root={data / recipe.partition('/')[2].partition('-')[0]}", f"--data.cache={data / 'cache'}"]
    overrides += ["--data.units.count=8", f"--model.init_args.frontend.init_args.weights={weights}", *SMALL, *GRID]
    return call(capsys, "train", recipe, "--output", output, *overrides, *further)


@pytest.mark.parametrize("recipe", ["flickr8k-attend", "flickr8k-show-and-tell", "coco"])
def test_recipes_on_photographs_train_from_kept_features_and_packages_leave_the_encoder_out(
    capsys, data, weights, tmp_path, recipe
):
    train(capsys, data, weights, f"captioning/{recipe}", tmp_path / "run")
    model = Model.load(tmp_path / "run" / "model")
    assert not [name for name in model.network.state_dict() if name.startswith("frontend")]
    assert list((data / "cache").glob("*.safetensors"))
    root = data / recipe.partition("-")[0]
    result = call(
        capsys, "test", tmp_path / "run" / "model", f"--data.root={root}", f"--data.cache={data / 'cache'}",
        "--data.domain.init_args.size=64", "--baselines", "--json", "--record",
    )  # fmt: skip
    result = json.loads(result.strip().split("\n")[-1])
    assert result["samples"] == 6
    assert result["baselines"]["nearest input"]["bleu1"]["value"] == pytest.approx(100.0)
    assert set(result["variety"]) == {"distinct_1", "distinct_2", "different", "seen"}
    recorded = json.loads((tmp_path / "run" / "model" / "results.json").read_text())
    assert {"test", "test (most frequent text)", "test (nearest input)"} <= set(recorded)


def test_rewards_begin_from_a_trained_model_and_so_do_stages_that_learn(capsys, data, weights, tmp_path):
    train(capsys, data, weights, "captioning/flickr8k-attend", tmp_path / "attend")
    start = f"--start={tmp_path / 'attend' / 'model'}"
    train(capsys, data, weights, "captioning/flickr8k", tmp_path / "rewarded", start)
    assert json.loads((tmp_path / "rewarded" / "model" / "results.json").read_text())["validation"]["samples"] == 6
    thawed = ["--model.init_args.frontend.init_args.trained=2", "--model.init_args.thaw=0.0", start]
    train(capsys, data, weights, "captioning/flickr8k-attend", tmp_path / "thawed", *thawed)
    held = Model.load(tmp_path / "thawed" / "model").network.state_dict()
    assert "frontend.network.conv_head.weight" in held
    more_words = ["--data.units.count=9", "--data.normalisation.punctuation=true", start]
    train(capsys, data, weights, "captioning/flickr8k-attend", tmp_path / "more", *more_words)
    learnt, begun = (Model.load(tmp_path / run / "model").vocabulary for run in ("more", "attend"))
    assert learnt != begun
    assert any("." in symbol for symbol in learnt.symbols)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "run"
    sources = [f"--data.{part}.init_args.count={count}" for part, count in (("train", 60), ("validation", 6))]
    assert main(["train", "captioning/shapes", "--output", str(folder), *sources, *SMALL[2:]]) == 0
    return folder / "model"


def test_shapes_are_scored_by_where_was_looked_too(capsys, shapes):
    result = call(capsys, "test", shapes, "--data.test.init_args.count=8", "--json")
    result = json.loads(result.strip().split("\n")[-1])
    assert set(result["metrics"]) == {"exact", "bleu"}
    assert 0 <= result.get("attention_on_named", 0) <= 1
    told = "a small red star left of a large blue circle"
    model = Model.load(shapes)
    (sample,) = [s for s in Shapes("test", 40).samples() if len(s.source.shapes) == 2][:1]
    prediction = model.align(Sample("x", sample.source, told))
    assert prediction.attended.grid == (8, 8)
    assert len(prediction.attended.weights) == len(told.split())


@pytest.fixture
def folder(tmp_path):
    for number, sample in enumerate(Shapes("test", 3).samples()):
        sample.source.drawn(80).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.jpg").write_text("no picture")
    return tmp_path


def test_a_folder_is_described_and_one_bad_picture_stops_nothing(capsys, shapes, folder):
    printed = call(capsys, "predict", shapes, folder, "--beam", "3", "--n-best", "2", "--format", "jsonl", code=1)
    results = [json.loads(line) for line in printed.splitlines()]
    assert [result["input"] for result in results] == [str(folder / f"{number}.png") for number in range(3)]
    assert all(len(result["alternatives"]) == 1 and 0 < result["confidence"] < 1 for result in results)


def test_the_gallery_needs_no_other_file_and_shows_each_word_over_the_picture(capsys, shapes, folder):
    call(capsys, "predict", shapes, folder / "0.png", "--format", "html", "--output", folder / "page.html")
    page = (folder / "page.html").read_text()
    (title,) = re.findall("<h2>(.*)</h2>", page)
    words = re.findall("<figcaption>(.*)</figcaption>", page)
    assert html.unescape(" ".join(words)) == html.unescape(title)
    assert page.count("data:image/png") == len(words)
    assert not re.findall(r'src="(?!data:)', page)


def test_the_shipped_model_is_small_and_says_whose_its_pictures_are(folder):
    pytest.importorskip("timm")
    model = Model.load("captioning/flickr8k")
    assert sum(path.stat().st_size for path in find("model", "captioning/flickr8k").iterdir()) < 10_000_000
    assert "research only" in model.config["card"]["data"]
    assert not [name for name in model.package.weights if name.startswith("frontend")]
    said = list(model.predict([folder / "0.png"], n_best=3))
    assert len(said[0].alternatives) >= 2
    assert model.vocabulary.decode(model.vocabulary.encode(said[0].text)) == said[0].text
    assert len(said[0].text.split()) > 2


def test_padding_and_other_pictures_of_a_batch_change_nothing(shapes):
    model = Model.load(shapes)
    samples = list(Shapes("test", 5).samples())
    together = [(p.text, round(p.confidence, 4)) for p in model.predict(samples)]
    alone = [(p.text, round(p.confidence, 4)) for sample in samples for p in model.predict([sample])]
    assert together == alone


def test_pictures_in_two_parts_are_leaks(capsys, data, tmp_path):
    names = (data / "flickr8k" / "Flickr_8k.trainImages.txt").read_text()
    (data / "flickr8k" / "again.txt").write_text(names.split("\n")[0] + "\n")
    code = main(
        ["check", "captioning/flickr8k-attend", f"--data.root={data / 'flickr8k'}", "--data.validation=again.txt"]
    )
    printed = capsys.readouterr()
    assert code == 1
    assert "is the same input as" in printed.out + printed.err


@pytest.mark.parametrize("model", ["shapes", "captioning/flickr8k"])
def test_a_caption_goes_through_a_pipe_into_translation(shapes, folder, model):
    pytest.importorskip("timm")
    model = shapes if model == "shapes" else model
    lstmapps = [sys.executable, "-m", "lstmapps", "predict"]
    said = subprocess.run([*lstmapps, model, folder / "0.png", folder / "1.png"], capture_output=True, check=True)
    form = ["--format", "jsonl"]
    read = subprocess.run(
        [*lstmapps, "translation/eng-deu", "-", *form], input=said.stdout, capture_output=True, check=True
    )
    lines = [line.split("\t") for line in said.stdout.decode().splitlines()]
    results = [json.loads(line) for line in read.stdout.splitlines()]
    assert [result["input"] for result in results] == [name for name, _ in lines]
    assert [" ".join(result["read"]) for result in results] == [text for _, text in lines]
    plain = subprocess.run([*lstmapps, "translation/eng-deu", "-"], input=said.stdout, capture_output=True, check=True)
    assert plain.stdout.decode().splitlines() == [result["text"] for result in results]
