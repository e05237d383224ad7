"""Classification of whole sequences: reading them, what a network is told of them, the task.

Made of `features`, `batching` and `readers`; `tasks` and the command line import it.
"""

from cello.tasks.classification.classification import LEVELS, Classification, Prediction
from cello.tasks.classification.digits import digits
from cello.tasks.classification.sequences import FileColumns, Sequences, from_arrays, read_sequences

__all__ = [
    "LEVELS",
    "Classification",
    "FileColumns",
    "Prediction",
    "Sequences",
    "digits",
    "from_arrays",
    "read_sequences",
]
