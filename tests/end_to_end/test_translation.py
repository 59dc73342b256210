"""Every recipe of translation, trained on a few pairs in its data's true layout; reading, scoring, fine-tuning."""

import gzip
import json
import lzma
import random
import subprocess
import sys
import threading

import pytest
import torch
from lstmapps_translation.numbers import NumberWords

from lstmapps.cli.main import main
from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.model import Model
from lstmapps.nn import ConvRecurrentEncoder, Seq2SeqNetwork, TokenEmbedding
from lstmapps.prediction.seq2seq import Seq2SeqPredictor
from lstmapps.search import Constraints, Hypothesis, Search
from lstmapps.text import Vocabulary

CPU = "--trainer.accelerator=cpu"
SMALL = [
    "--model.init_args.encoder.init_args.hidden_size=8",
    "--model.init_args.encoder.init_args.input_size=8",
    "--model.init_args.decoder.embedding_size=8",
    "--model.init_args.decoder.hidden_size=16",
    "--trainer.max_epochs=1",
    "--trainer.check_val_every_n_epoch=1",
    CPU,
]


def call(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def pairs(count):
    drawn = random.Random(0)
    german, english = (["ein", "zwei", "Hund", "Katze", "schläft"], ["a", "two", "dog", "cat", "sleeps"])
    for number in range(count):
        places = drawn.choices(range(5), k=drawn.randint(2, 6))
        yield f"{' '.join(german[i] for i in places)} {number}.", f"{' '.join(english[i] for i in places)} {number}."


def parallel(folder, names, packed):
    folder.mkdir(parents=True)
    for shift, name in enumerate(names):
        texts = list(pairs(60 + shift))
        for side, code in enumerate(("de", "en")):
            lines = "".join(f"{name} {pair[side]}\n" for pair in texts).encode()
            path = folder / f"{name}.{code}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(lines) if packed else lines)


def tatoeba(folder):
    folder.mkdir(parents=True)
    lines = "".join(f"{english}\t{german}\n" for german, english in pairs(120))
    (folder / "deu-eng.tsv.xz").write_bytes(lzma.compress(lines.encode()))


MULTI30K = ("train", "val", "test_2016_flickr")
RECIPES = {
    "multi30k-deu-eng": (lambda f: parallel(f / "multi30k", MULTI30K, True), []),
    "multi30k-eng-deu": (lambda f: parallel(f / "multi30k", MULTI30K, True), []),
    "sutskever": (lambda f: parallel(f / "multi30k", MULTI30K, True), []),
    "bahdanau": (lambda f: parallel(f / "multi30k", MULTI30K, True), []),
    "iwslt14-deu-eng": (lambda f: parallel(f / "iwslt14.tokenized.de-en", ("train", "valid", "test"), False), []),
    "deu-eng": (lambda f: tatoeba(f / "tatoeba"), ["--data.holdout=20", "--data.holdout_test=30"]),
    "eng-deu": (lambda f: tatoeba(f / "tatoeba"), ["--data.holdout=20", "--data.holdout_test=30"]),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_in_the_true_layout(name, capsys, tmp_path, monkeypatch):
    lay, settings = RECIPES[name]
    lay(tmp_path)
    monkeypatch.setenv("LSTMAPPS_DATA", str(tmp_path))
    settings = [*settings, "--data.units.count=60"]
    run = tmp_path / "run"
    out = call(capsys, "train", f"translation/{name}", "--output", run, *SMALL, *settings, "--json")
    assert "bleu" in json.loads(out)["metrics"]
    report = (run / "report.html").read_text()
    sections = ["Score by length", "Confidence against correctness", "Coverage of the vocabulary"]
    assert all(f"<h2>{title}</h2>" in report for title in sections)
    tested = json.loads(call(capsys, "test", run / "model", "--json", *settings[:-1]))
    assert tested["samples"] == (30 if "--data.holdout_test=30" in settings else 62)
    domain = Model.load(run / "model").domain
    assert domain.columns == [domain.source, domain.target]  # of one's own tables, however those of the recipe lie
    card = (run / "model" / "README.md").read_text()
    assert "- seq2seq" in card
    assert "BLEU" in card


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A model that has learnt the numbers below a hundred, in words, from German into English."""
    run = tmp_path_factory.mktemp("numbers")
    made = [f"--data.{part}.init_args.{setting}" for part in ("train", "validation", "test")
            for setting in ("pairs=[de-en]", "digits=2")]  # fmt: skip
    counts = [
        f"--data.{part}.init_args.count={count}" for part, count in (("train", 70), ("validation", 5), ("test", 15))
    ]
    options = ["--trainer.max_epochs=60", "--trainer.check_val_every_n_epoch=20", "--data.units.count=60", CPU]
    options += [
        "--data.batch_steps=400",
        "--model.init_args.shortlist=20",
        "--model.init_args.optimisation.learning_rate=0.01",
    ]
    assert main(["train", "translation/numbers", "--output", str(run / "run"), *made, *counts, *options]) == 0
    return run / "run" / "model"


def test_numbers_are_learnt_and_read_in_every_form(numbers, capsys, tmp_path):
    model = Model.load(numbers)
    read = {result.sample.source: result for result in model.predict(["dreißig", "siebzig", "achtzig"])}
    assert [result.text for result in read.values()] == ["thirty", "seventy", "eighty"]
    (tmp_path / "x.txt").write_text("dreißig\n\nsiebzig\r\nachtzig")
    assert call(capsys, "predict", numbers, tmp_path / "x.txt") == "thirty\n\nseventy\neighty\n"
    lines = call(capsys, "predict", numbers, "dreißig", "siebzig", "--n-best", 3, "--format", "jsonl").splitlines()
    first, _ = map(json.loads, lines)
    assert first["text"] == "thirty"
    assert len(first["alternatives"]) == 2
    assert first["score"] >= first["alternatives"][0]["score"] >= first["alternatives"][1]["score"]
    assert (first["read"], first["alignment"]) == (["dreißig"], [[0, 0]])
    assert call(capsys, "predict", numbers, "日本語", "dreißig", "\x07", "Ж Ю") == "\nthirty\n\n\n", "nothing is known"
    call(capsys, "predict", numbers, "dreißig", "<b>", "--format", "html", "--output", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert "thirty" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_what_a_search_is_asked_for_is_kept(numbers, capsys):
    def read(*options):
        return call(capsys, "predict", numbers, "dreißig", *options).strip()

    assert read("--must", "seventy").count("seventy") == 1
    assert "thirty" not in read("--must-not", "thirty")
    assert read("--prefix", "seventy").startswith("seventy")
    assert read("--decoder", "greedy") == read("--beam", "1") == "thirty"
    assert read("--decoder", "sample", "--search.temperature=0.01") == "thirty"
    assert len(read("--search.shortest", "9", "--search.longest", "9")) >= 9


def test_a_folder_of_results_has_a_file_for_each_file_of_sentences(numbers, capsys, tmp_path):
    (tmp_path / "one.txt").write_text("dreißig\n\nsiebzig\n")
    (tmp_path / "two.txt").write_text("siebzig")
    given = [tmp_path / "one.txt", tmp_path / "two.txt", "dreißig/siebzig " * 90]
    call(capsys, "predict", numbers, *given, "--output", f"{tmp_path / 'out'}/")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.txt", "sentences.txt", "two.txt"]
    assert (tmp_path / "out" / "one.txt").read_text() == "thirty\n\nseventy\n"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--beam", "0"], "a beam is 1 to 1000 wide, not 0"),
        (["--beam", "10000"], "a beam is 1 to 1000 wide"),
        (["--search.lenght_penalty=wu"], "did you mean 'length_penalty'"),
        (["--decoder", "transducer"], "choose greedy, beam, sample"),
        (["--hot-word", "thirty"], "no hot words"),
        (["--must", "日本"], "symbols that the model does not write"),
        (["--must", "thirty", "--must-not", "thirty"], "holds what must not"),
        (["--must", "thirty eleven two", "--search.longest=1"], "does not fit"),
        (["--trainer.max_epochs=3"], "unrecognised argument"),
        (["--n-best", "0"], "ask for 1 or more"),
        (["--n-best", "2", "--decoder", "greedy"], "greedy reading gives one text"),
        (["--search.temperature=-1"], "temperature is above 0, not -1"),
        (["--must", ""], "is empty; leave it out"),
        (["--microphone"], "no use for a microphone"),
        (["--device", "cuda:9"], "the device cuda:9 cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_search_that_cannot_be_is_one_sentence(numbers, capsys, options, fault):
    assert main(["predict", str(numbers), "dreißig", *options]) == 1
    error = capsys.readouterr().err
    assert fault in error
    assert "Traceback" not in error


def test_lines_are_translated_as_they_arrive_and_keep_their_number(numbers):
    command = [sys.executable, "-m", "lstmapps", "predict", str(numbers), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        process.stdin.write("dreißig\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == b"thirty\n", "before the input ends"
        process.stdin.write("siebzig\r\n\n\xff\n".encode("latin-1") + "acht\u2028zig\x0c\n\x00\ndreißig".encode())
        out, error = process.communicate()
        watchdog.cancel()
    lines = out.decode().split("\n")
    assert lines[:3] == ["seventy", "", ""]
    assert lines[5:] == ["thirty", ""]
    assert b"-:4 is not UTF-8" in error
    assert process.returncode == 1


def test_a_text_of_very_many_words_is_cut_and_said_so(numbers, capsys, tmp_path):
    (tmp_path / "x.txt").write_text("dreißig\n" + "dreißig " * 10_000 + "\ndreißig\n")
    assert main(["predict", str(numbers), str(tmp_path / "x.txt"), "--search.longest=5"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.split("\n")
    assert (len(lines), lines[0], lines[2]) == (4, "thirty", "thirty")
    assert f"{tmp_path / 'x.txt'}:2 has 10,000 words; only the first 200 are translated" in printed.err


def test_right_pairs_score_above_wrong_ones(numbers, capsys, tmp_path):
    (tmp_path / "x.tsv").write_text("dreißig\tthirty\ndreißig\tseventy\ndreißig\t日本\n")
    assert main(["score", str(numbers), str(tmp_path / "x.tsv"), "--json"]) == 1
    printed = capsys.readouterr()
    right, wrong, bad, summary = printed.out.splitlines()
    assert float(right.partition("\t")[0]) > float(wrong.partition("\t")[0])
    assert bad.startswith("\t")
    assert json.loads(summary)["failed"] == 1
    (tmp_path / "empty.tsv").write_text("\tthirty\n")
    for command in (["score", str(numbers), str(tmp_path / "empty.tsv")],
                    ["align", str(numbers), "--input", str(tmp_path / "empty.tsv")]):  # fmt: skip
        assert main(command) == 1
        assert "is empty; there is nothing that its text could be of" in capsys.readouterr().err
    assert "does not know: '日' '本'" in printed.err
    (known,) = Model.load(numbers).score([next(iter(Model.load(numbers).samples([str(tmp_path / "x.tsv")])))])
    assert known.text == "thirty"
    aligned = json.loads(call(capsys, "align", numbers, "--input", "dreißig", "--text", "thirty"))
    assert aligned["score"] == pytest.approx(float(right.partition("\t")[0]), abs=1e-3)


def test_fine_tuning_leaves_the_pieces_as_they_are(numbers, capsys, tmp_path):
    own = [f"{sample.source}\t{sample.text} zero" for sample in NumberWords("train", 70, digits=2).samples()]
    (tmp_path / "own.tsv").write_text("\n".join(own))
    output = tmp_path / "tuned"
    settings = [f"--data.train={tmp_path / 'own.tsv'}", "--data.holdout=0.2", CPU, "--trainer.max_epochs=15"]
    settings += ["--optimisation.learning_rate=0.01", "--json"]
    result = json.loads(call(capsys, "finetune", numbers, "--output", output, *settings))
    assert result["after"]["exact"]["value"] > result["before"]["exact"]["value"] == 0.0
    before, after = Model.load(numbers), Model.load(output / "model")
    assert after.vocabulary == before.vocabulary
    assert after.inputs.vocabulary == before.inputs.vocabulary
    assert "0 new" in result["symbols"]


def test_a_shortlist_writes_the_same(numbers, capsys):
    assert call(capsys, "predict", numbers, "dreißig", "siebzig", "--shortlist") == "thirty\nseventy\n"
    assert "seventy" in call(capsys, "predict", numbers, "dreißig", "--shortlist", "--int8", "--must", "seventy")
    table = Model.load(numbers).network.shortlist.table
    assert table.any()
    assert table.dtype == torch.int32


def test_models_write_together(numbers, capsys, tmp_path):
    assert call(capsys, "predict", numbers, "dreißig", "--ensemble", numbers) == "thirty\n"
    noise = Model.load(numbers)
    with torch.no_grad():
        noise.network.decoder.output.bias[noise.vocabulary.encode("thirty")] -= 1000
    (alone,) = noise.predict(["dreißig"])
    (together,) = noise.predict(["dreißig"], ensemble=[Model.load(numbers)], shortlist=True)
    assert alone.text != together.text == "thirty"
    assert main(["predict", str(numbers), "x", "--ensemble", "handwriting/digits"]) == 1
    assert "other vocabularies" in capsys.readouterr().err


def test_weights_of_eight_bits_read_the_same_and_are_not_for_ctc(numbers, capsys):
    assert call(capsys, "predict", numbers, "dreißig", "siebzig", "--int8") == "thirty\nseventy\n"
    assert main(["predict", "handwriting/digits", "x.png", "--int8"]) == 1
    assert "no decoder whose weights could be of eight bits" in capsys.readouterr().err


def test_weights_of_eight_bits_are_not_kept(numbers, tmp_path):
    with pytest.raises(UserError, match="load it without int8"):
        Model.load(numbers, int8=True).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_is_looked_at_in_a_reversed_text_is_named_by_its_own_words():
    vocabulary = Vocabulary(list("abc "))
    torch.manual_seed(0)
    network = Seq2SeqNetwork(
        TokenEmbedding(5, 4, reverse=True),
        ConvRecurrentEncoder(4, [], 2, 1),
        {"embedding_size": 4, "hidden_size": 4},
        5,
    )
    predictor = Seq2SeqPredictor(network, vocabulary, vocabulary, Search(), Constraints())
    attention = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # at the encoder's first step, the text's last symbol
    found = Hypothesis((1,), 0.0, (0.0, 0.0), attention)
    x = torch.tensor(vocabulary.encode("a b")).unsqueeze(1)
    prediction = predictor._prediction(Sample("x", "a b", size=3), [found], x)
    assert prediction.attended.read == ["a", "b"]
    assert prediction.attended.pairs() == [(1, 0)]


def test_a_vocabulary_of_other_weights_is_refused(numbers, tmp_path):
    model = Model.load(numbers)
    model.package.vocabulary = model.vocabulary.extended(["日"])
    model.save(tmp_path / "model")
    with pytest.raises(UserError, match="not that of the weights"):
        Model.load(tmp_path / "model")


def test_a_piece_file_of_another_model_is_refused(numbers, capsys, tmp_path):
    model = Model.load(numbers)
    other = Vocabulary.learn(["another text of other pieces"] * 9, units=20)
    model.save(tmp_path / "model")
    (tmp_path / "model" / "vocabulary.model").write_bytes(other.pieces.content)
    assert main(["predict", str(tmp_path / "model"), "dreißig"]) == 1
    assert "vocabulary.model is not a vocabulary (its symbols are not the pieces" in capsys.readouterr().err
    (tmp_path / "model" / "vocabulary.model").write_bytes(b"no model")
    assert main(["predict", str(tmp_path / "model"), "dreißig"]) == 1
    assert "holds no SentencePiece model" in capsys.readouterr().err
