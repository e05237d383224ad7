"""Characters: predict the next character of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cello.errors import ArgumentError, DataError, ModelError
from cello.layers import Stack, Stepper, evaluating
from cello.ranges import check_range
from cello.tasks.base import About, Loss, of_split, sequence_loss, to_train_on
from cello.tasks.batching import Batch, LazyBatches, generator, shard
from cello.tasks.config_checks import TABLE, entries
from cello.tasks.features import CharacterFeatures, features_from_config
from cello.tasks.metrics.accuracies import bits
from cello.tasks.readers.corpus import SPLITS, Document, split_documents, standard_library
from cello.tasks.readers.text_files import read_documents
from cello.tasks.token_files import TokenTask
from cello.tasks.vocabulary import Vocabulary

__all__ = ["Characters"]

#: From this number of documents on, whole documents are held out; else pieces of the joined text.
_MANY_DOCUMENTS = 10

#: A tenth of so many characters is enough to predict one.
_FEWEST = 20

_EVALUATION_ROWS = 32
_EVALUATION_STEPS = 512


class Characters(TokenTask):
    """The task to predict the next character from all those before it.

    The training text is read as `batch_size` parallel rows from end to end, `tbptt_steps`
    characters a batch; the state is carried from batch to batch and gradients end where a batch
    begins (truncated backpropagation through time). The order of the documents is drawn anew for
    each epoch. Characters are Unicode code points; those that occur less than `min_count` times in
    training are one entry, "other".

    Args:
        documents: the text of each split, "train", "validation" and "test".
        vocabulary: the characters.
        tbptt_steps: characters of each row a batch.
        batch_size: rows.
        seed: what the order of the documents depends on, with the epoch.

    Raises:
        ArgumentError: a number is less than 1.
        DataError: the training text is too short for one step of all rows.

    >>> task = Characters.from_documents([Document("a.txt", "abracadabra " * 50)], batch_size=2,
    ...                                  tbptt_steps=8)
    >>> batch = task.epoch(0)[0]
    >>> batch.x.shape, bool((batch.x[1:] == batch.y[:-1]).all())
    (torch.Size([8, 2]), True)
    """

    name = "chars"
    monitor = "bits_per_character"
    higher_is_better = False
    scheme = None

    def __init__(
        self,
        documents: Mapping[str, Sequence[Document]],
        vocabulary: Vocabulary,
        *,
        tbptt_steps: int = 128,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        check_range(tbptt_steps=tbptt_steps, batch_size=batch_size)
        self.features: CharacterFeatures = CharacterFeatures(vocabulary)
        self.tbptt_steps = tbptt_steps
        self.batch_size = batch_size
        self.seed = seed
        self._ids = {
            name: [self.features.encode(document.text) for document in part]
            for name, part in documents.items()
        }
        for name, part in self._ids.items():
            if sum(map(len, part)) < 2:
                raise DataError(
                    f"the {name} text must have at least 2 characters, so that there is one to "
                    f"predict, found {sum(map(len, part))}"
                )
        size = sum(map(len, self._ids.get("train", ())))
        if "train" in documents and size <= batch_size:
            raise DataError(
                f"the training text has {size} characters: expected more than {batch_size}, the "
                "number of rows (batch_size)"
            )

    @classmethod
    def default(cls, **options: Any) -> Characters:
        """The task on the source of Python's standard library; options as `from_documents`."""
        return cls.from_documents(standard_library(), **options)

    @classmethod
    def from_files(
        cls,
        train: Iterable[str | Path],
        validation: Iterable[str | Path] = (),
        test: Iterable[str | Path] = (),
        **options: Any,
    ) -> Characters:
        """The task on text files, and on all text files in folders.

        Args:
            train: files and folders; validation and test data that are not given are set aside from
                them, see `from_documents`.
            validation: files and folders that choose the best network.
            test: files and folders for the test of the chosen network.
            **options: as `from_documents`.

        Raises:
            DataError: a path does not exist, holds no text, or a file is not UTF-8.
        """
        documents = read_documents(train)
        held_out = {"validation": [*validation], "test": [*test]}
        given = {name: read_documents(paths) for name, paths in held_out.items() if paths}
        return cls.from_documents(documents, given, **options)

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document],
        held_out: Mapping[str, Sequence[Document]] | None = None,
        *,
        min_count: int = 2,
        max_size: int | None = None,
        **options: Any,
    ) -> Characters:
        """The task on texts.

        Args:
            documents: the texts. Without a validation text, about a tenth of them is set aside
                for validation, and without both a tenth for the test: whole documents if there
                are at least 10, else the last parts of the text of all of them.
            held_out: texts of the splits "validation" and "test".
            min_count: characters that occur less often in training are "other".
            max_size: at most so many characters have an entry.
            **options: `tbptt_steps`, `batch_size`, `seed`; see the class.
        """
        splits: dict[str, Sequence[Document]] = {"train": documents, **(held_out or {})}
        if "validation" not in splits:
            splits |= _split(documents, test="test" not in splits)
            splits = {name: splits[name] for name in SPLITS}
        characters = (c for document in splits["train"] for c in document.text)
        vocabulary = Vocabulary.count(characters, min_count=min_count, max_size=max_size)
        return cls(splits, vocabulary, **options)

    @property
    def output_size(self) -> int:
        """The number of characters, with "other"."""
        return len(self.features.vocabulary)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the numbers of an output at a step stand for: the characters that may follow."""
        return tuple(self.features.vocabulary.decode(range(self.output_size)))

    @property
    def splits(self) -> tuple[str, ...]:
        """The held-out data that there is: of "validation" and "test"."""
        return tuple(name for name, ids in self._ids.items() if ids and name != "train")

    def data(self, split: str) -> Iterable[Tensor]:
        """The ids [T] of each document of a split."""
        return self._ids.get(split, ())

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Sequence[Batch]:
        """The batches of epoch number `epoch`, each the continuation of the one before it."""
        to_train_on(self._ids.get("train"))
        if self.batch_size % world_size:
            raise ArgumentError(
                f"batch_size {self.batch_size} cannot be shared equally among {world_size} "
                "processes"
            )
        ids = self._ids["train"]
        order = torch.randperm(len(ids), generator=generator("order", self.seed, epoch)).tolist()
        rows = _rows(torch.cat([ids[number] for number in order]), self.batch_size)
        mine = rows[:, shard(range(self.batch_size), rank, world_size)]

        def make(number: int) -> Batch:
            x, y = _piece(mine, number, self.tbptt_steps)
            return Batch(x, y, None, weight=len(y) * self.batch_size)

        return LazyBatches(make, -(-(len(rows) - 1) // self.tbptt_steps))

    def loss(self, net: nn.Module, batch: Batch, state: Any = None) -> Loss:
        """The cross-entropy of the next characters; the state goes on into the next batch."""
        logits, state = net(batch.x, state)
        return Loss(*sequence_loss(logits, batch.y), state.detach())

    @torch.no_grad()
    def evaluate(
        self, net: nn.Module, split: str, *, batch_size: int | None = None
    ) -> dict[str, float]:
        """Bits per character on a split, read as rows side by side with carried state.

        Args:
            net: a network.
            split: "validation" or "test".
            batch_size: at most so many rows, 32 unless given.

        Returns:
            "bits_per_character"; "accuracy", how often the next character is the one that the net
            finds most likely; and "other_share", the share of characters that are "other": they are
            cheap to predict, so that bits per character of texts with many of them do not compare.

        Raises:
            DataError: the task has no such split.
        """
        held_out = {name: part for name, part in self._ids.items() if name != "train"}
        ids = torch.cat(of_split(held_out, split))
        most = _EVALUATION_ROWS if batch_size is None else batch_size
        check_range(batch_size=most)
        rows = _rows(ids, max(1, min(most, len(ids) // _EVALUATION_STEPS)))
        device = next(net.parameters()).device
        with evaluating(net):
            nats, right, count, state = 0.0, 0, 0, None
            for number in range(-(-(len(rows) - 1) // _EVALUATION_STEPS)):
                x, y = (half.to(device) for half in _piece(rows, number, _EVALUATION_STEPS))
                logits, state = net(x, state)
                total, size = sequence_loss(logits, y)
                nats += float(total)
                right += int((logits.argmax(-1) == y).sum())
                count += size
        return {
            "bits_per_character": bits(nats / count),
            "accuracy": right / count,
            "other_share": float((ids == 0).float().mean()),
        }

    @torch.no_grad()
    def sample(
        self,
        net: Stack,
        prompt: str,
        length: int,
        *,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Continue a text, one character at a time.

        Args:
            net: a trained network.
            prompt: what the text begins with; at least one character.
            length: how many characters to add.
            temperature: below 1 the likely characters become likelier, 0 always takes the most
                likely one.
            seed: the same seed gives the same text.

        Returns:
            An iterator over the added characters, each computed when it is asked for. "Other" is
            never drawn.

        Raises:
            ArgumentError: the prompt is empty or holds a character that the network does not
                know, `length`, `temperature` or `seed` is out of range, or the network reads
                from the end.
        """
        check_range(length=length, temperature=temperature, seed=seed)
        self._check_prompt(prompt)
        return self._continue(net, net.stream(), prompt, length, temperature, seed)

    def _check_prompt(self, prompt: str) -> None:
        if not prompt:
            raise ArgumentError("must hold at least one character, got ''", argument="prompt")
        vocabulary = self.features.vocabulary
        for place, character in enumerate(prompt, start=1):
            if character not in vocabulary:
                raise ArgumentError(
                    f"prompt: character {character!r} (U+{ord(character):04X}) at place {place} is "
                    f"not one of the {len(vocabulary.entries)} characters that the network knows"
                )

    @torch.no_grad()
    def _continue(
        self,
        net: Stack,
        step: Stepper,
        prompt: str,
        length: int,
        temperature: float,
        seed: int,
    ) -> Iterator[str]:
        device = next(net.parameters()).device
        chance = torch.Generator().manual_seed(seed)
        with evaluating(net):
            *known, number = self.features.encode(prompt).tolist()
            for before in known:
                step(torch.tensor([before], device=device))
            for _ in range(length):
                logits = step(torch.tensor([number], device=device))[0]
                number = _draw(logits.double().cpu(), temperature, chance)
                yield self.features.vocabulary.decode([number])[0]

    def on_file(
        self,
        path: str | Path,
        *,
        token: int | str | None = None,
        tag: int | str | None = None,
    ) -> Characters:
        """On a text file, or a folder of them; see `FileTask.on_file`."""
        documents = {"test": read_documents([path])}
        return Characters(documents, self.features.vocabulary, batch_size=self.batch_size)

    def about(self) -> About:
        """For a model's card."""
        sizes = {name: sum(map(len, part)) for name, part in self._ids.items()}
        data = {f"characters for {name}": f"{size:,}" for name, size in sizes.items()}
        data = {key.replace("train", "training"): text for key, text in data.items()}
        known = self.features.vocabulary.entries
        prompt = repr("".join(known[:1])).replace("{", "{{").replace("}", "}}")
        return About(
            "predicts the next character of a text",
            data={**data, "characters that it knows": f"{len(known):,}"},
            python="net = load_model({folder!r})\n"
            'task = task_from_config(read_config({folder!r})["task"])\n'
            f'print("".join(task.sample(net, {prompt}, 200)))',
            shell=("cello sample {folder}", "cello evaluate {folder} text.txt"),
        )

    def config(self) -> dict[str, Any]:
        """The characters, as JSON."""
        return {"task": self.name, "features": self.features.config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Characters:
        """The task that `config()` described, without data: it can sample.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        found = entries(config, "task", {"features": TABLE})
        features = features_from_config(found["features"])
        if not isinstance(features, CharacterFeatures) or not features.vocabulary.entries:
            raise ModelError("task.features must be those of characters, and know at least one")
        return cls({}, features.vocabulary)


def _split(documents: Sequence[Document], *, test: bool) -> dict[str, list[Document]]:
    """A tenth set aside for validation and, with `test`, one for the test."""
    if len(documents) >= _MANY_DOCUMENTS:
        parts = split_documents(documents)
        if not test:
            parts["train"] = sorted(parts["train"] + parts.pop("test"))
        return parts
    text = "".join(document.text for document in documents)
    if len(text) < _FEWEST:
        more = " and another for the test" if test else ""
        raise DataError(
            f"the text has {len(text):,} characters, too few to set a tenth aside for validation"
            f"{more} (at least {_FEWEST}): take more text, or give some for these"
        )
    cuts = [0, *(len(text) * tenths // 10 for tenths in ((8, 9, 10) if test else (9, 10)))]
    return {
        name: [Document(name, text[start:end])]
        for name, start, end in zip(SPLITS, cuts, cuts[1:], strict=False)
    }


def _rows(ids: Tensor, rows: int) -> Tensor:
    """The text [N] as parallel rows, time first: [N // rows, rows]."""
    steps = len(ids) // rows
    return ids[: steps * rows].view(rows, steps).t()


def _piece(rows: Tensor, number: int, steps: int) -> tuple[Tensor, Tensor]:
    """Piece `number` of `steps` characters, and the characters that follow each of them."""
    start = number * steps
    end = min(start + steps, len(rows) - 1)
    return rows[start:end], rows[start + 1 : end + 1]


def _draw(logits: Tensor, temperature: float, chance: torch.Generator) -> int:
    logits[0] = -torch.inf  # "other" has no character to show
    if temperature == 0:
        return int(logits.argmax())
    logits -= logits.max()  # so that no temperature, however low, makes an infinite number
    return int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=chance))
