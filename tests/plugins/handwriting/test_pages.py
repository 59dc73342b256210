"""PAGE and ALTO: the lines that are cut from pages, as other systems write them, and what is written back."""

import io
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from drawn import draw
from lstmapps_handwriting.domain import Handwriting
from lstmapps_handwriting.writers import box
from PIL import Image

from lstmapps.errors import UserError
from lstmapps.prediction import Piece, Prediction


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


def test_lines_are_cut_from_a_page_of_more_pixels_than_pillow_allows(sheet, plain, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    (sheet / "page.xml").write_text(page_xml("page.png", [("a", OUTLINE, "123")]))
    domain = Handwriting(24)
    (sample,) = domain.read(str(sheet / "page.xml"))
    torch.testing.assert_close(domain.load(domain.measure(sample)), plain)
    assert Image.MAX_IMAGE_PIXELS == 5000, "the limit of the process stays as it was"
    monkeypatch.setattr("lstmapps_handwriting.images._MOST_PIXELS", 100)
    with pytest.raises(UserError, match="too large"):
        domain.measure(sample)


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
