"""How networks are trained: Lightning modules and the callbacks they share."""

from lstmapps.tasks.ctc import CTCTask

__all__ = ["CTCTask"]
