"""Layers, encoders and networks on (batch, time, features) with lengths."""

from lstmapps.lengths import padding_mask
from lstmapps.nn.cells import (
    Cell,
    ElementwiseLSTMCell,
    ElmanCell,
    GRUCell,
    JordanCell,
    LSTMCell,
    MGUCell,
    SLSTMCell,
    gru_step,
    lstm_step,
    rnn_step,
)
from lstmapps.nn.ctc_network import CTCNetwork
from lstmapps.nn.decoders import AttentionDecoder, DecoderSettings, DecoderState, StepDecoder
from lstmapps.nn.embeddings import TokenEmbedding
from lstmapps.nn.encoders import Convolution, ConvRecurrentEncoder
from lstmapps.nn.grid_lstm import GridLSTM, grid_lstm_step
from lstmapps.nn.grids import GridEncoder
from lstmapps.nn.initialisation import initialise
from lstmapps.nn.multidimensional import MDLSTM, md_lstm_step
from lstmapps.nn.noise import RecurrentNoise
from lstmapps.nn.recurrent import GRU, LSTM, MGU, RNN, SLSTM, ElementwiseLSTM, JordanRNN, RecurrentLayer
from lstmapps.nn.seq2seq_network import Seq2SeqNetwork

__all__ = [
    "GRU",
    "LSTM",
    "MDLSTM",
    "MGU",
    "RNN",
    "SLSTM",
    "AttentionDecoder",
    "CTCNetwork",
    "Cell",
    "ConvRecurrentEncoder",
    "Convolution",
    "DecoderSettings",
    "DecoderState",
    "ElementwiseLSTM",
    "ElementwiseLSTMCell",
    "ElmanCell",
    "GRUCell",
    "GridEncoder",
    "GridLSTM",
    "JordanCell",
    "JordanRNN",
    "LSTMCell",
    "MGUCell",
    "RecurrentLayer",
    "RecurrentNoise",
    "SLSTMCell",
    "Seq2SeqNetwork",
    "StepDecoder",
    "TokenEmbedding",
    "grid_lstm_step",
    "gru_step",
    "initialise",
    "lstm_step",
    "md_lstm_step",
    "padding_mask",
    "rnn_step",
]
