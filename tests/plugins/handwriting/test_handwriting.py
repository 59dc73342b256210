"""The handwriting plugin: every kind of picture and list it reads, what it refuses, what it writes."""

import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from drawn import draw
from lstmapps_handwriting.digits import DigitStrings
from lstmapps_handwriting.domain import Handwriting
from lstmapps_handwriting.frontend import LineFrontend
from lstmapps_handwriting.images import Region
from lstmapps_handwriting.writers import box
from PIL import Image

from lstmapps.data import Sample
from lstmapps.errors import UserError
from lstmapps.predictions import Piece, Prediction


def load(path, height=24):
    domain = Handwriting(height)
    (sample,) = domain.read(str(path))
    measured = domain.measure(sample)
    x = domain.load(measured)
    assert measured.size == len(x)
    return x


@pytest.fixture
def plain(tmp_path):
    draw("123").save(tmp_path / "plain.png")
    return load(tmp_path / "plain.png")


def with_alpha(picture):
    ink = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ink.putalpha(Image.eval(picture, lambda value: 255 - value))
    return ink


FORMS = {
    "jpeg": (lambda p: p, "x.jpg", {"quality": 98}),
    "tiff": (lambda p: p, "x.tiff", {}),
    "webp": (lambda p: p, "x.webp", {"lossless": True}),
    "colour": (lambda p: p.convert("RGB"), "x.png", {}),
    "palette": (lambda p: p.convert("P"), "x.png", {}),
    "alpha": (with_alpha, "x.png", {}),
    "16 bit": (lambda p: Image.fromarray(np.asarray(p).astype(np.uint16) * 257), "x.png", {}),
    "capital ending": (lambda p: p, "X.PNG", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_is_the_same_line(tmp_path, plain, form):
    change, name, options = FORMS[form]
    change(draw("123")).save(tmp_path / name, **options)
    torch.testing.assert_close(load(tmp_path / name), plain, atol=0.06, rtol=0)


def test_a_picture_that_the_camera_turned_is_read_upright(tmp_path, plain):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    draw("123").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    torch.testing.assert_close(load(tmp_path / "turned.png"), plain)


@pytest.mark.parametrize("height", [12, 24, 96])
def test_the_aspect_ratio_is_kept_at_any_height(tmp_path, height):
    draw("12345").resize((68 * 3, 24 * 3)).save(tmp_path / "x.png")
    assert load(tmp_path / "x.png", height).shape == (round(68 * height / 24), height)


def bad(path, content):
    path.write_bytes(content)


BAD = {
    "empty file": (lambda p: p.write_bytes(b""), "not a picture"),
    "a text": (lambda p: p.write_text("abc"), "not a picture"),
    "truncated": (lambda p: (draw("123").save(p), p.write_bytes(p.read_bytes()[:-40])), "is damaged"),
    "one pixel high": (lambda p: Image.new("L", (100, 1)).save(p), "too small"),
    "too wide": (lambda p: Image.new("L", (30_000, 40)).save(p), "too wide for one line"),
    "missing": (lambda _: None, "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_picture_is_named_with_a_remedy(tmp_path, case):
    make, message = BAD[case]
    path = tmp_path / "bad.png"
    make(path)
    with pytest.raises(UserError, match=message) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_tables_folders_and_json_lines_list_the_same_lines(lines):
    rows = [row.split("\t") for row in (lines / "train.tsv").read_text().splitlines()]
    manifest = [json.dumps({"image": name, "text": text}) for name, text in rows]
    (lines / "m.jsonl").write_text("\n".join(manifest))
    for name, text in rows:
        (lines / name).with_suffix(".gt.txt").write_text(text + "\n")
    expected = sorted((lines / name, text) for name, text in rows)
    for source in (lines / "train.tsv", lines / "m.jsonl", lines):
        assert sorted((s.source, s.text) for s in Handwriting().read(str(source))) == expected


def page_xml(picture, lines):
    rows = "".join(
        f'<TextLine id="{id_}"><Coords points="{points}"/><TextEquiv index="1"><Unicode>second</Unicode></TextEquiv>'
        f'<TextEquiv index="0"><Unicode>{text}</Unicode></TextEquiv></TextLine>'
        for id_, points, text in lines
    )
    name = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
    return f'<PcGts xmlns="{name}"><Page imageFilename="{picture}"><TextRegion>{rows}</TextRegion></Page></PcGts>'


def alto_xml(picture, rows):
    return (
        '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description><MeasurementUnit>pixel</MeasurementUnit>'
        f"<sourceImageInformation><fileName>{picture}</fileName></sourceImageInformation></Description><Layout><Page>"
        f"<PrintSpace><TextBlock>{rows}</TextBlock></PrintSpace></Page></Layout></alto>"
    )


@pytest.fixture
def sheet(tmp_path):
    """A page with two lines of figures at known places."""
    page = Image.new("L", (200, 100), 255)
    page.paste(draw("123"), (10, 10))
    page.paste(draw("4567"), (20, 60))
    page.save(tmp_path / "page.png")
    return tmp_path


def test_lines_are_cut_from_page_xml(sheet, plain):
    outline = "10,10 53,10 53,33 10,33"
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", outline, "123"), ("b", "20,60 75,60 75,83", "4567")]))
    domain = Handwriting(24)
    first, second = (domain.measure(s) for s in domain.read(str(sheet / "page.xml")))
    assert (first.id, first.text, second.text) == (f"{sheet / 'page.xml'}#a", "123", "4567")
    torch.testing.assert_close(domain.load(first), plain)
    cut = domain.load(second)
    assert cut.shape == (56, 24)
    assert bool((cut[:20, 15:] == cut[0, -1]).all()), "what lies outside the polygon is paper"


def test_lines_are_cut_from_alto_xml(sheet, plain):
    rows = (
        '<TextLine ID="a" HPOS="10" VPOS="10" WIDTH="44" HEIGHT="24"><String CONTENT="1"/><SP/><String CONTENT="23"/>'
        '</TextLine><TextLine ID="b"><Shape><Polygon POINTS="20 60 75 60 75 83 20 83"/></Shape></TextLine>'
    )
    (sheet / "page.xml").write_text(alto_xml("page.png", rows))
    domain = Handwriting(24)
    first, second = domain.read(str(sheet / "page.xml"))
    assert (first.text, second.text) == ("1 23", None)
    torch.testing.assert_close(domain.load(domain.measure(first)), plain)
    assert domain.load(domain.measure(second)).shape == (56, 24)


def test_a_line_that_reaches_beyond_its_picture_is_cut_at_the_edge(sheet):
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", "150,60 260,60 260,140 150,140", "x")]))
    domain = Handwriting(24)
    (sample,) = (domain.measure(s) for s in domain.read(str(sheet / "page.xml")))
    assert (sample.region.width, sample.region.height) == (50, 40)
    assert bool((domain.load(sample) < 0.5).all()), "there is no ink beyond the edge"
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", "300,60 360,60 360,140", "x")]))
    (sample,) = domain.read(str(sheet / "page.xml"))
    with pytest.raises(UserError, match="no outline that lies in its picture"):
        domain.measure(sample)


@pytest.mark.parametrize("points", ["1,1 2,2", "1,1 2,2 x,y", ""])
def test_a_line_without_an_outline_does_not_stop_the_others(sheet, points):
    outline = "10,10 53,10 53,33 10,33"
    pages = {
        "page.xml": page_xml("page.png", [("bad", points, "x"), ("good", outline, "123")]),
        "alto.xml": alto_xml(
            "page.png",
            f'<TextLine ID="bad"><Shape><Polygon POINTS="{points}"/></Shape></TextLine><TextLine ID="bare"/>'
            '<TextLine ID="good" HPOS="10" VPOS="10" WIDTH="44" HEIGHT="24"/>',
        ),
    }
    domain = Handwriting(24)
    for name, content in pages.items():
        (sheet / name).write_text(content)
        *bad, good = domain.read(str(sheet / name))
        assert domain.measure(good).size == 44
        for sample in bad:
            with pytest.raises(UserError, match=f"{name}#.* has no outline"):
                domain.measure(sample)


def test_a_picture_that_changes_is_read_anew(tmp_path):
    path = tmp_path / "x.png"
    draw("123").save(path)
    before = load(path)
    draw("45678").save(path)
    assert load(path).shape != before.shape


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<PcGts>", "not well-formed"),
        ("<html/>", "neither PAGE nor ALTO"),
        ("<PcGts><Page/></PcGts>", "names no picture"),
        ("<alto/>", "names no picture"),
        (alto_xml("p.png", "").replace(">pixel<", ">mm10<"), "measures in mm10"),
    ],
)
def test_bad_xml_is_named(tmp_path, content, message):
    path = tmp_path / "bad.xml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        list(Handwriting().read(str(path)))
    assert "bad.xml" in str(error.value)


@pytest.mark.parametrize("entry", ['{"image": 3}', '{"image": "a.png", "text": 3}'])
def test_json_lines_of_wrong_types_are_named(tmp_path, entry):
    path = tmp_path / "m.jsonl"
    path.write_text(entry)
    with pytest.raises(UserError, match=r"m\.jsonl:1"):
        list(Handwriting().read(str(path)))


def test_a_folder_of_pages_gives_the_lines_of_all(sheet):
    outline = "10,10 53,10 53,33 10,33"
    (sheet / "a.xml").write_text(page_xml("page.png", [("a", outline, "123")]))
    (sheet / "b.xml").write_text(alto_xml("page.png", '<TextLine ID="b" HPOS="1" VPOS="1" WIDTH="9" HEIGHT="9"/>'))
    (sheet / "METS.xml").write_text('<mets xmlns="http://www.loc.gov/METS/"/>')
    samples = list(Handwriting().read(str(sheet)))
    assert [sample.id for sample in samples] == [f"{sheet / 'a.xml'}#a", f"{sheet / 'b.xml'}#b"]


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        list(Handwriting().read(str(tmp_path)))


@pytest.mark.parametrize("form", ["page", "alto"])
def test_what_is_written_is_read_back(sheet, form):
    outline = "10,10 53,10 53,33 10,33"
    (sheet / "in.xml").write_text(page_xml("page.png", [("a", outline, "123")]))
    domain = Handwriting(48)
    (sample,) = (domain.measure(s) for s in domain.read(str(sheet / "in.xml")))
    words = [Piece("1", 0.0, 30.0, 0.9), Piece("2<3", 40.0, 88.0, 0.5)]
    prediction = Prediction(sample, "1 2<3", 0.7, words, words)
    assert box(prediction, words[0]) == (10, 10, 25, 34)
    file = io.StringIO()
    domain.formats()[form].write([prediction], file)
    (sheet / "out.xml").write_text(file.getvalue())
    (again,) = domain.read(str(sheet / "out.xml"))
    assert again.text == "1 2<3"
    assert again.region == sample.region
    assert ElementTree.parse(sheet / "out.xml").getroot() is not None


def test_variations_keep_the_height_and_stay_in_range():
    x = torch.rand(200, 64)
    for seed in range(20):
        torch.manual_seed(seed)
        varied = Handwriting(64).augment(x)
        assert varied.shape[1] == 64
        assert 200 * 0.85 <= len(varied) <= 200 * 1.17
        assert float(varied.min()) >= 0.0
        assert float(varied.max()) <= 1.0
        assert bool(varied.isfinite().all())


def test_no_variation_where_none_is_wanted():
    x = torch.rand(20, 16)
    assert Handwriting(16, augmentation=0).augment(x) is x


def test_the_frontend_sees_neither_contrast_nor_padding():
    x = torch.rand(2, 30, 16)
    lengths = torch.tensor([30, 12])
    y, _ = LineFrontend()(x, lengths)
    alone, _ = LineFrontend()(x[1:, :12], torch.tensor([12]))
    torch.testing.assert_close(y[1, :12], alone[0])
    assert bool((y[1, 12:] == 0).all())
    assert float(alone.mean()) == pytest.approx(0.0, abs=1e-5)
    faint, _ = LineFrontend()(0.2 * x + 0.1, lengths)
    torch.testing.assert_close(faint, y, atol=0.6, rtol=0.0)


def test_an_empty_line_stays_finite():
    y, _ = LineFrontend()(torch.full((1, 10, 16), 0.3), torch.tensor([10]))
    assert float(y.abs().max()) < 1e-3


def test_digit_strings_repeat_and_share_no_digit_between_parts():
    parts = {part: list(DigitStrings(part, 30).samples()) for part in ("train", "validation", "test")}
    again = list(DigitStrings("test", 30).samples())
    assert [s.text for s in again] == [s.text for s in parts["test"]]
    assert all(np.array_equal(a.source, b.source) for a, b in zip(again, parts["test"], strict=True))
    assert all(3 <= len(s.text) <= 9 for samples in parts.values() for s in samples)
    sample = parts["train"][0]
    assert Handwriting(32).load(Handwriting(32).measure(sample)).shape[1] == 32


def test_a_box_covers_at_least_a_pixel():
    sample = Sample("x", None, size=640, region=Region(5, 7, 10, 64))
    left, top, right, bottom = box(Prediction(sample, "a", 1.0), Piece("a", 3.0, 3.5, 1.0))
    assert (top, bottom) == (7, 71)
    assert right > left
