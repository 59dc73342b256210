"""Learning rules other than plain backpropagation through time, and how errors flow."""

from lstmapps.learning.forward import RTRL, UORO, ElementwiseRTRL, ErrorCarousel, ForwardLearner, SnAp1
from lstmapps.learning.rules import RULES, LearntBy, Rule, able_rules

__all__ = [
    "RTRL",
    "RULES",
    "UORO",
    "ElementwiseRTRL",
    "ErrorCarousel",
    "ForwardLearner",
    "LearntBy",
    "Rule",
    "SnAp1",
    "able_rules",
]
