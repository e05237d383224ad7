"""Columns of numbers and of categories as what a network reads at a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cello.errors import DataError, ModelError
from cello.ranges import shown
from cello.tasks.readers.tables import as_numbers, plain_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NumberFeatures"]

#: So many categories are no reason to doubt that they are such.
_FEW = 50

#: Larger numbers have squares that are none.
_LARGEST = 1e100


class NumberFeatures:
    """Rows of a table as vectors: numbers scaled as in training, categories 1-of-N.

    Args:
        columns: for each column {name, mean, scale, missing} or {name, categories}; `missing` says
            whether there is one number more that tells where the value is missing. A missing
            number is read as the mean, a category that training has not seen as none.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"speed": [1.0, 3.0], "gear": ["low", "high"]})
    >>> features = NumberFeatures.fit(table, "the table")
    >>> features.encode(table).tolist()
    [[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """

    separator = " "

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self.columns = tuple(dict(column) for column in columns)

    @classmethod
    def fit(cls, table: pd.DataFrame, where: str) -> NumberFeatures:
        """Means, scales and categories of the columns of a table, a row for each step.

        Raises:
            DataError: a column has no value, or an infinite one.
        """
        import pandas as pd

        columns: list[dict[str, Any]] = []
        for name in map(str, table.columns):
            column = table[name]
            known = column.dropna()
            if not len(known):
                raise DataError(f"{where}: column {name} has no value")
            found = pd.to_numeric(known, errors="coerce")
            if found.isna().any() or column.dtype == bool:
                columns.append({"name": name, "categories": _categories(known, name, where)})
                continue
            numbers = found.to_numpy(dtype=np.float64)
            if not np.isfinite(numbers).all():
                raise DataError(f"{where}: column {name} has an infinite value")
            if np.abs(numbers).max() > _LARGEST:
                raise DataError(
                    f"{where}: column {name} goes up to {np.abs(numbers).max():.3g}: expected "
                    f"numbers up to {_LARGEST:.0e}; give them in larger units"
                )
            mean, scale = float(numbers.mean()), float(numbers.std())
            constant = scale <= 1e-9 * abs(mean)  # but for rounding
            columns.append(
                {
                    "name": name,
                    "mean": mean,
                    "scale": 1.0 if constant else scale,
                    "missing": len(known) < len(column),
                }
            )
        return cls(columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that are read."""
        return tuple(column["name"] for column in self.columns)

    def encode(self, table: pd.DataFrame) -> Tensor:
        """T rows to vectors [T, I].

        Raises:
            DataError: a value of a column of numbers is none.
        """
        parts = []
        for about in self.columns:
            column = table[about["name"]]
            if "categories" in about:
                given = np.array([plain_text(value) for value in column], dtype=object)
                parts += [np.where(given == category, 1.0, 0.0) for category in about["categories"]]
                continue
            numbers, wrong = as_numbers(column)
            if len(wrong):
                found = shown(column.iloc[wrong[0]])
                raise DataError(f"column {about['name']}: expected a number, found {found}")
            missing = np.isnan(numbers)
            scaled = np.where(missing, 0, (numbers - about["mean"]) / about["scale"])
            parts += [scaled, missing.astype(np.float64)] if about["missing"] else [scaled]
        return torch.from_numpy(np.stack(parts, 1)).float()

    def encoder(self) -> int:
        """How many numbers a network reads at a step, I."""
        return sum(
            len(about["categories"]) if "categories" in about else 1 + about["missing"]
            for about in self.columns
        )

    def config(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {"kind": "numbers", "columns": [dict(column) for column in self.columns]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NumberFeatures:
        """The features that `config()` described.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        columns = config.get("columns")
        if not isinstance(columns, list) or not columns or not all(map(_is_column, columns)):
            raise ModelError(
                "task.features.columns must be a list of tables with name, mean, scale and "
                f"missing, or with name and categories, got {shown(columns)}"
            )
        return cls(columns)


def _categories(known: pd.Series, name: str, where: str) -> list[str]:
    """The categories of a column.

    Raises:
        DataError: most of its values are numbers, or nearly each is another.
    """
    import pandas as pd

    numbers = pd.to_numeric(known, errors="coerce").isna()
    if numbers.any() and numbers.mean() < 0.5:
        wrong = known[numbers]
        raise DataError(
            f"{where}: column {name}: expected numbers, as most are, found {shown(wrong.iloc[0])} "
            f"({len(wrong):,} such rows); leave it empty where a value is missing"
        )
    found = sorted({plain_text(value) for value in known})
    if len(found) > max(_FEW, len(known) // 4):
        raise DataError(
            f"{where}: column {name} has {len(found):,} different texts in {len(known):,} rows, "
            "too many for categories: name the columns that are to be read (--columns), or the one "
            "that orders the steps (--order)"
        )
    return found


def _is_column(about: Any) -> bool:
    if not isinstance(about, dict) or not isinstance(about.get("name"), str):
        return False
    if set(about) == {"name", "categories"}:
        names = about["categories"]
        return isinstance(names, list) and all(isinstance(name, str) for name in names)
    return (
        set(about) == {"name", "mean", "scale", "missing"}
        and type(about["missing"]) is bool
        and all(type(about[k]) in (int, float) and np.isfinite(about[k]) for k in ("mean", "scale"))
        and about["scale"] != 0
    )
