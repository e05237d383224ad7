"""The training loop, on Lightning Fabric: checkpoints, resuming, logs, several processes.

`fit` trains a network on a task (`cello.tasks`) as `Options` say. Lightning itself is imported
when `fit` is called. Imports `tasks` and `convert`; the command line imports it.
"""

from cello.train.loop import Result, fit
from cello.train.options import Options
from cello.train.report.events import Event
from cello.train.signals import TrainingInterrupted

__all__ = ["Event", "Options", "Result", "TrainingInterrupted", "fit"]
