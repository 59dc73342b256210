"""Every list of recordings the plugin reads, in the layout it is published in, and the faults in them."""

import json

import numpy as np
import pytest
import soundfile
from lstmapps_speech.audio import Extent
from lstmapps_speech.readers import read_source
from lstmapps_speech.timit import LETTER_OF
from sounds import RATE

from lstmapps.errors import UserError


def touch(path, seconds=0.1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(seconds * RATE), np.float32), RATE, format=path.suffix[1:] or "wav")
    return path


def listed(source):
    return [(s.id, s.source, s.text) for s in read_source(str(source))]


def test_a_table(tmp_path):
    (tmp_path / "train.tsv").write_text("\ufeffa.wav\tONE\r\nsub/b.wav\tTWO\r\n", encoding="utf-8")
    assert listed(tmp_path / "train.tsv") == [
        ("a.wav", tmp_path / "a.wav", "ONE"),
        ("sub/b.wav", tmp_path / "sub/b.wav", "TWO"),
    ]


def test_common_voice(tmp_path):
    rows = [
        "client_id\tpath\tsentence\tup_votes",
        'spk1\tcommon_voice_1.mp3\t"Quoted" it is.\t2',
        "spk2\tx.mp3\tYes\t0",
    ]
    (tmp_path / "train.tsv").write_text("\n".join(rows))
    assert listed(tmp_path / "train.tsv") == [
        ("spk1/common_voice_1.mp3", tmp_path / "clips/common_voice_1.mp3", '"Quoted" it is.'),
        ("spk2/x.mp3", tmp_path / "clips/x.mp3", "Yes"),
    ]


def test_csv(tmp_path):
    (tmp_path / "x.csv").write_text('wav_filename,wav_filesize,transcript\na.wav,1,"one, two"\n')
    assert listed(tmp_path / "x.csv") == [("a.wav", tmp_path / "a.wav", "one, two")]


def test_a_manifest_with_offsets(tmp_path):
    entries = [
        {"audio_filepath": "a.wav", "duration": 2.5, "text": "one"},
        {"audio_filepath": "a.wav", "offset": 1, "duration": 0.5, "text": "two"},
        {"audio_filepath": "b.wav"},
    ]
    (tmp_path / "m.json").write_text("\ufeff" + "\r\n".join(map(json.dumps, entries)), encoding="utf-8")
    samples = list(read_source(str(tmp_path / "m.json")))
    assert [s.region for s in samples] == [None, Extent(1.0, 0.5), None]
    assert [s.text for s in samples] == ["one", "two", None]
    assert len({s.id for s in samples}) == 3


def test_kaldi(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "wav.scp").write_text("rec1 a.wav\n")
    (tmp_path / "text").write_text("utt1 ONE TWO\nutt2 THREE\n")
    (tmp_path / "utt2spk").write_text("utt1 spk1\nutt2 spk2\n")
    (tmp_path / "segments").write_text("utt1 rec1 0.0 1.5\nutt2 rec1 1.5 2.0\n")
    samples = list(read_source(str(tmp_path)))
    assert [(s.id, s.text, s.region) for s in samples] == [
        ("spk1/utt1", "ONE TWO", Extent(0.0, 1.5)),
        ("spk2/utt2", "THREE", Extent(1.5, 0.5)),
    ]
    (tmp_path / "wav.scp").write_text("rec1 sph2pipe -f wav a.sph |\n")
    assert all("made by a command" in s.fault for s in read_source(str(tmp_path)))


def test_kaldi_with_channels_and_open_ends(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "wav.scp").write_text("rec1 a.wav\nrec2 a.wav\n")
    rows = [
        "u1 rec1 0.0 1.5 1",
        "u2 rec1 1.5 -1",
        "u3 rec2 0 1",
        "u4 rec1 0 1 A",
        "u5 rec1 0 1 z",
        "u6 gone 0 1",
        "u7 x",
    ]
    (tmp_path / "segments").write_text("\n".join(rows))
    (tmp_path / "reco2file_and_channel").write_text("rec2 a B\n")
    samples = list(read_source(str(tmp_path)))
    regions = [Extent(0.0, 1.5, 1), Extent(1.5, None), Extent(0.0, 1.0, 1), Extent(0.0, 1.0, 0)]
    assert [s.region for s in samples[:4]] == regions
    assert [s.fault.partition(" ")[0] for s in samples[4:]] == [f"{tmp_path / 'segments'}:{n}:" for n in (5, 6)] + [
        f"{tmp_path / 'segments'}:7"
    ]


def test_segments_of_nearly_one_place_stay_apart(tmp_path):
    rows = [(10000.02, 1.0), (10000.04, 3.0), (10000.04, 4.0), (0.0, 4.0), (0.0, 8.1)]
    entries = [{"audio_filepath": "a.wav", "offset": offset, "duration": duration} for offset, duration in rows]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, entries)))
    samples = list(read_source(str(tmp_path / "m.jsonl")))
    assert len({s.id for s in samples}) == 5
    assert [(s.region.start, s.region.duration) for s in samples] == rows


def test_a_recording_listed_twice_is_two_samples(tmp_path):
    (tmp_path / "x.tsv").write_text("a.wav\tone\na.wav\ttwo\n")
    assert [(i, t) for i, _, t in listed(tmp_path / "x.tsv")] == [("a.wav", "one"), ("a.wav#2", "two")]


def test_a_manifest_names_channels(tmp_path):
    (tmp_path / "m.jsonl").write_text(
        '{"audio_filepath": "a.wav", "channel": 1}\n{"audio_filepath": "a.wav", "text": 5}'
    )
    first, second = read_source(str(tmp_path / "m.jsonl"))
    assert first.region == Extent(channel=1)
    assert second.text == "5"


def test_librispeech(tmp_path):
    chapter = tmp_path / "train-clean-100" / "103" / "1240"
    touch(chapter / "103-1240-0000.flac")
    (chapter / "103-1240.trans.txt").write_text("103-1240-0000 CHAPTER ONE\n")
    assert listed(tmp_path) == [("103-1240-0000", chapter / "103-1240-0000.flac", "CHAPTER ONE")]


def test_an4_as_published(tmp_path):
    recording = touch(tmp_path / "wav/an4_clstk/fash/an251-fash-b.wav")
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "an4_train.transcription").write_text("<s> YES </s> (an251-fash-b)\n")
    (etc / "an4_train.fileids").write_text("an4_clstk/fash/an251-fash-b\n")
    assert listed(etc / "an4_train.transcription") == [("an251-fash-b", recording, "YES")]


def test_timit(tmp_path):
    for part, speaker in (("TRAIN", "FCJF0"), ("TEST", "MDAB0"), ("TEST", "FAKS0")):
        folder = tmp_path / part / "DR1" / speaker
        touch(folder / "SX37.WAV")
        (folder / "SX37.PHN").write_text(
            "0 9 h#\n9 20 sh\n20 30 ix\n30 31 q\n31 40 kcl\n40 41 k\n41 50 h#\n50 51 pau\n"
        )
        touch(folder / "SA1.WAV")
        (folder / "SA1.PHN").write_text("0 9 h#\n")
    assert [(i, t) for i, _, t in listed(tmp_path / "TRAIN")] == [("fcjf0/sx37", "-SI-k-")]
    assert [i for i, _, _ in listed(tmp_path / "TEST")] == ["mdab0/sx37"]  # the core test set
    assert len(LETTER_OF) == 61
    assert len(set(LETTER_OF.values()) - {""}) == 39


def test_a_folder_of_recordings(tmp_path):
    touch(tmp_path / "b.flac")
    touch(tmp_path / "a" / "a.wav")
    (tmp_path / "b.txt").write_text("HELLO\nTHERE\n")
    assert [(i, t) for i, _, t in listed(tmp_path)] == [("a/a.wav", None), ("b.flac", "HELLO THERE")]


FAULTS = {
    "no tab": ("x.tsv", "a.wav ONE", "x.tsv:1 has no tab"),
    "no column": ("x.csv", "name,text\na.wav,ONE\n", "x.csv:2 names no recording"),
    "a short row": ("x.csv", "wav,text\na.wav\n", "x.csv:2 has not as many columns"),
    "no key": ("x.jsonl", '{"text": "one"}', "x.jsonl:1 has no key 'audio_filepath'"),
    "not JSON": ("x.jsonl", "{", "x.jsonl:1 is not JSON"),
    "a negative offset": ("x.jsonl", '{"audio_filepath": "a", "offset": -1}', "x.jsonl:1: `offset` is -1"),
    "no duration": ("x.jsonl", '\n{"audio_filepath": "a", "duration": 0}', "x.jsonl:2: `duration` is 0"),
    "a list as text": ("x.jsonl", '{"audio_filepath": "a", "text": []}', "x.jsonl:1: `text` must be a string"),
    "a channel below 0": ("x.jsonl", '{"audio_filepath": "a", "channel": -1}', "x.jsonl:1: `channel` is -1"),
    "a line without a name": ("x.transcription", "<s> YES </s>", "x.transcription:1 is not `TEXT"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_list_is_named_with_its_line(tmp_path, fault):
    name, content, message = FAULTS[fault]
    (tmp_path / name).write_text(content)
    (tmp_path / "x.fileids").write_text("a/b\n")
    (sample,) = read_source(str(tmp_path / name))
    assert message in sample.fault


@pytest.mark.parametrize("name", ["missing.tsv", "missing.jsonl", "empty"])
def test_a_missing_list_and_an_empty_folder_are_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        list(read_source(str(tmp_path / name)))
