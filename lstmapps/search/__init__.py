"""Searching the outputs of decoders that write symbol by symbol: beams, constraints, drawing, ensembles."""

from lstmapps.search.beam import Hypothesis, search
from lstmapps.search.constraints import Constraints
from lstmapps.search.ensemble import Ensemble
from lstmapps.search.settings import Search

__all__ = ["Constraints", "Ensemble", "Hypothesis", "Search", "search"]
