"""`test`: scores with their intervals, and no sample left out unless told."""

import json
from pathlib import Path

TINY = Path(__file__).parents[2] / "tiny.yaml"


def test_test_reports_rates_with_intervals(call, model, lines):
    arguments = ["test", model, "--recipe", TINY, f"--data.root={lines}", "--data.test=train.tsv", "--json"]
    code, out, _ = call(*arguments)
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert (result["model"], result["split"], result["samples"]) == ("tests/tiny", "test", 24)
    for metric in ("cer", "wer"):
        rate = result["metrics"][metric]
        assert rate["low"] <= rate["value"] <= rate["high"]


def test_test_refuses_bad_samples_unless_told_to_skip_them(call, model, lines):
    (lines / "train.tsv").write_text((lines / "train.tsv").read_text() + "gone.png\t12\n")
    arguments = ["test", model, "--recipe", TINY, f"--data.root={lines}", "--data.test=train.tsv", "--json"]
    code, _, err = call(*arguments)
    assert code == 1
    assert "gone.png does not exist" in err
    code, out, err = call(*arguments, "--skip-bad")
    assert code == 0
    assert (json.loads(out)["samples"], json.loads(out)["left_out"]) == (24, 1)
    assert "left out" in err


def test_a_part_named_without_a_root_is_ones_own(call, model, lines):
    code, out, err = call("test", model, f"--data.test={lines / 'train.tsv'}", "--json")
    assert code == 0, err
    assert (json.loads(out)["recipe"], json.loads(out)["samples"]) == (None, 24)
