"""Layers, encoders and networks on (batch, time, features) with lengths."""

from lstmapps.lengths import padding_mask
from lstmapps.nn.cells import gru_step, lstm_step, rnn_step
from lstmapps.nn.encoders import Convolution, ConvRecurrentEncoder
from lstmapps.nn.networks import CTCNetwork
from lstmapps.nn.recurrent import GRU, LSTM, RNN, RecurrentLayer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CTCNetwork",
    "ConvRecurrentEncoder",
    "Convolution",
    "RecurrentLayer",
    "gru_step",
    "lstm_step",
    "padding_mask",
    "rnn_step",
]
