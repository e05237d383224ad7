"""Data → batches → loss → metrics, one task a file.

Imports `layers` and below, and neither `see` nor `convert`; `train` and the command line import it.
"""

from collections.abc import Mapping
from typing import Any

from cello.errors import ModelError
from cello.ranges import shown
from cello.tasks.base import IGNORE, About, Batch, FileTask, Given, Loss, Task
from cello.tasks.characters import Characters
from cello.tasks.classification import Classification
from cello.tasks.forecasting import Forecasting
from cello.tasks.network_checks import check_network
from cello.tasks.networks import (
    CAUSAL_KINDS,
    NETWORK_KINDS,
    build_network,
    fitting_hidden_size,
    usual_window,
)
from cello.tasks.python_tagging import python_tagging
from cello.tasks.tagging import Tagging

__all__ = [
    "CAUSAL_KINDS",
    "IGNORE",
    "NETWORK_KINDS",
    "About",
    "Batch",
    "Characters",
    "Classification",
    "FileTask",
    "Forecasting",
    "Given",
    "Loss",
    "Tagging",
    "Task",
    "build_network",
    "check_network",
    "fitting_hidden_size",
    "python_tagging",
    "task_from_config",
    "usual_window",
]


def task_from_config(config: Mapping[str, Any]) -> FileTask:
    """The task that `task.config()` described, without data.

    Raises:
        ModelError: the description is damaged, or of a task that this version does not know.

    >>> task_from_config({"task": "knit"})
    Traceback (most recent call last):
    cello.errors.ModelError: the model's task is 'knit', not one of tag, chars, classify, forecast
    """
    kinds = Tagging, Characters, Classification, Forecasting
    tasks: dict[Any, Any] = {task.name: task for task in kinds}
    name = config.get("task")
    if not isinstance(name, str) or name not in tasks:
        raise ModelError(f"the model's task is {shown(name)}, not one of {', '.join(tasks)}")
    task: FileTask = tasks[name].from_config(config)
    return task
