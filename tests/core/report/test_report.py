"""The report: one file that opens offline, whatever the texts hold."""

import types
import xml.etree.ElementTree as ElementTree

import pytest

from lstmapps.data import Sample
from lstmapps.evaluation import Case, Evaluation
from lstmapps.predictions import Piece, Prediction
from lstmapps.report import write_report
from lstmapps.report.drawings import alignment, curves
from lstmapps.text import error_rate


class Domain:
    def picture(self, sample):
        return None

    def sound(self, sample):
        return None


class Model:
    """What a report asks of a model."""

    name = "made/<up>"
    streams_exactly = False
    domain = Domain()
    results = types.MappingProxyType({"training": {"train_samples": 10, "epochs": 3}})

    def posteriors(self, sample):
        return [[0.1, 0.9], [0.6, 0.4]], 8


def evaluation(pairs):
    cases = []
    for number, (reference, hypothesis) in enumerate(pairs):
        pieces = [Piece(hypothesis[0], 0.0, 4.0, 0.4)] if hypothesis else []
        prediction = Prediction(Sample(f"line{number}", None, size=8), hypothesis, 0.4, pieces)
        cases.append(Case(reference, hypothesis, prediction))
    references, hypotheses = zip(*pairs, strict=True)
    scores = {"cer": error_rate(references, hypotheses), "wer": error_rate(references, hypotheses, unit="word")}
    return Evaluation(cases, scores, [])


def test_a_report_shows_the_worst_lines_first_and_escapes_what_was_read(tmp_path):
    path = tmp_path / "report.html"
    made = evaluation([("a good line", "a good line"), ("<b>&c", "<i>&c"), ("xyz", "abc")])
    history = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0, "validation_cer": 40.0}]
    write_report(path, Model(), "test", made, history)
    page = path.read_text()
    assert page.index("line2: 100 % wrong") < page.index("line1: 20 % wrong")
    assert "line0" not in page
    assert "&lt;<del>b</del>&gt;&amp;c" in page
    assert "<b>&c" not in page
    assert "3 samples of the test part; trained on 10 samples for 3 epochs" in page
    assert not [attribute for attribute in ("src=http", 'src="http', "@import", "<script") if attribute in page]


def test_a_report_without_errors_says_so(tmp_path):
    write_report(tmp_path / "report.html", Model(), "test", evaluation([("ab", "ab")]))
    assert "Every sample was read without a fault." in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("highest", "ticks"), [(2.76, ["0", "1", "2", "3", "4"]), (100, ["25", "100"]), (0.0, ["1"])])
def test_curves_have_round_ticks(highest, ticks):
    drawing = ElementTree.fromstring(curves("loss", {"train": [(1, highest), (2, highest / 2)]}))
    shown = [element.text for element in drawing.iter("text")]
    assert all(tick in shown for tick in ticks)
    heights = [float(point.split(",")[1]) for point in next(drawing.iter("polyline")).get("points").split()]
    assert heights == sorted(heights), "a smaller value lies lower on the page"


def test_an_alignment_marks_doubtful_characters_and_draws_what_was_seen():
    drawing = alignment([[0.1, 0.9, 0.0], [0.6, 0.4, 0.0]], 8, [("<", 0, 4, 0.4), (" ", 4, 8, 0.9)], None)
    svg = ElementTree.fromstring(drawing)
    texts = {element.text: element.get("fill") for element in svg.iter("text")}
    assert texts == {"<": "var(--bad)", "␣": "currentColor"}
    assert len(list(svg.iter("polyline"))) == 1, "symbols that were never likely have no curve"
