"""Every recipe of the speech plugin on a few samples; a model that learnt four tones, offline and streaming."""

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sounds import RATE, tones, write_tones

from lstmapps.cli.main import main
from lstmapps.data import Sample
from lstmapps.model import Model
from lstmapps.report.ctc import stream_difference
from lstmapps.scores import edit_counts

CPU = "--trainer.accelerator=cpu"
ENCODER = "--model.init_args.encoder.init_args."
CONVOLUTIONS = (
    "[{channels: 8, stride: [1, 2]}, {channels: 8, residual: true, pool: [2, 2]}, {channels: 8, pool: [1, 2]}]"
)
SMALL = [f"{ENCODER}hidden_size=8", f"{ENCODER}num_layers=1", "--trainer.max_epochs=1", CPU]


def call(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def speak(path: Path, text: str = "abcd") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(path.as_posix().encode())  # no two recordings are the same
    soundfile.write(path, tones(text, seed=seed), RATE, format=path.suffix[1:].lower())


def an4(root: Path) -> None:
    for part, speakers in (("train", ("fash", "mjbh")), ("test", ("fnew",))):
        rows = []
        for number in range(3):
            for speaker in speakers:
                name = f"flac/an{number}-{speaker}-b.flac"
                speak(root / name)
                rows.append(f"{name}\tY E S\n")
        (root / f"{part}.tsv").write_text("".join(rows))


def librispeech(root: Path) -> None:
    for part, speaker in (("train-clean-100", "103"), ("dev-clean", "84"), ("test-clean", "61")):
        chapter = root / part / speaker / "1"
        rows = []
        for number in range(2):
            name = f"{speaker}-1-{number:04}"
            speak(chapter / f"{name}.flac", "abcdabc"[number:])
            rows.append(f"{name} CHAP\n")
        (chapter / f"{speaker}-1.trans.txt").write_text("".join(rows))


def timit(root: Path) -> None:
    for part, speaker in (("TRAIN", "FCJF0"), ("TRAIN", "MDAC0"), ("TEST", "MDAB0")):
        for number in (37, 127):
            path = root / part / "DR1" / speaker / f"SX{number}.WAV"
            speak(path, "abcdabc"[number % 2 :])
            path.with_suffix(".PHN").write_text("0 9 h#\n9 20 sh\n20 30 iy\n30 40 h#\n")


def common_voice(root: Path) -> None:
    for part, speaker in (("train", "x"), ("dev", "y"), ("test", "z")):
        rows = ["client_id\tpath\tsentence"]
        for number in range(2):
            name = f"common_voice_{part}{number}.mp3"
            speak(root / "clips" / name, "abcdabc"[number:])
            rows.append(f"{speaker}\t{name}\tIt’s, so.")
        (root / f"{part}.tsv").write_text("\n".join(rows))


LAYOUTS = {
    "an4": (an4, {"holdout": '["mjbh"]'}),
    "an4-streaming": (an4, {"holdout": '["mjbh"]'}),
    "librispeech-100": (librispeech, {"workers": 0}),
    "timit": (timit, {"holdout": 0.5}),
    "commonvoice": (common_voice, {"workers": 0}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_on_a_few_files_in_its_layout(capsys, tmp_path, name):
    make, settings = LAYOUTS[name]
    make(tmp_path / "data")
    root = f"--data.root={tmp_path / 'data'}"
    overrides = [f"--data.{key}={value}" for key, value in settings.items()]
    call(capsys, "train", f"speech/{name}", "--output", tmp_path / "run", root, *overrides, *SMALL)
    tested = json.loads(call(capsys, "test", tmp_path / "run/model", root, "--json"))
    assert tested["recipe"] == f"speech/{name}"
    assert tested["samples"] > 1
    report = (tmp_path / "run" / "report.html").read_text()
    assert "<audio" in report
    assert "Groups" in report
    assert ("Streaming against offline" in report) == (name == "an4-streaming")


def test_a_transducer_of_pieces_of_words(capsys, tmp_path):
    an4(tmp_path / "data")
    overrides = [f"--data.root={tmp_path / 'data'}", '--data.holdout=["mjbh"]']
    options = ["--data.units=12", "--model.init_args.transducer=8"]
    call(capsys, "train", "speech/an4", "--output", tmp_path / "run", *overrides, *options, *SMALL)
    model = Model.load(tmp_path / "run" / "model")
    assert model.config["decoder"]["name"] == "transducer"
    assert model.vocabulary.is_subword
    tested = json.loads(call(capsys, "test", tmp_path / "run/model", overrides[0], "--json"))
    assert tested["samples"] == 3
    for decoder in ("greedy", "beam"):
        call(capsys, "test", tmp_path / "run/model", overrides[0], "--decoder", decoder)
    listed = next(iter(model.domain.read(str(tmp_path / "data" / "test.tsv"))))
    assert model.align(listed).text == "Y E S"


def test_a_run_begun_with_a_model_of_other_features_learns_their_statistics_anew(capsys, tmp_path):
    an4(tmp_path / "data")
    options = [f"--data.root={tmp_path / 'data'}", '--data.holdout=["mjbh"]', *SMALL]
    frames = {}
    for run, start, normalisation in (
        ("first", None, "running"),
        ("same", "first", "running"),
        ("other", "first", "relative"),
    ):
        begun = [] if start is None else ["--start", tmp_path / start / "model"]
        setting = f"--model.init_args.frontend.init_args.normalisation={normalisation}"
        call(capsys, "train", "speech/an4-streaming", "--output", tmp_path / run, *begun, setting, *options)
        frames[run] = int(Model.load(tmp_path / run / "model").network.frontend.learnt)
    assert 0 < frames["other"] < 1.5 * frames["first"] < frames["same"]


def test_spoken_digits(capsys, tmp_path):
    counts = [f"--data.{part}.init_args.count=8" for part in ("train", "validation")]
    call(capsys, "train", "speech/spoken-digits", "--output", tmp_path / "run", *counts, *SMALL)
    tested = json.loads(call(capsys, "test", tmp_path / "run/model", "--data.test.init_args.count=5", "--json"))
    assert tested["samples"] == 5


@pytest.fixture(scope="module", params=[0, 16], ids=["ctc", "transducer"])
def listener(request, tmp_path_factory) -> Path:
    """A streaming model that has learnt the tones."""
    folder = tmp_path_factory.mktemp("tones")
    data = write_tones(folder / "data", 360)
    small = [f"{ENCODER}hidden_size=32", f"{ENCODER}num_layers=1", f"{ENCODER}dropout=0", f"{ENCODER}look_ahead=4"]
    settings = ["--data.test=null", "--data.group=(s\\d).*", '--data.holdout=["s0"]', "--data.batch_steps=80000"]
    settings.append("--data.blanks=null")
    variation, masks = "--data.domain.init_args.variation.init_args.", "--model.init_args.masks."
    settings += [f"{variation}{kind}=0" for kind in ("speed", "volume", "noise", "reverberation")]
    settings += [f"{masks}bands=0", f"{masks}frames=0", f"--model.init_args.transducer={request.param}"]
    settings += ["--average=0.9", "--trainer.max_epochs=20", "--trainer.check_val_every_n_epoch=5", CPU]
    settings += ["--trainer.precision=32-true", f"{ENCODER}convolutions={CONVOLUTIONS}"]
    settings += ["--model.init_args.optimisation.learning_rate=0.01"]
    arguments = ["train", "speech/an4-streaming", "--output", folder / "run", f"--data.root={data}", *settings, *small]
    assert main([str(argument) for argument in arguments]) == 0
    return folder / "run" / "model"


@pytest.fixture
def recording(tmp_path) -> Path:
    speak(tmp_path / "heard.wav", "abca")
    return tmp_path / "heard.wav"


def test_what_was_learnt_is_read_and_streamed_the_same(listener, recording):
    model = Model.load(listener)
    (prediction,) = model.predict([str(recording)])
    assert prediction.text == "abca"
    same, difference = stream_difference(model, Sample("heard", recording))
    assert same
    assert difference < 1e-4
    x = model.domain.load(prediction.sample)
    listening = model.listen()
    state = listening.init_state()
    stable, tentative = "", []
    for chunk in (x[:0], *x.split(400)):
        heard, state = listening.step(chunk, state)
        stable += heard.stable
        tentative.append(stable + heard.tentative)
    assert stable + listening.finish(state).stable == "abca"
    assert any(text == "ab" for text in tentative)


def test_standard_input_is_read_as_it_comes(listener, recording):
    sound, _ = soundfile.read(recording, dtype="int16")
    command = [sys.executable, "-m", "lstmapps.cli.main", "predict", str(listener), "-"]
    done = subprocess.run(command, input=sound.astype("<i2").tobytes() + b"\0", capture_output=True, check=True)
    assert done.stdout.decode() == "abca\n"


def test_a_long_recording_is_read_in_blocks_and_its_words_stand_where_they_were_said(listener, tmp_path, monkeypatch):
    texts = ["abc", "dcba", "bd", "acca"] * 3
    pause = np.zeros(8 * RATE, np.float32)
    sound = np.concatenate([part for text in texts for part in (tones(text), pause)])
    soundfile.write(tmp_path / "long.flac", sound, RATE)
    model = Model.load(listener)
    (whole,) = model.predict([str(tmp_path / "long.flac")])
    model.domain.batch_steps = 5 * RATE
    monkeypatch.setattr("lstmapps.listening._PART", 200)
    (blocks,) = model.predict([str(tmp_path / "long.flac")])
    assert blocks.text == whole.text
    for one, other in zip(blocks.characters, whole.characters, strict=True):
        assert abs(one.start - other.start) < 0.3 * RATE


def test_a_long_recording_is_searched_part_by_part(listener, tmp_path, monkeypatch):
    pause = np.zeros(RATE // 2, np.float32)
    soundfile.write(tmp_path / "long.flac", np.concatenate([tones("abc"), pause, tones("dcba")] * 4), RATE)
    model = Model.load(listener)
    model.domain.batch_steps = RATE // 2
    monkeypatch.setattr("lstmapps.listening._PART", 100)
    (found,) = model.predict([str(tmp_path / "long.flac")], decoder="beam")
    assert edit_counts("abcdcba" * 4, found.text).errors < 6


def test_align_tells_when_each_letter_was_heard(listener, recording, capsys):
    result = json.loads(call(capsys, "align", listener, "--audio", recording, "--text", "abca"))
    middles = [(c["start"] + c["end"]) / 2 / RATE for c in result["characters"]]
    expected = [0.05 + 0.12 * i + 0.04 for i in range(4)]
    assert [c["text"] for c in result["characters"]] == list("abca")
    assert all(abs(m - e) < 0.25 for m, e in zip(middles, expected, strict=True))
    assert middles == sorted(middles)


def test_align_refuses_what_it_cannot_align(listener, recording, capsys):
    for text, message in (("xyz", "symbols that speech/an4-streaming does not know"), ("abcd" * 20, "too short")):
        assert main(["align", str(listener), "--audio", str(recording), "--text", text]) == 1
        assert message in capsys.readouterr().err


def test_a_speech_model_is_fine_tuned_on_a_new_voice(listener, tmp_path, capsys):
    data = write_tones(tmp_path / "own", 30, seed=5)
    for path in data.glob("*.wav"):
        sound, _ = soundfile.read(path)
        soundfile.write(path, sound[::2], RATE)  # an octave higher and twice as fast
    settings = ["--trainer.max_epochs=12", "--optimisation.learning_rate=0.01", CPU, "--data.holdout=0.3", "--json"]
    output = tmp_path / "tuned"
    result = json.loads(
        call(capsys, "finetune", listener, "--data.train", data / "train.tsv", "--output", output, *settings)
    )
    assert result["after"]["cer"]["value"] < result["before"]["cer"]["value"]
    assert Model.load(output / "model").listen().exact


def test_subtitles_come_from_the_command_line(listener, recording, tmp_path, capsys):
    call(capsys, "predict", listener, recording, "--format", "srt", "--output", tmp_path / "x.srt")
    text = (tmp_path / "x.srt").read_text()
    assert text.startswith("1\n00:00:00,")
    assert text.splitlines()[2] == "abca"


def test_bad_recordings_stop_no_batch(listener, recording, tmp_path, capsys):
    good = [tmp_path / f"{i}.wav" for i in range(5)]
    for path in good:
        path.write_bytes(recording.read_bytes())
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), RATE)
    names = [*good[:2], tmp_path / "bad.wav", tmp_path / "missing.wav", *good[2:]]
    names += [tmp_path / "silence.wav", tmp_path / "one.wav"]
    assert main(["predict", str(listener), *map(str, names)]) == 1
    printed = capsys.readouterr()
    lines = [line.split("\t") for line in printed.out.splitlines()]
    assert [text for _, text in lines[:5]] == ["abca"] * 5
    assert [Path(name).stem for name, _ in lines[5:]] == ["silence", "one"]
    assert "bad.wav" in printed.err
    assert "missing.wav" in printed.err


def test_live_output_shows_the_tentative_text_to_who_watches(listener, recording):
    from lstmapps.cli.predict import _follow

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    model, shown = Model.load(listener), Terminal()
    x = model.domain.load(Sample("heard", recording))
    _follow(model, list(torch.split(x, 1600)), shown)
    assert shown.getvalue().endswith("abca\x1b[K\n")
    assert "\x1b[2m" in shown.getvalue()
