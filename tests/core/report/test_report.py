"""The report: one file that opens offline, whatever the texts hold."""

import io
import re
import types
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from lstmapps.data import Sample
from lstmapps.evaluation import Case, Evaluation
from lstmapps.prediction import Attended, Piece, Prediction
from lstmapps.report import write_report
from lstmapps.report.drawings import alignment, curves, looked
from lstmapps.report.page import _learning
from lstmapps.scores import ErrorRate, measure, score_named

SVG = "http://www.w3.org/2000/svg"


class Domain:
    def measure(self, sample):
        return sample

    def picture(self, sample):
        return None

    def sound(self, sample):
        return None


class Model:
    """What a report asks of a model."""

    name = "made/<up>"
    streams = False
    network = types.SimpleNamespace(kind="ctc")
    domain = Domain()
    results = types.MappingProxyType({"training": {"train_samples": 10, "epochs": 3}})

    def predictor(self):
        return types.SimpleNamespace(posteriors=lambda sample, domain: [[0.1, 0.9], [0.6, 0.4]])


def evaluation(pairs):
    cases = []
    for number, (reference, hypothesis) in enumerate(pairs):
        pieces = [Piece(hypothesis[0], 0.0, 4.0, 0.4)] if hypothesis else []
        prediction = Prediction(Sample(f"line{number}", None, size=8), hypothesis, 0.4, pieces)
        cases.append(Case((reference,), hypothesis, prediction))
    references, hypotheses = [[reference] for reference, _ in pairs], [hypothesis for _, hypothesis in pairs]
    scores = {name: measure(score_named(name), references, hypotheses) for name in ("cer", "wer")}
    return Evaluation(cases, scores, [])


def test_a_report_shows_the_worst_lines_first_and_escapes_what_was_read(tmp_path):
    path = tmp_path / "report.html"
    made = evaluation([("a good line", "a good line"), ("<b>&c", "<i>&c"), ("xyz", "abc")])
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "validation_cer": 40.0}]
    write_report(path, Model(), "test", made, history)
    page = path.read_text()
    assert page.index("line2: CER 100.00 %") < page.index("line1: CER 20.00 %")
    assert "line0" not in page
    assert "&lt;<del>b</del>&gt;&amp;c" in page
    assert "<b>&c" not in page
    assert "3 samples of the test part; trained on 10 samples for 3 epochs" in page
    assert not [attribute for attribute in ("src=http", 'src="http', "@import", "<script") if attribute in page]


def test_a_report_without_errors_says_so(tmp_path):
    write_report(tmp_path / "report.html", Model(), "test", evaluation([("ab", "ab")]))
    assert "Every sample was read without a fault." in (tmp_path / "report.html").read_text()


def test_drawings_stand_in_the_page_and_as_files_beside_it(tmp_path):
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "validation_cer": 40.0}]
    write_report(tmp_path / "report.html", Model(), "test", evaluation([("ab", "ab"), ("cd", "ce")]), history)
    page = (tmp_path / "report.html").read_text()
    files = {path.name: path.read_text() for path in (tmp_path / "report-drawings").iterdir()}
    assert set(files) == {"loss.svg", "scores.svg", "alignment-1.svg", "alignment-2.svg"}
    for drawing in files.values():
        assert ElementTree.fromstring(drawing).tag.endswith("svg")
        assert drawing in page


def texts_of(drawing):
    return {element.text: element.get("style") for element in ElementTree.fromstring(drawing).iter(f"{{{SVG}}}text")}


def test_curves_start_at_zero_and_a_smaller_value_lies_lower():
    drawing = curves("loss", {"train": [(1, 2.76), (2, 1.3)], "<validation>": [(1, 3.0)]})
    texts = texts_of(drawing)
    assert {"loss", "epoch", "train", "<validation>", "0", "1", "2"} <= {text.removesuffix(".0") for text in texts}
    (line,) = re.findall(r'<path d="M (\S+) (\S+)\s+L (\S+) (\S+)\s*" clip-path="[^"]*" style="[^"]*#1f6feb', drawing)
    assert float(line[1]) < float(line[3])


def test_an_alignment_marks_doubtful_characters_and_draws_what_was_seen():
    read = [("<", 0, 3, 0.4), (" ", 3, 6, 0.9), ("$_$", 6, 8, 0.9)]
    drawing = alignment([[0.1, 0.9, 0.0], [0.6, 0.4, 0.0]], 8, read, None)
    texts = texts_of(drawing)
    assert set(texts) == {"<", "␣", "$_$"}
    assert "--bad" in texts["<"]
    assert "--bad" not in texts["␣"]
    assert "#1f6feb" not in drawing, "the blank has no curve"
    assert "#d1242f" in drawing
    assert "#1a7f37" not in drawing, "symbols that were never likely have no curve"


def test_an_alignment_without_steps_or_with_a_picture_is_drawn():
    written = io.BytesIO()
    Image.new("L", (50, 10), 255).save(written, "png")
    assert "<svg" in alignment([], 0, [], None)
    drawing = ElementTree.fromstring(alignment([[0.5, 0.5]], 50, [("a", 0, 50, 0.9)], written.getvalue()))
    assert len(list(drawing.iter(f"{{{SVG}}}image"))) == 1
    assert float(drawing.get("width").removesuffix("pt")) == 320, "64 high, everything in proportion"


def test_scores_of_one_unit_share_a_drawing():
    class Points(ErrorRate):
        unit = "points"

    scores = [score_named("cer"), Points("points", "word"), score_named("wer")]
    history = [{"epoch": 1, "validation_cer": 9.0, "validation_wer": 20.0, "validation_points": 30.0}]
    drawn = _learning(history, scores)
    assert set(drawn) == {"scores", "scores-2"}
    assert {"CER", "WER", "on validation, %"} <= set(texts_of(drawn["scores"]))
    assert "on validation, points" in texts_of(drawn["scores-2"])


def test_a_grid_is_laid_over_the_picture_once_for_each_word():
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(buffer, "PNG")
    drawing = looked(buffer.getvalue(), ["<a", "$dog$"], [[0.1] * 6, [0.0, 0.9, 0.1, 0.0, 0.0, 0.0]], (2, 3))
    assert {"<a", "$dog$"} <= set(texts_of(drawing))
    assert drawing.count("<image") == 2


def test_pointing_is_the_share_of_attention_where_what_words_name_is():
    class Placed(Domain):
        def places(self, sample, words):
            return [(0.0, 0.0, 0.5, 0.5), None]  # the upper left quarter, which touches two of three columns

    attended = Attended([], ["dog", "runs"], [[0.4, 0.3, 0.1, 0.2, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]], (2, 3))
    prediction = Prediction(Sample("x", None), "dog runs", 0.5, attended=attended)
    share = Evaluation([Case(("dog runs",), "dog runs", prediction)], {}, []).pointing(Placed())
    assert share == pytest.approx(0.7)
    assert Evaluation([], {}, []).pointing(Placed()) is None
