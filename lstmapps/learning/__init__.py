"""Learning rules other than plain backpropagation through time, how errors flow, and what gates do meanwhile."""

from lstmapps.learning.callbacks import CarriedState, GateStatistics, WatchGates, gate_statistics
from lstmapps.learning.error_flow import ErrorFlow, error_flow
from lstmapps.learning.forward import RTRL, UORO, ElementwiseRTRL, ErrorCarousel, ForwardLearner, SnAp1
from lstmapps.learning.rules import RULES, LearntBy, Rule, able_rules

__all__ = [
    "RTRL",
    "RULES",
    "UORO",
    "CarriedState",
    "ElementwiseRTRL",
    "ErrorCarousel",
    "ErrorFlow",
    "ForwardLearner",
    "GateStatistics",
    "LearntBy",
    "Rule",
    "SnAp1",
    "WatchGates",
    "able_rules",
    "error_flow",
    "gate_statistics",
]
