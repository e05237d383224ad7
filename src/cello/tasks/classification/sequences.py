"""Sequences and their labels, out of a file: a text a row, a step a row, or arrays."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cello.errors import DataError, ModelError
from cello.ranges import shown
from cello.tasks.readers.tables import check_columns, in_words, plain_text, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FileColumns",
    "Sequences",
    "from_arrays",
    "in_order_of_numbers",
    "read_sequences",
    "read_splits",
    "tokens_of",
    "warn_of_labels",
]

#: Columns that are called so hold the order of steps, if they are not in it.
_STEPS = ("step", "t", "time", "timestamp", "date", "datetime", "frame", "index", "order")

#: So few labels may well stand once each.
_FEW = 9

_TOKENS = re.compile(r"\w+|[^\w\s]")


class FileColumns(NamedTuple):
    """How a file holds sequences: the names of its columns.

    Attributes:
        label: of the labels.
        text: of the texts, where each row is a sequence.
        by: of the sequences' names, where each row is a step; then `columns` are what is read.
        order: the column by which the steps of a sequence stand, where rows are steps; the order of
            the file unless given. It is not read itself.
        columns: all that are none of these unless given.
        level: what a token of a text is, "words" or "characters".
    """

    label: str = "label"
    text: str = "text"
    by: str | None = None
    order: str | None = None
    columns: tuple[str, ...] = ()
    level: str = "words"

    def config(self) -> dict[str, Any]:
        """All of it, as JSON."""
        given = {name: value for name, value in self._asdict().items() if value is not None}
        return given | {"columns": list(self.columns)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FileColumns:
        """The form that `config()` described.

        Raises:
            ModelError: an entry is unknown or no text.
        """
        given = dict(config)
        columns = given.pop("columns", [])
        known = isinstance(columns, list) and set(given) <= set(cls._fields)
        texts = [*(columns if isinstance(columns, list) else []), *given.values()]
        if not known or not all(isinstance(value, str) for value in texts):
            raise ModelError(
                f"task.form must have texts for {', '.join(cls._fields)}, got {shown(config)}"
            )
        return cls(columns=tuple(columns), **given)


class Sequences(NamedTuple):
    """Sequences of a file.

    Attributes:
        names: what each is called: its ID, or its number.
        items: what each is: a tuple of tokens, or a table of pandas with a row a step.
        labels: of each; None where the file has no column of labels.
    """

    names: list[str]
    items: list[Any]
    labels: list[str] | None

    def chosen(self, numbers: Iterable[int]) -> Sequences:
        """Those with these numbers."""
        each = list(numbers)
        labels = None if self.labels is None else [self.labels[number] for number in each]
        names = [self.names[number] for number in each]
        return Sequences(names, [self.items[number] for number in each], labels)


def tokens_of(text: str, level: str) -> tuple[str, ...]:
    """The tokens of a text; one that is empty has one token, which no vocabulary has.

    >>> tokens_of("It's late.", "words")
    ('It', "'", 's', 'late', '.')
    """
    found = tuple(text) if level == "characters" else tuple(_TOKENS.findall(text))
    return found or ("",)


def read_sequences(
    source: Any, form: FileColumns, *, labelled: bool = True, where: str | None = None
) -> Sequences:
    """The sequences of a file, or of a table of pandas.

    Args:
        source: .npz with x [N, T, I], and y [N] and lengths [N] if there are such; .npy with x; or
            what `read_table` reads.
        form: which columns hold what.
        labelled: whether there must be labels; else they are read where there are any.
        where: what errors call it; the path unless given.

    Raises:
        DataError: it cannot be read, a label or a text is missing, or a sequence has two labels.
        ArgumentError: it has no such column.
    """
    where = where or (str(source) if isinstance(source, (str, Path)) else "the table")
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in (".npz", ".npy"):
        return _arrays(Path(source), labelled)
    table = read_table(source, as_texts=True, words_stay=form.by is None)
    has_labels = labelled or form.label in table.columns
    if not labelled and has_labels and table[form.label].isna().any():
        has_labels = False  # to be filled in, as in a file to predict
    asked = [form.label] if has_labels else []
    options = {}
    if labelled:  # in training: commands that use a model have no such options
        text = "--text or, where each row is a step, that of the sequences by --by"
        options = {form.label: "--label", form.text: text}
    if form.by is None:
        check_columns(table, [form.text, *asked], where, options)
        table = _with_labels(table, form, where) if has_labels else table
        texts = table[form.text]
        if empty := int(texts.isna().sum()):
            what = in_words(empty, "text is", "texts are")
            warnings.warn(f"{where}: {what} empty", stacklevel=3)
        items = [tokens_of(str(text), form.level) for text in texts.fillna("")]
        names = [str(number) for number in range(len(items))]
        return Sequences(names, items, _labels(table, form, where) if has_labels else None)
    order = [] if form.order is None else [form.order]
    check_columns(table, [form.by, *order, *form.columns, *asked], where, options)
    _check_all_there(table[form.by], where)
    read = list(form.columns) or [c for c in table if c not in (form.by, form.label, form.order)]
    if not read:
        raise DataError(f"{where}: has no column besides {form.by} and {form.label}")
    if order:
        _check_all_there(table[form.order], where)
        table = table.sort_values(order, kind="stable", key=_as_numbers)
    groups = list(table.groupby(form.by, sort=False))
    if not order:
        _check_order(groups, where)
    labels = None
    if has_labels:
        labels = [_one_label(rows, form, str(name), where) for name, rows in groups]
    names = [str(name) for name, _ in groups]
    return Sequences(names, [rows[read] for _, rows in groups], labels)


def read_splits(
    train: Any, validation: Any, test: Any, form: FileColumns, where: str
) -> tuple[Sequences, dict[str, Sequences]]:
    """The training sequences and those held out; see `Classification.from_files`.

    Raises:
        DataError: a file cannot be read or is wrong, or there is nothing to set aside.
    """
    sequences = read_sequences(train, form)
    splits: dict[str, Sequences] = {}
    if validation is not None:
        splits["validation"] = read_sequences(validation, form)
    elif len(sequences.items) < 2:
        raise DataError(
            f"{where}: expected at least 2 sequences, since one is set aside for validation, "
            f"found {len(sequences.items)}; give a validation file"
        )
    else:
        aside = _aside(sequences.labels or [])
        every = range(len(sequences.items))
        splits["validation"] = sequences.chosen(sorted(aside))
        sequences = sequences.chosen(number for number in every if number not in aside)
    if test is not None:
        splits["test"] = read_sequences(test, form)
    return sequences, splits


def _aside(labels: list[str]) -> set[int]:
    """A tenth of the sequences of each label, always the same ones; at least one in all."""
    chance = np.random.default_rng(0)
    by_label: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        by_label.setdefault(label, []).append(number)
    found: set[int] = set()
    for numbers in by_label.values():
        found.update(chance.permutation(numbers)[: round(len(numbers) / 10)].tolist())
    most = max(by_label.values(), key=len)
    return found or {int(chance.choice(most))}


def _with_labels(table: pd.DataFrame, form: FileColumns, where: str) -> pd.DataFrame:
    """The rows that have a label."""
    missing = table[form.label].isna()
    if missing.all():
        _check_all_there(table[form.label], where)
    if missing.any():
        rows = in_words(int(missing.sum()), "row has", "rows have")
        warnings.warn(f"{where}: {rows} no {form.label}: left out", stacklevel=4)
    return table[~missing]


def _check_order(groups: list[Any], where: str) -> None:
    """Say where a column seems to hold the order of steps, and the rows stand in another."""
    names = [name for name in groups[0][1].columns if str(name).lower() in _STEPS]
    for name in names:
        moved = sum(not _as_numbers(rows[name]).is_monotonic_increasing for _, rows in groups)
        if moved:
            warnings.warn(
                f"{where}: the rows of {moved:,} sequences are not in the order of {name}, and are "
                f"read in that of the file: order={name!r} (--order {name}) sorts them",
                stacklevel=4,
            )


def _as_numbers(column: pd.Series) -> pd.Series:
    """What orders by size where all are numbers."""
    import pandas as pd

    numbers: pd.Series = pd.to_numeric(column, errors="coerce")
    return column if numbers.isna().any() else numbers


def _check_all_there(column: pd.Series, where: str) -> None:
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise DataError(
            f"{where}: column {column.name}, row {missing[0] + 1}: is empty ({len(missing):,} such "
            "rows)"
        )


def _labels(table: pd.DataFrame, form: FileColumns, where: str) -> list[str]:
    _check_all_there(table[form.label], where)
    return [plain_text(label) for label in table[form.label]]


def _one_label(rows: pd.DataFrame, form: FileColumns, name: str, where: str) -> str:
    labels = _labels(rows, form, where)
    if len(set(labels)) > 1:
        raise DataError(
            f"{where}: the sequence {form.by} = {shown(name)} has the labels {labels[0]} and "
            f"{next(label for label in labels if label != labels[0])}: expected one"
        )
    return labels[0]


def _arrays(path: Path, labelled: bool) -> Sequences:
    try:
        with path.open("rb") as file:
            opened = np.load(file, allow_pickle=False)
            arrays = {"x": opened} if isinstance(opened, np.ndarray) else dict(opened)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise DataError(f"{path}: holds no arrays: {error}") from error
    names = "x, y" if labelled else "x"
    if "x" not in arrays or (labelled and "y" not in arrays):
        raise DataError(f"{path}: expected the arrays {names}, found {', '.join(arrays)}")
    x = arrays["x"]
    if x.ndim != 3 or not x.size or x.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: x must be numbers [sequences, steps, numbers a step], got "
            f"{x.dtype} {list(x.shape)}"
        )
    lengths = arrays.get("lengths", np.full(len(x), x.shape[1]))
    y = arrays.get("y")
    for name, array in (("lengths", lengths), ("y", y)):
        if array is not None and array.shape != (len(x),):
            raise DataError(f"{path}: {name} must be [{len(x)}], got {list(array.shape)}")
    if y is not None and y.dtype.kind == "f" and np.isnan(y).any():
        raise DataError(f"{path}: y holds NaN: each sequence needs a label")
    if y is not None and y.dtype.kind not in "biufU":
        raise DataError(f"{path}: y must be numbers or texts, got {y.dtype}")
    if lengths.dtype.kind not in "iu" or (lengths < 1).any() or (lengths > x.shape[1]).any():
        raise DataError(f"{path}: lengths must be whole numbers from 1 to {x.shape[1]}")
    return from_arrays(x, lengths, y)


def from_arrays(x: Any, lengths: Any, y: Any) -> Sequences:
    """Sequences of numbers [N, T, I], whose columns are called by their numbers."""
    import pandas as pd

    x = x.astype(np.float64)
    names = [str(number) for number in range(x.shape[2])]
    ends = [x.shape[1]] * len(x) if lengths is None else lengths
    items = [pd.DataFrame(rows[:end], columns=names) for rows, end in zip(x, ends, strict=True)]
    labels = None if y is None else [plain_text(label.item()) for label in np.asarray(y)]
    return Sequences([str(number) for number in range(len(x))], items, labels)


def warn_of_labels(labels: Sequence[str], where: str) -> None:
    """Say which labels are one but for spaces or capital letters, and whether each stands once.

    Args:
        labels: of the sequences to learn from.
        where: what warnings call these.
    """
    seen: dict[str, str] = {}
    classes = sorted(set(labels))
    if len(classes) == len(labels) > _FEW:
        warnings.warn(
            f"{where}: each of the {len(classes):,} labels, such as {classes[0]!r}, stands once, "
            "so nothing can be learnt of them: labels are a few words or numbers that come again",
            stacklevel=4,
        )
    for label in classes:
        other = seen.setdefault(" ".join(label.split()).casefold(), label)
        if other != label:
            warnings.warn(
                f"{where}: the labels {other!r} and {label!r} differ in spaces or capital letters "
                "alone: they are taken as two; write them alike if they are one",
                stacklevel=4,
            )


def in_order_of_numbers(label: str) -> tuple[bool, float, str]:
    """Whole numbers in their order, before all else."""
    return (False, int(label), label) if label.isdecimal() else (True, 0, label)
