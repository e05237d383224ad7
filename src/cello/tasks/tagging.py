"""Tagging: a label for each element of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cello.errors import DataError
from cello.layers import CRF, evaluating
from cello.ranges import check_range
from cello.tasks.base import (
    IGNORE,
    About,
    Loss,
    of_split,
    sequence_loss,
    to_train_on,
    warn_of_nan,
)
from cello.tasks.batching import (
    Batch,
    Example,
    bucket_by_size,
    collate,
    generator,
    lengths_of,
    picked,
    shuffled_batches,
)
from cello.tasks.config_checks import COLUMNS, GROUPS, TABLE, TAGS, entries
from cello.tasks.features import Features, WordFeatures, features_from_config
from cello.tasks.metrics.accuracies import accuracies
from cello.tasks.metrics.spans import span_scheme, span_scores
from cello.tasks.networks import has_feedback
from cello.tasks.readers.column_names import column_numbers
from cello.tasks.sentences import Examples, Sentences
from cello.tasks.token_files import TokenTask, with_tags
from cello.tasks.vocabulary import Vocabulary

__all__ = ["Tagging"]

#: Steps of all rows together that are evaluated at once.
_EVALUATION_STEPS = 2**17


#: Examples that are made at once, where all are wanted in their order.
_AT_ONCE = 256


class Tagging(TokenTask):
    """The task to give each element of a sequence its tag.

    `Tagging.from_conll` reads files, `cello.tasks.python_tagging` makes the default data, and
    `Tagging.from_config` gives back a task without data that can predict.

    Args:
        features: what turns tokens into ids.
        tags: the tags that a network can give, in the order of its outputs.
        train: the training examples of an epoch, by its number; the same for the same number.
        held_out: examples by split, "validation" and "test". Their targets may go beyond `tags`,
            into `unseen`: tags that do not occur in training and count as errors.
        unseen: the names of these.
        corpus: all that `train` draws its examples from, by which a resumed run knows that they
            are the same; those of the first epoch unless given.
        groups: names of groups of tags whose accuracy is reported as "GROUP_accuracy".
        columns: of the tokens and of the tags in its files of words.
        batch_size: sequences a batch.
        teacher_forcing: in so many epochs, the first ones, a network that feeds its output back
            (Jordan's) is given the true tags in place of its own; then it runs free.
        seed: what the order of the examples depends on, with the epoch.

    Attributes:
        scheme: how the tags mark spans, such as "IOB" or "BILOU"; None if they do not.
    """

    name = "tag"
    higher_is_better = True

    def __init__(
        self,
        features: Features,
        tags: Sequence[str],
        *,
        train: Callable[[int], Sequence[Example]] | None = None,
        held_out: Mapping[str, Sequence[Example]] | None = None,
        unseen: Sequence[str] = (),
        corpus: Sequence[Example] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        columns: tuple[int, ...] = TokenTask.columns,
        batch_size: int = 32,
        teacher_forcing: int = 1,
        seed: int = 0,
    ) -> None:
        check_range(batch_size=batch_size, teacher_forcing=teacher_forcing)
        self.features = features
        self.tags = tuple(tags)
        self.unseen = tuple(unseen)
        self.groups = {name: tuple(members) for name, members in (groups or {}).items()}
        self.columns = columns
        self.batch_size = batch_size
        self.teacher_forcing = teacher_forcing
        self.seed = seed
        self.scheme = span_scheme(self.tags)
        self.monitor = "accuracy" if self.scheme is None else "span_f1"
        self._train = train
        self._corpus = corpus
        self._held_out = dict(held_out or {})

    @classmethod
    def from_conll(
        cls,
        train: str | Path,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        token: int | str = 0,
        tag: int | str = -1,
        columns: Sequence[str] = (),
        features: str = "both",
        batch_size: int = 32,
        teacher_forcing: int = 1,
        seed: int = 0,
        **feature_options: Any,
    ) -> Tagging:
        """Tagging of words from CoNLL files.

        Args:
            train: file with the training sequences.
            validation: file with those that choose the best network; without it, every tenth
                training sequence is set aside for that.
            test: file with those for the test of the chosen network; without it there is no "test"
                split.
            token: index or name of the column of the tokens; see `read_conll`.
            tag: index or name of the column of the tags.
            columns: the names of all columns; see `column_numbers`.
            features: a kind of word features; see `WordFeatures`.
            batch_size: sequences a batch.
            teacher_forcing: see the class.
            seed: see the class.
            **feature_options: those of `WordFeatures.fit`.

        Raises:
            DataError: a file cannot be read or is wrong; see `read_conll`.
            ArgumentError: an unknown kind of features, or an option makes no sense.
        """
        sentences = Sentences.read(train, token=token, tag=tag, names=columns)
        splits: dict[str, Sentences] = {}
        if validation is not None:
            splits["validation"] = Sentences.read(validation, token=token, tag=tag, names=columns)
        elif len(sentences) < 2:
            raise DataError(
                f"{train}: expected at least 2 sequences, since one is set aside for validation, "
                "found 1; give a validation file"
            )
        else:
            aside = torch.arange(len(sentences)) % 10 == 0
            splits["validation"] = sentences.chosen(aside)
            sentences = sentences.chosen(~aside)
        if test is not None:
            splits["test"] = Sentences.read(test, token=token, tag=tag, names=columns)

        words = WordFeatures.fit(sentences.counts(), features, **feature_options)
        tags = sorted(sentences.tag_names())
        every: set[str] = set().union(*(split.tag_names() for split in splits.values()))
        unseen = sorted(every - set(tags))
        ids = Vocabulary([*tags, *unseen], other=False)
        kept = Examples(sentences, words, ids)
        return cls(
            words,
            tags,
            train=lambda epoch: kept,  # noqa: ARG005
            held_out={name: Examples(split, words, ids) for name, split in splits.items()},
            unseen=unseen,
            columns=column_numbers(train, [token, tag], columns),
            batch_size=batch_size,
            teacher_forcing=teacher_forcing,
            seed=seed,
        )

    @property
    def output_size(self) -> int:
        """The number of tags."""
        return len(self.tags)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the numbers of an output at a step stand for: the tags."""
        return self.tags

    @property
    def splits(self) -> tuple[str, ...]:
        """The held-out data that there is: of "validation" and "test"."""
        return tuple(name for name, examples in self._held_out.items() if examples)

    def data(self, split: str) -> Iterable[Tensor]:
        """The ids and the targets of each example of a split."""
        examples = self._held_out.get(split, ())
        if split == "train" and self._train is not None:
            examples = self._train(0) if self._corpus is None else self._corpus
        return (tensor for example in _each_of(examples) for tensor in example)

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        """The batches of epoch number `epoch`; see `Task.epoch`."""
        train = to_train_on(self._train)
        return shuffled_batches(
            train(epoch),
            self.batch_size,
            generator("order", self.seed, epoch),
            teacher_forcing=epoch < self.teacher_forcing,
            rank=rank,
            world_size=world_size,
        )

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        """The cross-entropy of the tags, or with a CRF that of whole sequences of them.

        Nothing is carried from batch to batch.
        """
        options: dict[str, Any] = {"lengths": batch.lengths}
        if batch.teacher_forcing and has_feedback(net):
            options["targets"] = F.one_hot(batch.y.clamp_min(0), len(self.tags))
        logits, _ = net(batch.x, state, **options)
        if (crf := _crf(net)) is not None:
            total = -crf.log_likelihood(logits, batch.y, batch.lengths).sum()
            return Loss(total, int((batch.y != IGNORE).sum()))
        return Loss(*sequence_loss(logits, batch.y))

    def evaluate(
        self, net: nn.Module, split: str, *, batch_size: int | None = None
    ) -> dict[str, float]:
        """Accuracy of all elements, by tag and by group; of tags that mark spans also of these.

        Args:
            net: a network.
            split: "validation" or "test".
            batch_size: at most so many sequences at once; unless given, what memory allows.

        Returns:
            See `accuracies` and `span_scores`.

        Raises:
            DataError: the task has no such split.
        """
        examples = of_split(self._held_out, split)
        predicted = self._predict(net, examples, batch_size)
        gold = [example.y for example in _each_of(examples)]
        names = (*self.tags, *self.unseen)
        metrics = accuracies(torch.cat(gold), torch.cat(predicted), names, self.groups)
        if self.scheme is not None:
            metrics |= span_scores(_named(gold, names), _named(predicted, names), self.scheme)
        return metrics

    def predict(self, net: nn.Module, sequences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags that `net` gives to each token of each sequence.

        Args:
            net: a network of `features.encoder()` and `output_size` outputs.
            sequences: tokens, of any lengths; for single characters, strings.
        """
        xs = [self.features.encode(tokens) for tokens in sequences]
        ids = self._predict(net, [Example(x, x.new_zeros(len(x))) for x in xs])
        return _named(ids, self.tags)

    @torch.no_grad()
    def _predict(
        self, net: nn.Module, examples: Sequence[Example], batch_size: int | None = None
    ) -> list[Tensor]:
        """Predicted ids [T] of each example, whatever its targets."""
        device = next(net.parameters()).device
        lengths = lengths_of(examples)
        predicted = [torch.empty(0, dtype=torch.long)] * len(examples)
        unknown, crf = 0, _crf(net)
        with evaluating(net):
            for group in bucket_by_size(lengths, _EVALUATION_STEPS, batch_size):
                group = [number for number in group if lengths[number]]
                if not group:
                    continue
                batch = collate(picked(examples, group)).to(device)
                logits, _ = net(batch.x, lengths=batch.lengths)
                unknown += int(logits.isnan().any(-1).sum())
                if crf is not None:
                    for number, path in zip(group, crf.decode(logits, batch.lengths), strict=True):
                        predicted[number] = path
                    continue
                best = logits.argmax(-1).cpu()
                for row, number in enumerate(group):
                    predicted[number] = best[: lengths[number], row]
        warn_of_nan(unknown, sum(lengths), "elements", "tags", stacklevel=3)
        return predicted

    # ------------------------------------------------------------ files and texts

    def on_file(
        self, path: str | Path, *, token: int | str | None = None, tag: int | str | None = None
    ) -> Tagging:
        """On words and their tags in the CoNLL form, or Python source; see `FileTask.on_file`."""
        own = self.columns
        columns = own[0] if token is None else token, own[1] if tag is None else tag
        examples, unseen = with_tags(self.features, self.tags, path, *columns)
        return Tagging(
            self.features,
            self.tags,
            held_out={"test": examples},
            unseen=unseen,
            groups=self.groups,
            columns=own,
        )

    def about(self) -> About:
        """For a model's card."""
        words = isinstance(self.features, WordFeatures)
        train = [] if self._train is None else self._train(0)
        sizes = {"training": train, **self._held_out}
        data = {f"sequences for {split}": f"{len(part):,}" for split, part in sizes.items() if part}
        data["tags"] = _some(self.tags) + (f", written as {self.scheme}" if self.scheme else "")
        example = '["leave", "Kyoto", "today"]' if words else '"x = 1  # one"'
        file = "words.txt" if words else "some.py"
        return About(
            f"gives each {'word of a sentence' if words else 'character of a text'} its tag",
            data=data,
            python="net = load_model({folder!r})\n"
            'task = task_from_config(read_config({folder!r})["task"])\n'
            f"print(task.predict(net, [{example}]))",
            shell=(f"cello predict {{folder}} {file}", f"cello evaluate {{folder}} {file}"),
        )

    def config(self) -> dict[str, Any]:
        """Features, tags and groups, as JSON; columns too where they are not the usual ones."""
        told = {"columns": list(self.columns)} if self.columns != TokenTask.columns else {}
        return {
            "task": self.name,
            "features": self.features.config(),
            "tags": list(self.tags),
            "groups": {name: list(members) for name, members in self.groups.items()},
            **told,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Tagging:
        """The task that `config()` described, without data: it can predict.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        rules = {"features": TABLE, "tags": TAGS, "groups": GROUPS}
        if "columns" in config:
            rules["columns"] = COLUMNS
        found = entries(config, "task", rules)
        columns = tuple(found.pop("columns", TokenTask.columns))
        return cls(features_from_config(found.pop("features")), **found, columns=columns)


def _each_of(examples: Sequence[Example]) -> Iterator[Example]:
    """One after the other, some of them made at once."""
    for start in range(0, len(examples), _AT_ONCE):
        yield from picked(examples, range(start, min(start + _AT_ONCE, len(examples))))


def _some(names: Sequence[str], most: int = 20) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _crf(net: nn.Module) -> CRF | None:
    return next((module for module in net.modules() if isinstance(module, CRF)), None)


def _named(ids: Sequence[Tensor], names: Sequence[str]) -> list[list[str]]:
    return [[names[number] for number in row.tolist()] for row in ids]
