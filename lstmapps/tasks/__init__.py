"""How networks are trained: Lightning modules and the callbacks they share."""

from lstmapps.tasks.ctc import CTCTask
from lstmapps.tasks.masks import Masks
from lstmapps.tasks.seq2seq import Seq2SeqTask
from lstmapps.tasks.task import Task, further

__all__ = ["CTCTask", "Masks", "Seq2SeqTask", "Task", "further"]
