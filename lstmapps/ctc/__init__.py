"""Connectionist temporal classification (Graves et al. 2006): loss, decoding, alignment."""

from lstmapps.ctc.alignment import Span, forced_align
from lstmapps.ctc.decoding import Hypothesis, LanguageModel, Rescorer, beam_search, greedy_decode, greedy_spans
from lstmapps.ctc.loss import ctc_loss, steps_needed

__all__ = [
    "Hypothesis",
    "LanguageModel",
    "Rescorer",
    "Span",
    "beam_search",
    "ctc_loss",
    "forced_align",
    "greedy_decode",
    "greedy_spans",
    "steps_needed",
]
