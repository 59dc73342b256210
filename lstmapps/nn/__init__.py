"""Layers, encoders and networks on (batch, time, features) with lengths."""

from lstmapps.lengths import padding_mask
from lstmapps.nn.cells import gru_step, lstm_step, rnn_step
from lstmapps.nn.ctc_network import CTCNetwork
from lstmapps.nn.decoders import AttentionDecoder, DecoderSettings, DecoderState, StepDecoder
from lstmapps.nn.embeddings import TokenEmbedding
from lstmapps.nn.encoders import Convolution, ConvRecurrentEncoder
from lstmapps.nn.grids import GridEncoder
from lstmapps.nn.recurrent import GRU, LSTM, RNN, RecurrentLayer
from lstmapps.nn.seq2seq_network import Seq2SeqNetwork

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionDecoder",
    "CTCNetwork",
    "ConvRecurrentEncoder",
    "Convolution",
    "DecoderSettings",
    "DecoderState",
    "GridEncoder",
    "RecurrentLayer",
    "Seq2SeqNetwork",
    "StepDecoder",
    "TokenEmbedding",
    "gru_step",
    "lstm_step",
    "padding_mask",
    "rnn_step",
]
