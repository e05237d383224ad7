"""What the training loop asks of a task.

A task turns data into batches, a loss and metrics, and knows nothing of the loop; the loop asks
for batches, calls `Task.loss`, and knows nothing of text.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.errors import DataError

__all__ = [
    "IGNORE",
    "About",
    "Batch",
    "FileTask",
    "Given",
    "Loss",
    "Task",
    "of_split",
    "sequence_loss",
    "to_train_on",
    "warn_of_nan",
]

Data = TypeVar("Data")

#: The target of a place that holds no element: padding after the end of a row.
IGNORE = -100


class Loss(NamedTuple):
    """The loss of one batch.

    `total` is a scalar tensor summed (not averaged) over the elements, in nats, differentiable;
    `count` the number of elements that it sums over; `state` what is to be carried into the next
    batch, detached from the graph, or None.
    """

    total: Tensor
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    state: Any = None


class Given(NamedTuple):
    """A sequence: what stands for each step, such as a word, and what a network reads, [T, ...].

    `expected` is what the network should say, if the data tell: at each step, or once of the whole
    of it. `series` is the `Series` that `x` was laid out of, where a task forecasts.
    """

    tokens: Sequence[str]
    x: Tensor
    expected: Sequence[str] | None = None
    series: Any = None


class About(NamedTuple):
    """What a task tells of itself, for the card of a model that is trained on it.

    `does` goes on after "A recurrent network that"; `data` are rows of a table; `python` and
    `shell` are lines that use the model, in which `{folder}` stands for it (`{folder!r}` in
    Python), braces of their own doubled. Python's come after the imports of `load_model`,
    `read_config` and `task_from_config`.
    """

    does: str
    data: Mapping[str, str] = {}
    python: str = ""
    shell: Sequence[str] = ()


@dataclass(frozen=True)
class Batch:
    """Some sequences side by side, time first.

    `x` holds integer ids [T, B] or [T, B, K], or numbers [T, B, I]; `y` the target ids [T, B],
    `IGNORE` past a row's end, or [B] of whole sequences; `lengths` [B] the number of steps of each
    row, or None if every row has T. `weight` is the number of elements of the *global* batch: with
    several processes, of all their rows together, so that the sum over processes of
    `Loss.total / weight` is the mean loss.
    `teacher_forcing` says that a network which feeds its output back is to be given the targets
    in place of it.

    >>> batch = Batch(torch.tensor([[1, 2]]), torch.tensor([[0, 1]]), None, weight=2)
    >>> batch.to("cpu").x.tolist()
    [[1, 2]]
    """

    x: Tensor
    y: Tensor
    lengths: Tensor | None
    weight: int
    teacher_forcing: bool = False

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return replace(self, x=self.x.to(device), y=self.y.to(device), lengths=lengths)


@runtime_checkable
class Task(Protocol):
    """What the training loop asks of a task.

    A task may also have `data(split)`, which gives everything that a split is made of ("train",
    "validation" or "test") as tensors, one after the other. A resumed run then knows by a hash of
    them that the data are the same. Without it, the batches of the first epoch are hashed. And it
    may have `about()`, an `About` for the model's card.

    Networks are called `logits, state = net(batch.x, state, lengths=batch.lengths)` and give
    logits [T, B, O], or [B, O].
    """

    #: "tag" or "chars".
    name: str
    #: The metric of `evaluate` that says which network is best.
    monitor: str
    higher_is_better: bool

    @property
    def splits(self) -> Collection[str]:
        """What `evaluate` has data for: of "validation" and "test"."""
        ...

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        """The batches of epoch number `epoch`, in order.

        A pure function of the task's seed and `epoch`, so that training resumed at batch k sees
        what an uninterrupted run sees. With `world_size` > 1 each rank gets its rows of the same
        global batches.
        """
        ...

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        """Run `net` on `batch` from `state` (None: the initial state)."""
        ...

    def evaluate(self, net: nn.Module, split: str) -> dict[str, float]:
        """Metrics by name on `split`: "validation" or "test"."""
        ...

    def config(self) -> dict[str, Any]:
        """What is needed to use a trained network later, as JSON: vocabulary, tags, features."""
        ...


class FileTask(Task, Protocol):
    """A task that can be saved with its network, and then answers for files and texts."""

    @property
    def separator(self) -> str:
        """What stands between two tokens of a text."""
        ...

    @property
    def scheme(self) -> str | None:
        """How its tags mark spans, such as "IOB"; None if they do not, or there are none."""
        ...

    @property
    def output_size(self) -> int:
        """Outputs of a network, at each step or of the whole sequence."""
        ...

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What the numbers of an output are the odds of; None if of nothing."""
        ...

    def encoder(self) -> nn.Module | int:
        """What reads the ids of a step, new; or how many numbers a step has."""
        ...

    def evaluate(
        self, net: nn.Module, split: str, *, batch_size: int | None = None
    ) -> dict[str, float]:
        """See `Task.evaluate`; at most `batch_size` sequences or rows at once."""
        ...

    def on_file(
        self, path: str | Path, *, token: int | str | None = None, tag: int | str | None = None
    ) -> FileTask:
        """The same task with the split "test": what is in a file whose answers are known.

        Args:
            path: a file such as the training data, or standard input's copy.
            token: of words and their tags, the column of the words; that of the task unless given.
            tag: the column of the tags, likewise.

        Raises:
            DataError: the file cannot be read, is wrong, or holds nothing.
        """
        ...

    def given(self, path: str | Path, *, token: int | str | None = None) -> list[Given]:
        """The sequences of a file, with their answers or without.

        Raises:
            DataError: the file cannot be read, is wrong, or holds nothing.
        """
        ...

    def given_text(self, text: str) -> list[Given]:
        """The sequences of a text such as `text_of` gives.

        Raises:
            DataError: the text is wrong.
        """
        ...

    def text_of(self, path: Path | None) -> str:
        """What a page shows of a file, and lets be changed; without one, something to begin with.

        Raises:
            DataError: the file cannot be read, or is wrong.
        """
        ...


def of_split(held_out: Mapping[str, Data], split: str) -> Data:
    """The held-out data of a split.

    Raises:
        DataError: there are none.

    >>> of_split({"validation": [3]}, "test")
    Traceback (most recent call last):
    cello.errors.DataError: this task has no 'test' data; it has: validation
    """
    found = held_out.get(split)
    if not found:
        known = ", ".join(name for name, part in held_out.items() if part) or "none"
        raise DataError(f"this task has no {split!r} data; it has: {known}")
    return found


def to_train_on(data: Data | None) -> Data:
    """The training data.

    Raises:
        DataError: there are none.
    """
    if not data:
        raise DataError("this task has no training data: it was made from a saved model")
    return data


def warn_of_nan(
    unknown: int, count: int, elements: str, answers: str, *, stacklevel: int = 2
) -> None:
    """Say for how many elements a network gives NaN; `stacklevel` as of `warnings.warn`."""
    if unknown:
        warnings.warn(
            f"the network gives NaN for {unknown:,} of {count:,} {elements}: their {answers} mean "
            "nothing",
            stacklevel=stacklevel + 1,
        )


def sequence_loss(logits: Tensor, y: Tensor) -> tuple[Tensor, int]:
    """Cross-entropy summed over the elements, and their number.

    `logits` [T, B, O], `y` [T, B] with `IGNORE` where there is no element; in nats.

    >>> total, count = sequence_loss(torch.zeros(2, 1, 4), torch.tensor([[3], [IGNORE]]))
    >>> round(total.item(), 4), count        # log 4, one element
    (1.3863, 1)
    """
    total = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORE, reduction="sum")
    return total, int((y != IGNORE).sum())
