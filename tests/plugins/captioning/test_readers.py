"""Where pictures and their captions are found."""

import io
import json

import pytest
from lstmapps_captioning.domain import Captioning
from PIL import Image

from lstmapps.errors import UserError


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), "red").save(path)
    return path


def read(source, **settings):
    return list(Captioning(**settings).read(str(source)))


def told(samples):
    return [(sample.id, sample.text) for sample in samples]


def test_a_folder_gives_its_pictures_and_one_with_captions_those(tmp_path):
    for name in ("b.jpg", "a.PNG"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert told(read(tmp_path)) == [(str(tmp_path / "a.PNG"), None), (str(tmp_path / "b.jpg"), None)]
    (tmp_path / "captions.csv").write_text('image,caption\nb.jpg,"red, and wide"\nb.jpg,second\n')
    samples = read(tmp_path)
    assert told(samples) == [("b.jpg", "red, and wide"), ("b.jpg#2", "second")]
    assert {sample.source for sample in samples} == {tmp_path / "b.jpg"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        read(tmp_path / "empty")


def test_flickr8k_is_a_list_beside_its_captions_and_the_folder_of_its_pictures(tmp_path):
    for name in ("1.jpg", "2.jpg"):
        picture(tmp_path / "Flicker8k_Dataset" / name)
    (tmp_path / "Flickr8k.token.txt").write_text("1.jpg#0\tA dog .\n2.jpg#0\tA cat .\n1.jpg#1\tTwo dogs .\nbroken\n")
    (tmp_path / "Flickr_8k.trainImages.txt").write_text("1.jpg\n3.jpg\n")
    samples = read(tmp_path / "Flickr_8k.trainImages.txt")
    assert told(samples[:2]) == [("1.jpg", "A dog ."), ("1.jpg#2", "Two dogs .")]
    assert samples[0].source == tmp_path / "Flicker8k_Dataset" / "1.jpg"
    assert "Flickr8k.token.txt:4" in samples[2].fault
    assert "lists 3.jpg" in samples[3].fault
    assert len(read(tmp_path / "Flickr8k.token.txt")) == 4
    (tmp_path / "Flickr8k.lemma.token.txt").write_text("1.jpg#0\tdog be\n")
    assert told(read(tmp_path / "Flickr_8k.trainImages.txt"))[:1] == [("1.jpg", "A dog .")]
    (tmp_path / "other.token").write_text("1.jpg#0\tx\n")
    with pytest.raises(UserError, match=r"there is Flickr8k\.token\.txt, other\.token"):
        read(tmp_path / "Flickr_8k.trainImages.txt")
    (tmp_path / "other.token").unlink()
    elsewhere = picture(tmp_path / "elsewhere" / "1.jpg").parent
    assert read(tmp_path / "Flickr_8k.trainImages.txt", pictures=str(elsewhere))[0].source == elsewhere / "1.jpg"


def test_flickr30k_s_table_is_parted_by_bars(tmp_path):
    (tmp_path / "results.csv").write_text("image_name| comment_number| comment\n1.jpg| 0| A dog , red .\n1.jpg| 1\n")
    good, bad = read(tmp_path / "results.csv")
    assert (good.id, good.text) == ("1.jpg", "A dog , red .")
    assert "results.csv:3" in bad.fault


def test_coco_and_karpathy_are_told_apart_and_a_bad_entry_is_named(tmp_path):
    seen = picture(tmp_path / "train2014" / "x.jpg")
    coco = {
        "images": [{"id": 7, "file_name": "x.jpg"}, {"id": 9}, 4],
        "annotations": [{"image_id": 7, "caption": "A dog."}, {"image_id": [8], "caption": "Lost."}, 3],
    }
    path = tmp_path / "annotations" / "captions_train2014.json"
    path.parent.mkdir()
    path.write_text(json.dumps(coco))
    good, *bad = read(path)
    assert (good.id, good.text, good.source) == ("x.jpg", "A dog.", seen)
    assert [sample.fault is not None for sample in bad] == [True, True]
    sentences = [{"raw": "A dog."}, {"raw": "A hound."}]
    image = {"filename": "x.jpg", "filepath": "train2014", "split": "restval", "sentences": sentences}
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": [image, {"filename": "y.jpg"}]}))
    first, second, fault = read(tmp_path / "dataset_coco.json")
    assert told([first, second]) == [("train/x.jpg", "A dog."), ("train/x.jpg#2", "A hound.")]
    assert first.source == seen
    assert "image 1" in fault.fault
    for content in ([1, 2], {"images": None}, {"images": 3}):
        (tmp_path / "other.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"other\.json holds no captions"):
            read(tmp_path / "other.json")
    (tmp_path / "long.csv").write_text(f"image,caption\n{'x' * 300}.jpg,long\na.jpg,short\n")
    assert [sample.text for sample in read(tmp_path / "long.csv")] == ["long", "short"]


def test_json_lines_have_one_caption_several_or_none(tmp_path):
    lines = [{"image": "a.jpg", "captions": ["x", "y"]}, {"image": "b.jpg", "caption": "z"}, {"image": "c.jpg"}]
    lines.append({"image": "d.jpg", "captions": [1]})
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    a, again, b, c, d = read(tmp_path / "list.jsonl")
    assert told([a, again, b, c]) == [("a.jpg", "x"), ("a.jpg#2", "y"), ("b.jpg", "z"), ("c.jpg", None)]
    assert a.source == again.source == tmp_path / "a.jpg"
    assert "list.jsonl:4" in d.fault


def test_standard_input_names_pictures(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/a b.jpg\n\n"))
    assert [(sample.id, str(sample.source)) for sample in read("-")] == [(f"{tmp_path}/a b.jpg",) * 2]


def test_captions_of_one_picture_are_never_parted():
    domain = Captioning()
    samples = [sample for name in "ab" for sample in domain.read(f"{name}.jpg")] * 2
    assert domain.groups(samples, "(.*)") == ["a.jpg", "b.jpg"] * 2
