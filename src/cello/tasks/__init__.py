"""Data → batches → loss → metrics, one task a file."""

from cello.tasks.base import IGNORE, Batch, Loss, Task

__all__ = ["IGNORE", "Batch", "Loss", "Task"]
