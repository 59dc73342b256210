"""The early tasks, each drawn without end."""

from lstmapps_foundations.problems.arithmetic import Arithmetic
from lstmapps_foundations.problems.digits import Addition, Parity, Pixels
from lstmapps_foundations.problems.languages import Counting
from lstmapps_foundations.problems.problem import Episodes, Problem
from lstmapps_foundations.problems.reber import ContinualReber, EmbeddedReber
from lstmapps_foundations.problems.sequences import NoiseFree, TemporalOrder, TwoSequences
from lstmapps_foundations.problems.spikes import SpikeDelays

__all__ = [
    "Addition",
    "Arithmetic",
    "ContinualReber",
    "Counting",
    "EmbeddedReber",
    "Episodes",
    "NoiseFree",
    "Parity",
    "Pixels",
    "Problem",
    "SpikeDelays",
    "TemporalOrder",
    "TwoSequences",
]
