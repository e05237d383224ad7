"""What a model reads from a file: characters of a text, words in the CoNLL form, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cello.cli.given import Given
from cello.cli.models import Model
from cello.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["as_batch", "labels_of", "read_inputs", "reads_characters", "token_sequences"]


def read_inputs(model: Model, path: Path, token: int | str | None, purpose: str) -> list[Given]:
    """The sequences of a file: of a net without a task numbers, else as `token_sequences`.

    Raises:
        DataError: the file cannot be read, or holds nothing.
    """
    from cello.tasks import Classification, Forecasting

    if model.task is None:
        from cello.cli.number_files import read_numbers

        return read_numbers(model.net, path)
    if isinstance(model.task, Forecasting):
        return [Given(*one) for one in model.task.inputs(model.task.read(path))]
    if isinstance(model.task, Classification):
        read = model.task.read(path)
        labels: Sequence[str | None] = read.labels or [None] * len(read.items)
        pairs = zip(model.task.inputs(read), labels, strict=True)
        return [Given(*one, label) for one, label in pairs]
    encode = model.task.features.encode
    return [
        Given(tokens, encode(tokens)) for tokens in token_sequences(model, path, token, purpose)
    ]


def token_sequences(
    model: Model, path: Path, token: int | str | None, purpose: str
) -> list[tuple[str, ...]]:
    """The tokens of a file: the whole text as one sequence, or the sentences.

    Args:
        model: what reads them; it must have a task.
        path: a text file, or one in the CoNLL form for a model of words.
        token: the column of the words; that of the training data unless given.
        purpose: what for, as an error says it.

    Raises:
        DataError: the file cannot be read, or holds nothing.
    """
    from cello.tasks import Tagging
    from cello.tasks.readers.conll import read_conll
    from cello.tasks.readers.text_files import read_text

    if not isinstance(model.task, Tagging) or reads_characters(model):
        text = read_text(path)
        if not text:
            raise DataError(f"{path}: holds no text to {purpose}")
        return [tuple(text)]
    column = model.task.columns[0] if token is None else token
    return [sequence.tokens for sequence in read_conll(path, token=column, tag=None)]


def reads_characters(model: Model) -> bool:
    """Whether its tokens are characters."""
    from cello.tasks.features import CharacterFeatures

    return isinstance(getattr(model.task, "features", None), CharacterFeatures)


def labels_of(model: Model) -> tuple[str, ...] | None:
    """What the numbers that a model gives are the odds of, if its task tells.

    Before a conditional random field they are scores of single tags, not odds, and the largest need
    not be the tag that `predict` decodes: such a model has none.
    """
    from cello.layers import CRF

    if any(isinstance(module, CRF) for module in model.net.modules()):
        return None
    named: tuple[str, ...] | None = getattr(model.task, "labels", None)
    return getattr(model.task, "classes", named)


def as_batch(net: nn.Module, xs: Sequence[Tensor]) -> tuple[Tensor, dict[str, Any]]:
    """Sequences [T, ...] as one input of `net`, and what else it is called with: their lengths.

    Raises:
        DataError: they differ in length, and the net takes sequences of one length only; or it is
            a graph that does not tell where its sequences stand.
    """
    from torch import tensor
    from torch.nn.utils.rnn import pad_sequence

    from cello.cli.layout import sequences_come_first
    from cello.layers.stream import Streamed
    from cello.tasks.batching import Example, collate

    if xs[0].is_floating_point():
        x = pad_sequence(list(xs))
    else:  # ids, of which steps may have several
        x = collate([Example(x, x.new_zeros(len(x))) for x in xs]).x
    x = x.transpose(0, 1) if sequences_come_first(net, x) else x
    lengths = [len(one) for one in xs]
    if len(set(lengths)) == 1:
        return x, {}
    if not isinstance(net, Streamed):
        raise DataError(
            f"this net takes sequences of one length at once, got {min(lengths)} to {max(lengths)} "
            "steps: give them in files of their own"
        )
    return x, {"lengths": tensor(lengths)}
