"""Classification: one label for a whole sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.errors import ArgumentError, DataError, DtypeError
from cello.layers import evaluating
from cello.ranges import check_range
from cello.tasks.base import About, Batch, Loss, of_split, to_train_on, warn_of_nan
from cello.tasks.batching import (
    Example,
    LazyBatches,
    bucket,
    bucket_by_size,
    collate,
    generator,
    shard,
)
from cello.tasks.classification.read_features import AnyFeatures, encoded, fit_features
from cello.tasks.classification.sequence_files import SequenceFiles
from cello.tasks.classification.sequences import (
    FileColumns,
    Sequences,
    in_order_of_numbers,
    read_splits,
    tokens_of,
    warn_of_labels,
)
from cello.tasks.classification.table_rows import NumberFeatures
from cello.tasks.config_checks import TABLE, TAGS, entries
from cello.tasks.features import features_from_config
from cello.tasks.metrics.classes import class_scores

__all__ = ["LEVELS", "Classification", "Prediction"]

LEVELS = ("words", "characters")  # of the tokens of a text
_EVALUATION_STEPS = 2**17  # of all rows together, at once


class Prediction(NamedTuple):
    """The likeliest label of a sequence, and the probability of each."""

    label: str
    chances: dict[str, float]


class Classification(SequenceFiles):
    """The task to give each sequence its label.

    `Classification.from_files` reads files, `digits` makes the default data.

    Args:
        features: what turns a sequence into what a network reads.
        classes: the labels that a network can give, in the order of its outputs.
        form: how files hold sequences.
        train: the training sequences.
        held_out: sequences by split, "validation" and "test". Labels that no training sequence has
            count as errors.
        balanced: whether each class counts as much as any other in training, however rare it is:
            the loss of a sequence is weighted by N / (classes · N of its class).
        batch_size: sequences a batch.
        seed: what their order depends on, with the epoch.

    Attributes:
        unseen: labels of held-out sequences that no training sequence has.
    """

    name = "classify"
    monitor = "accuracy"
    higher_is_better = True
    scheme = None

    def __init__(
        self,
        features: AnyFeatures,
        classes: Sequence[str],
        *,
        form: FileColumns | None = None,
        train: Sequences | None = None,
        held_out: Mapping[str, Sequences] | None = None,
        balanced: bool = False,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        check_range(batch_size=batch_size, seed=seed)
        self.features, self.classes = features, tuple(classes)
        self.form = form or FileColumns()
        self.batch_size, self.seed = batch_size, seed
        found = {split: part.labels or [] for split, part in (held_out or {}).items()}
        known = set(self.classes)
        self.unseen = tuple(
            sorted({label for labels in found.values() for label in labels} - known)
        )
        self._train = [] if train is None else self._examples(train)
        self._held_out = {name: self._examples(part) for name, part in (held_out or {}).items()}
        self._weights: Tensor | None = None
        if balanced and self._train:
            counts = torch.bincount(
                torch.tensor([int(e.y) for e in self._train]), minlength=len(self.classes)
            )
            self._weights = len(self._train) / (len(self.classes) * counts.clamp_min(1))

    @classmethod
    def from_files(
        cls,
        train: Any,
        validation: Any = None,
        test: Any = None,
        *,
        text: str = "text",
        label: str = "label",
        by: str | None = None,
        order: str | None = None,
        columns: Sequence[str] = (),
        level: str = "words",
        **options: Any,
    ) -> Classification:
        """The task on files, or on tables of pandas.

        Args:
            train: the training sequences; see `read_sequences` for the forms of files.
            validation: those that choose the best network; without it, every tenth training
                sequence is set aside for that.
            test: those for the test of the chosen network.
            text: the column of the texts, where each row is a sequence.
            label: the column of the labels.
            by: the column that names the sequences, where each row is a step.
            order: the column by which the steps of a sequence stand; see `FileColumns`.
            columns: those that are read at each step, of numbers or categories; all others unless
                given.
            level: what a token of a text is: one of `LEVELS`.
            **options: see `from_sequences`.

        Raises:
            DataError: a file cannot be read or is wrong; there are fewer than two labels.
            ArgumentError: there is no such column or level.
        """
        if level not in LEVELS:
            raise ArgumentError(
                f"must be one of {', '.join(LEVELS)}, got {level!r}", argument="level"
            )
        form = FileColumns(label, text, by, order, tuple(columns), level)
        where = str(train) if isinstance(train, (str, Path)) else "the training data"
        sequences, splits = read_splits(train, validation, test, form, where)
        return cls.from_sequences(sequences, splits, form=form, where=where, **options)

    @classmethod
    def from_sequences(
        cls,
        train: Sequences,
        held_out: Mapping[str, Sequences],
        *,
        form: FileColumns | None = None,
        where: str = "the training data",
        min_count: int = 1,
        max_size: int | None = None,
        lower: bool = False,
        projection_size: int | Literal["auto"] | None = "auto",
        **options: Any,
    ) -> Classification:
        """The task on sequences that have been read.

        Args:
            train: the training sequences.
            held_out: see the class.
            form: how files hold sequences; its `level` is what a token of a text is.
            where: what errors call the training sequences.
            min_count: words or characters that are rarer in training are one, "other".
            max_size: at most so many words.
            lower: whether words are put in lower case.
            projection_size: length of a word's learned vector.
            **options: `balanced`, `batch_size`, `seed`; see the class.
        """
        assert train.labels is not None
        classes = sorted(set(train.labels), key=in_order_of_numbers)
        if len(classes) < 2:
            raise DataError(
                f"{where}: every sequence to learn from has the label {classes[0]}: expected two "
                "labels or more"
            )
        warn_of_labels(train.labels, where)
        features = fit_features(
            train,
            (form or FileColumns()).level,
            where,
            min_count=min_count,
            max_size=max_size,
            lower=lower,
            projection_size=projection_size,
        )
        return cls(features, classes, form=form, train=train, held_out=held_out, **options)

    # ------------------------------------------------------------ what the loop asks

    @property
    def output_size(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the numbers of an output stand for: the classes."""
        return self.classes

    @property
    def splits(self) -> tuple[str, ...]:
        """The held-out data that there is: of "validation" and "test"."""
        return tuple(name for name, examples in self._held_out.items() if examples)

    def data(self, split: str) -> Iterable[Tensor]:
        """What is read of each sequence of a split, and the numbers of their classes."""
        examples = self._train if split == "train" else self._held_out.get(split, ())
        return (tensor for example in examples for tensor in example)

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        """The batches of epoch number `epoch`; see `Task.epoch`."""
        train = to_train_on(self._train)
        lengths = [len(example.x) for example in train]
        groups = bucket(lengths, self.batch_size, generator("order", self.seed, epoch))

        def make(number: int) -> Batch:
            mine = shard(groups[number], rank, world_size)
            return collate([train[one] for one in mine], len(groups[number]))

        return LazyBatches(make, len(groups))

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        """The cross-entropy of the classes; nothing is carried from batch to batch."""
        logits, _ = net(batch.x, state, lengths=batch.lengths)
        if logits.dim() != 2:
            raise ArgumentError(
                "the network gives an answer at each step, the task needs one a sequence: "
                'build_network(…, pool="last"), or cello.LastStep() in the Stack'
            )
        weights = None if self._weights is None else self._weights.to(logits)
        total = F.cross_entropy(logits, batch.y, weights, reduction="sum")
        return Loss(total, len(batch.y))

    def evaluate(
        self, net: nn.Module, split: str, *, batch_size: int | None = None
    ) -> dict[str, float]:
        """Accuracy, the mean of the F1 of all classes, and the loss; see `class_scores`.

        Args:
            net: a network.
            split: "validation" or "test"; a DataError if there are no such data.
            batch_size: at most so many sequences at once; unless given, what memory allows.
        """
        gold, chances = self._judged(net, split, batch_size)
        return class_scores(gold, chances, (*self.classes, *self.unseen))

    def confusion(self, net: nn.Module, split: str) -> dict[str, dict[str, int]]:
        """How many sequences of each label were given which: by the true one, then the given."""
        gold, chances = self._judged(net, split)
        names = *self.classes, *self.unseen
        pairs = Counter(zip(gold.tolist(), chances.argmax(1).tolist(), strict=True))
        return {
            names[true]: {self.classes[k]: pairs[true, k] for k in range(len(self.classes))}
            for true in sorted(set(gold.tolist()))
        }

    # ------------------------------------------------------------ a trained network

    def on(self, sequences: Sequences) -> Classification:
        """The same task with the split "test": these sequences.

        Raises:
            DataError: they have no labels.
        """
        if sequences.labels is None:
            raise DataError(f"expected a column {self.form.label} of the true labels")
        return Classification(
            self.features,
            self.classes,
            form=self.form,
            held_out={"test": sequences},
            batch_size=self.batch_size,
        )

    def on_file(
        self,
        path: str | Path,
        *,
        token: int | str | None = None,
        tag: int | str | None = None,
    ) -> Classification:
        """On a file such as the training data; see `FileTask.on_file`."""
        return self.on(self.read(path))

    def predict(self, net: nn.Module, sequences: Sequences | Sequence[str]) -> list[Prediction]:
        """The likeliest label of each sequence, and the probability of each label.

        Args:
            net: a network.
            sequences: what `read` gave, or texts.
        """
        if isinstance(sequences, Sequences):
            items = sequences.items
        elif isinstance(sequences, str) or not all(isinstance(text, str) for text in sequences):
            raise DtypeError("sequences must be a list of texts, or what read() gave")
        else:
            items = [tokens_of(text, self.form.level) for text in sequences]
        chances = self._chances(
            net, [Example(encoded(self.features, i), torch.tensor(0)) for i in items]
        )
        unknown = int(chances.isnan().any(1).sum())
        warn_of_nan(unknown, len(items), "sequences", "labels")
        return [
            Prediction(
                self.classes[int(row.argmax())], dict(zip(self.classes, row.tolist(), strict=True))
            )
            for row in chances
        ]

    def about(self) -> About:
        """For a model's card."""
        sizes = {"training": self._train, **self._held_out}
        data = {f"sequences for {name}": f"{len(part):,}" for name, part in sizes.items() if part}
        data["labels"] = ", ".join(self.classes[:20]) + (" …" if len(self.classes) > 20 else "")
        numbers = isinstance(self.features, NumberFeatures)
        file = "new.csv" if self.form.by or not numbers else "new.npz"
        what = f'task.read("{file}")' if numbers else '["a text of yours"]'
        return About(
            f"gives each {'sequence of numbers' if numbers else 'text'} a label",
            data=data,
            python="net = load_model({folder!r})\n"
            'task = task_from_config(read_config({folder!r})["task"])\n'
            f"print(task.predict(net, {what}))",
            shell=(f"cello predict {{folder}} {file}", f"cello evaluate {{folder}} {file}"),
        )

    def config(self) -> dict[str, Any]:
        """Features, classes and the form of files, as JSON."""
        return {
            "task": self.name,
            "features": self.features.config(),
            "classes": list(self.classes),
            "form": self.form.config(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Classification:
        """The task that `config()` described, without data: it can predict.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        found = entries(config, "task", {"features": TABLE, "classes": TAGS, "form": TABLE})
        features = found["features"]
        numbers = features.get("kind") == "numbers"
        return cls(
            NumberFeatures.from_config(features) if numbers else features_from_config(features),
            found["classes"],
            form=FileColumns.from_config(found["form"]),
        )

    # ------------------------------------------------------------ inside

    def _examples(self, sequences: Sequences) -> list[Example]:
        names = {name: number for number, name in enumerate((*self.classes, *self.unseen))}
        assert sequences.labels is not None
        return [
            Example(encoded(self.features, item), torch.tensor(names[label]))
            for item, label in zip(sequences.items, sequences.labels, strict=True)
        ]

    def _judged(
        self, net: nn.Module, split: str, batch_size: int | None = None
    ) -> tuple[Tensor, Tensor]:
        examples = of_split(self._held_out, split)
        gold = torch.stack([example.y for example in examples])
        return gold, self._chances(net, examples, batch_size)

    @torch.no_grad()
    def _chances(
        self, net: nn.Module, examples: Sequence[Example], batch_size: int | None = None
    ) -> Tensor:
        """The probability of each class, [N, classes]."""
        device, lengths = next(net.parameters()).device, [len(example.x) for example in examples]
        chances = torch.empty(len(examples), len(self.classes), dtype=torch.float64)
        with evaluating(net):
            for group in bucket_by_size(lengths, _EVALUATION_STEPS, batch_size):
                batch = collate([examples[number] for number in group]).to(device)
                logits, _ = net(batch.x, lengths=batch.lengths)
                chances[group] = logits.double().softmax(-1).cpu()
        return chances
