"""Lines of Arabic and Hebrew with numbers and Latin words, drawn, learnt, read and aligned."""

import dataclasses
import json
import random
from pathlib import Path

import matplotlib
import pytest
from PIL import Image, ImageDraw, ImageFont

from lstmapps.cli.main import main
from lstmapps.model import Model

CELL = 12  # pixels for each character
HEIGHT, READ = 24, 16  # of a drawn line, and as the network sees it
SCRIPTS = ("אבג", "دوز")  # Hebrew, and letters of Arabic that are never joined to the next


def draw(visual: str) -> Image.Image:
    """Draw characters from left to right as they stand here, none of them turned or joined."""
    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    picture = Image.new("L", (8 + CELL * len(visual), HEIGHT), 255)
    for place, character in enumerate(visual):
        brush = ImageDraw.Draw(picture)
        brush.text((4 + CELL * place, 1), character, fill=0, font=ImageFont.truetype(font, 17))
    return picture


def made_line(generator: random.Random, letters: str) -> tuple[str, str]:
    """Return a line as it is typed and as it stands: words of the script around a number or a Latin word."""
    words = ["".join(generator.choices(letters, k=generator.randint(1, 3))) for _ in range(2)]
    other = "".join(generator.choices(generator.choice(["12", "xy"]), k=2))
    return f"{words[0]} {other} {words[1]}", f"{words[1][::-1]} {other} {words[0][::-1]}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model, and a folder of lines with `(name, typed, standing)` of each."""
    folder = tmp_path_factory.mktemp("lines")
    generator = random.Random(0)
    lines = dict(made_line(generator, SCRIPTS[number % 2]) for number in range(160))
    rows = []
    for number, (typed, standing) in enumerate(lines.items()):
        draw(standing).save(folder / f"page{number % 6}_{number}.png")
        rows.append((f"page{number % 6}_{number}.png", typed, standing))
    (folder / "train.tsv").write_text("".join(f"{name}\t{typed}\n" for name, typed, _ in rows), encoding="utf-8")
    tiny = Path(__file__).parents[1] / "tiny.yaml"
    settings = [f"--data.root={folder}", "--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=20"]
    settings += ["--data.batch_steps=800", "--model.init_args.optimisation.learning_rate=0.02"]
    settings += ["--data.domain.init_args.augmentation=0", "--model.init_args.encoder.init_args.hidden_size=32"]
    settings += ["--model.init_args.encoder.init_args.dropout=0", "--trainer.accelerator=cpu"]
    assert main(["train", str(tiny), "--output", str(folder / "run"), *settings]) == 0
    return folder / "run" / "model", folder, rows


def test_lines_are_read_as_they_were_typed(trained):
    package, folder, rows = trained
    predictions = Model.load(package).predict([str(folder / name) for name, *_ in rows])
    read = [prediction.text for prediction in predictions]
    right = sum(text == typed for text, (_, typed, _) in zip(read, rows, strict=True))
    assert right > 0.9 * len(rows), read[:5]


@pytest.mark.parametrize("letters", SCRIPTS)
def test_characters_and_words_lie_where_they_stand(trained, capsys, letters):
    package, folder, rows = trained
    model = Model.load(package)
    name, typed, standing = next(row for row in rows if row[1][0] in letters and len(set(row[1])) > 5)
    (sample,) = model.samples([str(folder / name)])
    aligned = model.align(dataclasses.replace(sample, text=typed))
    assert "".join(character.text for character in aligned.characters) == typed
    assert "".join(character.text for character in sorted(aligned.characters, key=lambda c: c.start)) == standing
    first, other, last = aligned.words
    assert (first.text, other.text, last.text) == tuple(typed.split())
    assert first.start > other.start > last.start, "the first word stands at the right"
    for word in aligned.words:
        shown = word.text if word is other else word.text[::-1]
        middle = (standing.index(shown) + len(shown) / 2) * CELL * READ / HEIGHT
        assert abs((word.start + word.end) / 2 - middle) < 2 * CELL * READ / HEIGHT, word
    capsys.readouterr()
    assert main(["align", str(package), "--input", str(folder / name), "--text", typed]) == 0
    assert [word["text"] for word in json.loads(capsys.readouterr().out)["words"]] == typed.split()
