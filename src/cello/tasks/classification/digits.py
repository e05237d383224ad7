"""The default data: handwritten digits, read as sequences of rows."""

from __future__ import annotations

from typing import Any

from cello.tasks.classification.classification import Classification
from cello.tasks.classification.sequences import FileColumns, Sequences, from_arrays

__all__ = ["digits"]


def digits(**options: Any) -> Classification:
    """The 1,797 handwritten digits that come with scikit-learn: 8 rows of 8 numbers each.

    A fifth of them is the test, a tenth of the rest validation; each split has its share of every
    digit, and is always the same.

    Source: E. Alpaydin, C. Kaynak, "Optical recognition of handwritten digits", UCI Machine
    Learning Repository, 1998 (CC BY 4.0); its test set, as scikit-learn brings it.

    Args:
        **options: `balanced`, `batch_size`, `seed` of `Classification`.

    Raises:
        ImportError: scikit-learn is not installed: pip install 'cello[train]'.

    >>> task = digits()
    >>> task.epoch(0)[0].x.shape, task.output_size
    (torch.Size([8, 32, 8]), 10)
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    rest, test = train_test_split(
        range(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    train, validation = train_test_split(rest, test_size=0.1, stratify=labels[rest], random_state=0)

    def part(numbers: list[int]) -> Sequences:
        return from_arrays(images[numbers].reshape(-1, 8, 8), None, labels[numbers])

    return Classification.from_sequences(
        part(train),
        {"validation": part(validation), "test": part(test)},
        form=FileColumns(by="image"),
        **options,
    )
