"""What a network that classifies reads of files and of texts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from cello.tasks.base import Given
from cello.tasks.classification.read_features import AnyFeatures, encoded
from cello.tasks.classification.sequences import (
    FileColumns,
    Sequences,
    read_sequences,
    tokens_of,
)
from cello.tasks.classification.table_rows import NumberFeatures
from cello.tasks.token_files import FIRST_TEXT

__all__ = ["SequenceFiles"]

#: A page shows so many sequences of a file, and begins with so many steps.
_SEQUENCES, _STEPS = 20, 8

#: The column that names sequences in a text, where those of the task had no names.
_BY = "sequence"


class SequenceFiles:
    """How whole sequences are read; see `FileTask`.

    Attributes:
        features: what turns a sequence into what a network reads.
        form: how files hold sequences.
    """

    features: AnyFeatures
    form: FileColumns

    @property
    def separator(self) -> str:
        """What stands between two tokens of a text."""
        return self.features.separator

    def encoder(self) -> nn.Module | int:
        """What reads the ids of a token, new; or how many numbers a step has."""
        return self.features.encoder()

    def read(self, source: Any, *, by: str | None = None) -> Sequences:
        """The sequences of a file in the form of the training data, with labels or without.

        Args:
            source: see `read_sequences`.
            by: the column that names the sequences, if it was an array that had none.
        """
        form = self.form._replace(by=self.form.by or by) if self._of_numbers else self.form
        return read_sequences(source, form, labelled=False)

    def given(self, path: str | Path, *, token: int | str | None = None) -> list[Given]:
        """The sequences of a file; see `FileTask.given`."""
        return self._given(self.read(path))

    def given_text(self, text: str) -> list[Given]:
        """The lines of a text, or the sequences of a table as CSV; see `FileTask.given_text`."""
        if self._of_numbers:
            return self._given(self.read(io.StringIO(text), by=_BY))
        lines = [line for line in text.splitlines() if line.strip()] or [""]
        items = [tokens_of(line, self.form.level) for line in lines]
        return self._given(Sequences([str(number) for number in range(len(items))], items, None))

    def text_of(self, path: Path | None) -> str:
        """The first sequences of a file, or one to begin with; see `FileTask.text_of`."""
        import pandas as pd

        if path is None:
            return self._first_rows() if self._of_numbers else FIRST_TEXT
        sequences = self.read(path)
        items = sequences.items[:_SEQUENCES]
        if not self._of_numbers:
            return "\n".join(self.separator.join(tokens).replace("\n", " ") for tokens in items)
        told = [{self.form.by or _BY: name} for name in sequences.names]
        for own, label in zip(told, sequences.labels or [], strict=False):
            own[self.form.label] = label
        pairs = zip(items, told, strict=False)
        return pd.concat([rows.assign(**own) for rows, own in pairs]).to_csv(index=False)

    @property
    def _of_numbers(self) -> bool:
        return isinstance(self.features, NumberFeatures)

    def _given(self, sequences: Sequences) -> list[Given]:
        labels: Sequence[str | None] = sequences.labels or [None] * len(sequences.items)
        found = []
        for item, label in zip(sequences.items, labels, strict=True):
            x = encoded(self.features, item)
            tokens = item if isinstance(item, tuple) else map(str, range(len(x)))
            found.append(Given(list(tokens), x, None if label is None else [label]))
        return found

    def _first_rows(self) -> str:
        """A sequence of numbers that go up and down, and of each category in turn."""
        import pandas as pd

        steps: dict[str, Any] = {self.form.by or _BY: ["a"] * _STEPS}
        assert isinstance(self.features, NumberFeatures)
        for about in self.features.columns:
            kinds = about.get("categories")
            steps[about["name"]] = [
                kinds[t % len(kinds)]
                if kinds
                else round(about["mean"] + about["scale"] * (t % 2), 4)
                for t in range(_STEPS)
            ]
        return pd.DataFrame(steps).to_csv(index=False)
