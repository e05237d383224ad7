"""What a network is told of a sequence: of the tokens of a text, or of the rows of a table."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, TypeAlias

from torch import Tensor

from cello.errors import ArgumentError, DataError
from cello.ranges import shown
from cello.tasks.classification.sequences import Sequences
from cello.tasks.classification.table_rows import NumberFeatures
from cello.tasks.features import CharacterFeatures, WordFeatures
from cello.tasks.vocabulary import Vocabulary

__all__ = ["AnyFeatures", "encoded", "fit_features"]

AnyFeatures: TypeAlias = NumberFeatures | WordFeatures | CharacterFeatures


def fit_features(
    train: Sequences,
    level: str,
    where: str,
    *,
    min_count: int,
    max_size: int | None,
    lower: bool,
    projection_size: int | Literal["auto"] | None,
) -> AnyFeatures:
    """The features of training sequences; see `Classification.from_files`."""
    if not isinstance(train.items[0], tuple):
        import pandas as pd

        return NumberFeatures.fit(pd.concat(train.items), where)
    counts = Counter(token for tokens in train.items for token in tokens if token)
    if level == "characters":
        return CharacterFeatures(Vocabulary.count(counts, min_count=min_count))
    return WordFeatures.fit(
        counts,
        "embedding",
        window=0,
        min_count=min_count,
        max_size=max_size,
        lower=lower,
        projection_size=projection_size,
    )


def encoded(features: AnyFeatures, item: Any) -> Tensor:
    """A sequence as a network reads it: tokens, or rows of a table.

    Raises:
        DataError: it is of the other form than the training data.
        ArgumentError: the table lacks a column.
    """
    if isinstance(features, NumberFeatures) == isinstance(item, tuple):
        expected = "rows of numbers" if isinstance(features, NumberFeatures) else "texts"
        raise DataError(f"expected {expected}, as in the training data")
    if not isinstance(features, NumberFeatures):
        return features.encode(item)
    missing = [name for name in features.names if name not in item]
    if missing and all(name.isdecimal() for name in features.names):
        raise ArgumentError(
            f"x has {item.shape[1]} numbers a step, the model reads {len(features.names)}"
        )
    if missing:
        raise ArgumentError(
            f"the table has no column {shown(missing[0])}; it has "
            f"{shown(', '.join(map(str, item.columns)), 200)}"
        )
    return features.encode(item)
