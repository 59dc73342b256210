"""How networks are trained: Lightning modules and the callbacks they share."""

from lstmapps.tasks.ctc import CTCTask
from lstmapps.tasks.masks import Masks

__all__ = ["CTCTask", "Masks"]
