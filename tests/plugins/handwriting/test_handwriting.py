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


def test_a_line_is_cut_from_a_page_of_200_megapixels(tmp_path, plain):
    page = Image.new("L", (14_000, 14_400), 255)
    page.paste(draw("123"), (13_000, 14_000))
    page.save(tmp_path / "page.png", compress_level=1)
    del page
    outline = "13000,14000 13043,14000 13043,14023 13000,14023"
    (tmp_path / "page.xml").write_text(page_xml("page.png", [("a", outline, "123")]))
    domain = Handwriting(24)
    (sample,) = domain.read(str(tmp_path / "page.xml"))
    torch.testing.assert_close(domain.load(domain.measure(sample)), plain)


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
        (alto_xml("p.png", "").replace(">pixel<", ">ell<"), "measures in ell"),
    ],
)
def test_bad_xml_is_named(tmp_path, content, message):
    path = tmp_path / "bad.xml"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        list(Handwriting().read(str(path)))
    assert "bad.xml" in str(error.value)


def test_a_folder_of_pages_gives_the_lines_of_all(sheet):
    outline = "10,10 53,10 53,33 10,33"
    (sheet / "a.xml").write_text(page_xml("page.png", [("a", outline, "123")]))
    (sheet / "b.xml").write_text(alto_xml("page.png", '<TextLine ID="b" HPOS="1" VPOS="1" WIDTH="9" HEIGHT="9"/>'))
    (sheet / "METS.xml").write_text('<mets xmlns="http://www.loc.gov/METS/"/>')
    samples = list(Handwriting().read(str(sheet)))
    assert [sample.id for sample in samples] == [f"{sheet / 'a.xml'}#a", f"{sheet / 'b.xml'}#b"]


def test_a_bad_page_stops_no_folder(sheet):
    (sheet / "a.xml").write_text("<PcGts>")
    (sheet / "b.xml").write_text(page_xml("page.png", [("b", OUTLINE, "123")]))
    bad, good = Handwriting().read(str(sheet))
    assert "a.xml is not well-formed" in bad.fault
    assert (good.text, good.fault) == ("123", None)


OUTLINE = "10,10 53,10 53,33 10,33"


def test_lines_of_one_id_are_three_lines(sheet):
    (sheet / "page.xml").write_text(
        page_xml("page.png", [("l", OUTLINE, "123"), ("l", "20,60 75,60 75,83", "4567"), ("l", OUTLINE, "8")])
    )
    samples = list(Handwriting().read(str(sheet / "page.xml")))
    assert [s.text for s in samples] == ["123", "4567", "8"]
    assert len({s.id for s in samples}) == 3
    assert samples[0].region != samples[1].region


WORDS = (
    '<Word><Coords points="10,10 30,10 30,33 10,33"/><TextEquiv><Unicode>12</Unicode></TextEquiv></Word>'
    '<Word><Coords points="32,10 53,10 53,33 32,33"/><TextEquiv><Unicode>3</Unicode></TextEquiv></Word>'
)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f'<Coords points="{OUTLINE}"/>{WORDS}', "12 3"),
        (f'<Coords points="{OUTLINE}"/>{WORDS}<TextEquiv><Unicode>all</Unicode></TextEquiv>', "all"),
        (WORDS, "12 3"),
        (f'<Coords points="{OUTLINE}"/><TextEquiv><Unicode> a\n\tb\u00a0 c  </Unicode></TextEquiv>', "a b c"),
        ('<Coords><Point x="10" y="10"/><Point x="53" y="10"/><Point x="53" y="33"/></Coords>', None),
        (f'<Coords points="{OUTLINE}"/><TextEquiv index="first"><Unicode>x</Unicode></TextEquiv>', "x"),
    ],
)
def test_lines_of_page_as_they_are_in_the_wild(sheet, inside, text):
    xml = page_xml("page.png", []).replace("<TextRegion>", f"<TextRegion><TextLine>{inside}</TextLine>")
    (sheet / "page.xml").write_text(xml)
    domain = Handwriting(24)
    (sample,) = (domain.measure(s) for s in domain.read(str(sheet / "page.xml")))
    assert sample.text == text
    region = sample.region
    assert (region.left, region.top, region.width, region.height) == (10, 10, 44, 24)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            '<String CONTENT="croire"/><SP/><String CONTENT="obli" SUBS_CONTENT="obligé"/><HYP CONTENT="-"/>',
            "croire obli-",
        ),
        ('<String CONTENT="obli"/><HYP/>', "obli-"),
        ('<String CONTENT="  a  "/><String CONTENT=""/>', "a"),
        ('<String CONTENT="a&#10;b"/>', "a b"),
        ("", None),
    ],
)
def test_texts_of_alto_as_they_are_in_the_wild(sheet, inside, text):
    (sheet / "page.xml").write_text(alto_xml("page.png", f"<TextLine>{inside}</TextLine>"))
    (sample,) = Handwriting().read(str(sheet / "page.xml"))
    assert sample.text == text


@pytest.mark.parametrize(("unit", "dots"), [("mm10", 254), ("inch1200", 1200)])
def test_alto_in_other_units_is_scaled_by_the_size_of_its_page(sheet, unit, dots):
    scale = dots / 300  # units for a pixel, at 300 dots an inch
    places = {"HPOS": 10, "VPOS": 10, "WIDTH": 44, "HEIGHT": 24}
    box = " ".join(f'{key}="{value * scale:.2f}"' for key, value in places.items())
    xml = alto_xml("page.png", f'<TextLine {box}/><TextLine><String CONTENT="x" {box}/></TextLine>')
    xml = xml.replace(">pixel<", f">{unit}<").replace("<Page>", f'<Page WIDTH="{200 * scale}" HEIGHT="{100 * scale}">')
    (sheet / "page.xml").write_text(xml)
    domain = Handwriting(24)
    for sample in map(domain.measure, domain.read(str(sheet / "page.xml"))):
        assert (sample.region.left, sample.region.top, sample.region.width, sample.region.height) == (10, 10, 44, 24)
    (sheet / "page.xml").write_text(xml.replace("WIDTH=", "BREADTH="))
    with pytest.raises(UserError, match="no WIDTH and HEIGHT"):
        list(domain.read(str(sheet / "page.xml")))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("scan%20page%20%C3%A9.png", "scan page é.png"),
        ("file:///home/me/scan%20page.png", "scan page.png"),
        ("file:scan.png", "scan.png"),
        (r"C:\\scans\\page.png".replace("\\\\", "\\"), "page.png"),
        ("/mnt/elsewhere/page.png", "page.png"),
        ("100%25.png", "100%25.png"),
        ("X.png", "../X.png"),
        ("images/X.png", "../X.png"),
    ],
)
def test_pictures_are_found_by_uri_by_other_systems_paths_and_one_folder_up(tmp_path, name, place):
    (tmp_path / "page").mkdir()
    draw("123").save(tmp_path / "page" / place)
    (tmp_path / "page" / "x.xml").write_text(page_xml(name, [("a", "0,0 43,0 43,23 0,23", "123")]))
    domain = Handwriting(24)
    (sample,) = domain.read(str(tmp_path / "page" / "x.xml"))
    assert domain.measure(sample).size == 44


@pytest.mark.parametrize("kind", ["page", "alto"])
def test_an_export_is_read_from_its_file_its_folder_and_the_folder_above(tmp_path, kind):
    draw("123").save(tmp_path / "X.png")
    (tmp_path / kind).mkdir()
    row = '<TextLine ID="a" HPOS="0" VPOS="0" WIDTH="44" HEIGHT="24"><String CONTENT="123"/></TextLine>'
    xml = page_xml("X.png", [("a", "0,0 43,0 43,23 0,23", "123")]) if kind == "page" else alto_xml("X.png", row)
    (tmp_path / kind / "X.xml").write_text(xml)
    (tmp_path / kind / "METS.xml").write_text("<mets/>")
    domain = Handwriting(24)
    for source in (tmp_path / kind / "X.xml", tmp_path / kind, tmp_path):
        (sample,) = domain.read(str(source))
        assert (sample.text, domain.measure(sample).size) == ("123", 44)


def test_a_picture_of_a_page_is_no_line(tmp_path):
    Image.new("L", (900, 1200), 255).save(tmp_path / "page.png")
    with pytest.raises(UserError, match=r"page\.png is 900 x 1200 pixels, the shape of a page"):
        load(tmp_path / "page.png")
    Image.new("L", (4000, 600), 255).save(tmp_path / "line.png")
    assert len(load(tmp_path / "line.png")) == 160


def test_lines_are_cut_from_a_page_of_more_pixels_than_pillow_allows(sheet, plain, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", OUTLINE, "123")]))
    domain = Handwriting(24)
    (sample,) = domain.read(str(sheet / "page.xml"))
    torch.testing.assert_close(domain.load(domain.measure(sample)), plain)
    assert Image.MAX_IMAGE_PIXELS == 5000, "the limit of the process stays as it was"
    monkeypatch.setattr("lstmapps_handwriting.images._MOST_PIXELS", 100)
    with pytest.raises(UserError, match="too large even for a page"):
        domain.measure(sample)


GREY = np.asarray(draw("123"))
ARRAYS = {
    "bytes": GREY,
    "tensor": torch.from_numpy(GREY.copy()),
    "0 to 1": GREY / 255,
    "float32": (GREY / 255).astype(np.float32),
    "0 to 255": GREY.astype(np.float64),
    "16 bit": GREY.astype(np.uint16) * 257,
    "big-endian": (GREY.astype(np.uint16) * 257).astype(">u2"),
    "colours": np.repeat(GREY[:, :, None], 3, axis=2),
    "reversed twice": np.ascontiguousarray(GREY[::-1])[::-1],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_is_the_same_line_as_its_picture(plain, kind):
    domain = Handwriting(24)
    sample = domain.measure(Sample("s", ARRAYS[kind]))
    torch.testing.assert_close(domain.load(sample), plain, atol=0.005, rtol=0)
    assert sample.size == len(plain)
    assert domain.picture(sample)


BAD_ARRAYS = [np.zeros((0, 5), np.uint8), np.zeros(5), np.zeros((24, 40), np.int64), np.full((24, 40), np.nan)]
BAD_ARRAYS += [np.full((24, 40), -1.0), np.full((24, 40), "x"), np.zeros((24, 40), complex), np.zeros((24, 40, 2))]


@pytest.mark.parametrize("array", BAD_ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_an_array_that_is_no_picture_is_refused(array):
    with pytest.raises(UserError, match=r"^s "):
        Handwriting(24).measure(Sample("s", array))


def test_a_picture_of_floating_point_numbers_is_read(tmp_path, plain):
    Image.fromarray((GREY / 255).astype(np.float32)).save(tmp_path / "x.tiff")
    torch.testing.assert_close(load(tmp_path / "x.tiff"), plain, atol=0.005, rtol=0)


@pytest.mark.parametrize("form", ["page", "alto"])
def test_a_document_elsewhere_finds_its_picture(sheet, form):
    domain = Handwriting(24)
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", OUTLINE, "123")]))
    (sample,) = (domain.measure(s) for s in domain.read(str(sheet / "page.xml")))
    (sheet / "else where" / "deeper").mkdir(parents=True)
    out = sheet / "else where" / "deeper" / "out.xml"
    with out.open("w", encoding="utf-8") as file:
        domain.formats()[form].write([Prediction(sample, "123", 1.0)], file)
    (again,) = (domain.measure(s) for s in domain.read(str(out)))
    torch.testing.assert_close(domain.load(again), domain.load(sample))


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
