"""Descriptions of tasks, as saved models hold them: checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cello.errors import ModelError
from cello.ranges import Range, check_table, shown

__all__ = ["CHARACTERS", "COLUMNS", "GROUPS", "TABLE", "TAGS", "TEXTS", "entries"]


def _texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


#: A list of words, tags or characters; each stands there once.
TEXTS = Range(list, _texts, "a list of texts, each once")
TAGS = Range(list, lambda v: bool(v) and _texts(v), "a list of at least one tag, each once")
CHARACTERS = Range(
    list,
    lambda values: _texts(values) and all(len(value) == 1 for value in values),
    "a list of single characters, each once",
)
TABLE = Range(dict, lambda _: True, "a table")
GROUPS = Range(
    dict,
    lambda table: all(isinstance(names, list) and _texts(names) for names in table.values()),
    "a table with a list of tags for each name",
)
COLUMNS = Range(
    list,
    lambda two: len(two) == 2 and all(type(c) is int for c in two) and two[0] != two[1],
    "a list of two columns, that of the tokens and that of the tags",
)


def entries(
    config: Any, where: str, rules: Mapping[str, Range | None], *, kind: str = "task"
) -> dict[str, Any]:
    """The entries of a table, each checked; those without a rule here by `cello.ranges`.

    Args:
        config: the table.
        where: what errors call it, such as "task.features".
        rules: by key; all must be there.
        kind: the entry that says what sort of table it is, and is not returned.

    Raises:
        ModelError: it is no table, a key is missing or unknown, or a value is not what it must be.

    >>> entries({"kind": "a", "window": -1}, "task.features", {"window": None}, kind="kind")
    Traceback (most recent call last):
    cello.errors.ModelError: task.features.window must be a whole number from 0 to 1,000, got -1
    """
    if isinstance(config, Mapping):
        for key in config:
            if key not in rules and key != kind:
                raise ModelError(f"{where} has no entry {shown(key)}; it has {', '.join(rules)}")
    return check_table(config, where, rules)
