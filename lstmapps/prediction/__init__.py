"""From a network and padded batches of inputs to predictions, and how these are written."""

from lstmapps.prediction.decoding import Decoding
from lstmapps.prediction.formats import FORMATS, Format, as_json, write_jsonl, write_text
from lstmapps.prediction.predictor import Predictor, predictor
from lstmapps.prediction.results import Attended, Failure, Piece, Prediction, prediction_of, words_of

__all__ = [
    "FORMATS",
    "Attended",
    "Decoding",
    "Failure",
    "Format",
    "Piece",
    "Prediction",
    "Predictor",
    "as_json",
    "prediction_of",
    "predictor",
    "words_of",
    "write_jsonl",
    "write_text",
]
