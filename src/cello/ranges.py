"""What values from outside may be: one table, by the names of the arguments.

Files, commands and tasks ask it before they build anything, so that a size of ten digits, a text
or NaN where a count belongs is an error in one line, and not a crash or gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeGuard

from cello.errors import ArgumentError, DtypeError, ModelError

__all__ = [
    "RANGES",
    "Range",
    "check_range",
    "check_table",
    "is_number",
    "real",
    "several",
    "shown",
    "whole",
    "word",
]


class Range(NamedTuple):
    """What a value may be: `kind` says its type, `fits` whether it is among them, in words both."""

    kind: type | tuple[type, ...]
    fits: Callable[[Any], bool]
    expected: str
    optional: bool = False

    def check(self, name: str, value: Any) -> None:
        """Check the argument called `name`.

        Raises:
            DtypeError: it is of another type; True is no number.
            ArgumentError: it is out of range.
        """
        if value is None and self.optional:
            return
        true_as_number = isinstance(value, bool) and self.kind is not bool
        wrong_kind = true_as_number or not isinstance(value, self.kind)
        if wrong_kind or not self.fits(value):
            error = DtypeError if wrong_kind else ArgumentError
            none = " or None" if self.optional else ""
            problem = f"must be {self.expected}{none}, got {shown(value)}"
            raise error(problem, argument=name)


def shown(value: Any, longest: int = 60) -> str:
    """A value as errors show it: in one line, cut if it is long.

    >>> shown("a" * 100, longest=9)
    "'aaaaaaa…"
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**longest:
        return f"a number of more than {longest} digits"
    if isinstance(value, (list, tuple, dict)) and len(value) > longest:
        return f"a {type(value).__name__} of {len(value):,} entries"
    try:
        text = " ".join(repr(value).split())  # a module's takes several lines
    except (ValueError, RecursionError):  # an int of thousands of digits inside; very deep
        text = f"a {type(value).__name__}"
    return text if len(text) <= longest else text[: longest - 1] + "…"


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; True is none.

    >>> is_number(2.5), is_number(True), is_number("2")
    (True, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def whole(low: int, high: int, *, optional: bool = False) -> Range:
    """A whole number from `low` to `high`."""
    words = f"a whole number from {low:,} to {high:,}"
    return Range(int, lambda n: low <= n <= high, words, optional)


def real(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    optional: bool = False,
) -> Range:
    """A finite number from `low` to `high`; with `above` or `below`, not `low` or `high` itself."""
    bounds = {"above" if above else "from": low, "below" if below else "to": high}
    said = " ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))

    def fits(value: float) -> bool:
        # abs: an int may be too large to be compared as a float, which is then infinite here.
        at_end = (above and value == low) or (below and value == high)
        return low <= value <= high and not at_end and abs(value) <= _LARGEST

    return Range((int, float), fits, f"a finite number {said}".rstrip(), optional)


def word(*words: str) -> Range:
    """One of some words."""
    return Range(str, lambda text: text in words, f"one of {', '.join(words)}")


def several(one: Range, what: str, *, least: int = 1) -> Range:
    """A list of so many of these or more."""

    def fits(values: Any) -> bool:
        try:
            for value in values:
                one.check("entry", value)
        except ArgumentError:
            return False
        return len(values) >= least

    return Range((list, tuple), fits, what)


_LARGEST = 1.7e308
_SIZE = whole(1, 2**31 - 1)
_OPTIONAL_SIZE = whole(1, 2**31 - 1, optional=True)
_COUNT = whole(1, 1_000_000)
_SHARE = real(0, 1)
_NUMBER = real()
_FLAG = Range(bool, lambda _: True, "true or false")

#: By name. A class may ask for more, such as a share above 0; it never allows what this forbids.
RANGES: dict[str, Range] = {
    # Sizes of networks. What does not fit the memory is refused where it is known.
    **dict.fromkeys(
        "input_size hidden_size output_size in_features out_features num_embeddings embedding_dim "
        "size embedding_size context_size connections order".split(),
        _SIZE,
    ),
    "projection_size": _OPTIONAL_SIZE,
    **dict.fromkeys(("longest", "rank", "trunk_size"), _OPTIONAL_SIZE),
    "proj_size": whole(0, 2**31 - 1),
    **dict.fromkeys("layers depth rounds unfolds".split(), whole(1, 1000)),
    "num_layers": whole(1, 1000),
    "window": whole(0, 1000),
    "window_size": whole(1, 2001),
    "normalized_shape": several(_SIZE, "a list of whole numbers from 1"),
    "periods": several(_SIZE, "a list of whole numbers from 1"),
    "shape": several(_SIZE, "a list of whole numbers from 1, or an empty one", least=0),
    "padding_idx": whole(-(2**31), 2**31 - 1, optional=True),
    "dim": whole(-16, 15, optional=True),
    # Constants of cells and modules.
    **dict.fromkeys("dropout p zoneout_c zoneout_h".split(), _SHARE),
    **dict.fromkeys(
        "forget_bias epsilon gamma alpha noise dt spectral_radius leak input_scale beta norm_type "
        "eps negative_slope threshold min_val max_val r_min r_max max_phase theta ratio "
        "log_longest mean gate_bias decay_i decay_u slope".split(),
        _NUMBER,
    ),
    "max_norm": real(0, optional=True),
    **dict.fromkeys(
        "bias recurrent_bias peephole recurrent reset_after gated reverse batch_first inplace "
        "bidirectional scale_grad_by_freq sparse include_last_offset elementwise_affine "
        "lower recursive absolute without_calendar".split(),
        _FLAG,
    ),
    "nonlinearity": word("tanh", "relu"),
    "approximate": word("none", "tanh"),
    "mode": word("sum", "mean", "max"),
    "initial_state": word("zeros", "learned"),
    "join": word("concat", "sum", "mean"),
    # Data and runs.
    **dict.fromkeys(
        "batch_size tbptt_steps piece_length evaluation_length min_count".split(), _COUNT
    ),
    **dict.fromkeys("pieces windows".split(), whole(1, 10_000_000)),
    **dict.fromkeys("horizon context held_out".split(), whole(1, 1_000_000)),
    "season": whole(1, 1_000_000),
    "quantiles": several(_SHARE, "ascending numbers between 0 and 1 with 0.5 among them"),
    **dict.fromkeys(("token", "tag"), whole(-1_000_000, 1_000_000)),
    "max_size": _OPTIONAL_SIZE,
    "parameters": whole(1, 10**12),
    "teacher_forcing": whole(0, 1_000_000),
    "seed": whole(0, 2**32 - 1),
    "length": whole(0, 2**31 - 1),
    "temperature": real(0),
    # How to train.
    **dict.fromkeys("epochs log_every nodes".split(), whole(1, 10**9)),
    **dict.fromkeys("patience checkpoint_steps".split(), whole(1, 10**9, optional=True)),
    "warmup_steps": whole(0, 10**9),
    "learning_rate": real(0, above=True),
    "weight_decay": real(0),
    **dict.fromkeys("clip_norm checkpoint_seconds".split(), real(0, above=True, optional=True)),
}


def check_range(**values: Any) -> None:
    """Check arguments by their names in `RANGES`.

    Raises:
        DtypeError: one is of another type than it must be.
        ArgumentError: one is out of its range.

    >>> check_range(window=2, seed=2**70)
    Traceback (most recent call last):
    cello.errors.ArgumentError: seed must be a whole number from 0 to 4,294,967,295, got \
1180591620717411303424
    """
    for name, value in values.items():
        RANGES[name].check(name, value)


def check_table(table: Any, where: str, rules: Mapping[str, Range | None]) -> dict[str, Any]:
    """The entries of a table out of a file, each checked.

    Args:
        table: what stands in the file.
        where: what errors call it, such as "layers[0]".
        rules: by key, where None stands for that in `RANGES`; all keys must be there.

    Raises:
        ModelError: it is no table, a key is missing, or a value is not what it must be.

    >>> check_table({"window": -1}, "features", {"window": None})
    Traceback (most recent call last):
    cello.errors.ModelError: features.window must be a whole number from 0 to 1,000, got -1
    """
    if not isinstance(table, Mapping):
        raise ModelError(f"{where} must be a table, got {shown(table)}")
    for key, rule in rules.items():
        if key not in table:
            raise ModelError(f"{where}.{key} is missing")
        try:
            (RANGES[key] if rule is None else rule).check(f"{where}.{key}", table[key])
        except ArgumentError as error:
            raise ModelError(str(error)) from error
    return {key: table[key] for key in rules}
