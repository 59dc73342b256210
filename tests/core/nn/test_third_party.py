"""Weights that others trained run in our layers as they do in theirs; the packages are the extra `third-party`.

Only files of the packages are read, so `pip install --no-deps resemblyzer silero-vad g2p-en` is enough.
"""

from importlib import metadata

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lstmapps.nn import GRU, LSTM, GRUCell, LSTMCell

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def file_of(package, name):
    try:
        files = metadata.files(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    return next(str(file.locate()) for file in files if file.name == name)


def test_the_speaker_encoder_of_resemblyzer():
    kept = torch.load(file_of("resemblyzer", "pretrained.pt"), map_location="cpu", weights_only=True)["model_state"]
    theirs = nn.LSTM(40, 256, 3, batch_first=True)
    theirs.load_state_dict({name.removeprefix("lstm."): part for name, part in kept.items() if "lstm." in name})
    torch.manual_seed(0)
    x, lengths = torch.rand(4, 160, 40), [160, 1, 77, 120]  # mel spectra of 1.6 s, as it is trained on
    y, (h, c) = LSTM.from_torch(theirs)(x, lengths)
    expected, (h_expected, c_expected) = theirs(
        pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    )
    torch.testing.assert_close(y, pad_packed_sequence(expected, batch_first=True)[0], **CLOSE)
    torch.testing.assert_close((h, c), (h_expected, c_expected), **CLOSE)
    voice = torch.relu(nn.functional.linear(h[-1], kept["linear.weight"], kept["linear.bias"]))
    assert voice.norm(dim=1).min() > 0.01  # the units of a voice are not dead: the weights are the trained ones


def test_the_cell_of_silero_vad():
    kept = load_file(file_of("silero-vad", "silero_vad_16k.safetensors"))
    weights = {name.removeprefix("lstm_cell."): part for name, part in kept.items() if "lstm_cell." in name}
    theirs = nn.LSTMCell(128, 128)
    theirs.load_state_dict(weights)
    torch.manual_seed(0)
    x, state, expected = torch.randn(50, 2, 128), (torch.zeros(2, 128), torch.zeros(2, 128)), None
    for now in x:
        state = LSTMCell().step(now, state, tuple(weights[name] for name in LSTMCell().shapes(128, 128)))
        expected = theirs(now, expected)
        torch.testing.assert_close(state, expected, **CLOSE)


@pytest.mark.parametrize("side", ["enc", "dec"])
def test_the_letter_reader_of_g2p(side):
    kept = np.load(file_of("g2p-en", "checkpoint20.npz"), allow_pickle=False)
    embedded, w, r, b, d = (kept[f"{side}_{part}"] for part in ("emb", "w_ih", "w_hh", "b_ih", "b_hh"))
    letters = np.random.default_rng(0).integers(3, len(embedded), (3, 12))
    x = embedded[letters]
    layer = GRU(x.shape[2], r.shape[1])
    with torch.no_grad():
        for target, source in zip(layer.stack.at(0)[0].weights(), (w, r, b, d), strict=True):
            target.copy_(torch.from_numpy(source))
    y, _ = layer(torch.from_numpy(x))
    h = np.zeros((3, r.shape[1]), np.float32)
    stepped = torch.from_numpy(h)
    for step in range(12):  # as the package computes it, in numpy
        from_x, from_h = x[:, step] @ w.T + b, h @ r.T + d
        reset, update, new = np.split(from_x, 3, axis=1)
        reset_h, update_h, new_h = np.split(from_h, 3, axis=1)
        reset, update = 1 / (1 + np.exp(-reset - reset_h)), 1 / (1 + np.exp(-update - update_h))
        h = (1 - update) * np.tanh(new + reset * new_h) + update * h
        torch.testing.assert_close(y[:, step], torch.from_numpy(h), **CLOSE)
        parts = layer.stack.at(0)[0].weights()
        (stepped,) = GRUCell().step(torch.from_numpy(x[:, step]), (stepped,), parts)
        torch.testing.assert_close(stepped, torch.from_numpy(h), **CLOSE)
