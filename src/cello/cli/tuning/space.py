"""What is searched: ranges and choices for the options of a training command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from cello.cli.training.options import OrWord, Usual
from cello.errors import ArgumentError

__all__ = ["Dimension", "space_of"]

#: What is searched unless it is said; an option that the user gives is not.
USUAL = (
    "hidden-size=16..256:log",
    "learning-rate=0.0003..0.03:log",
    "dropout=0..0.5",
    "weight-decay=0.001..0.3:log",
)
#: Numbers that are tried have so many digits, those that the table shows.
_DIGITS = 4


class Dimension(NamedTuple):
    """One option: a range of numbers, or a list of words."""

    name: str
    flag: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any) -> str:
        """What an Optuna trial is to try, as a word of the command line."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.whole:
            low, high = int(self.low), int(self.high)
            return self.word(trial.suggest_int(self.name, low, high, log=self.log))
        return self.word(trial.suggest_float(self.name, self.low, self.high, log=self.log))

    def word(self, value: Any) -> str:
        """A value of a trial as a word of the command line."""
        return str(value) if self.choices or self.whole else f"{value:.{_DIGITS}g}"


def space_of(
    asked: Sequence[str], params: Sequence[click.Parameter], fixed: Mapping[str, Any]
) -> list[Dimension]:
    """The dimensions that `--search` names, or the usual ones.

    Args:
        asked: each NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C.
        params: the options of the training command.
        fixed: those that the user gave, by name.

    Raises:
        ArgumentError: one cannot be read, names no option, or one that is given too.
    """
    flags = {max(p.opts, key=len).lstrip("-"): p for p in params if isinstance(p, click.Option)}
    given = {flag for flag, option in flags.items() if option.name in fixed}
    if asked:
        found = [_dimension(text, flags) for text in asked]
        names = [dimension.name for dimension in found]
        for name in names:
            if name in given:
                raise _wrong(f"--{name} is given, so that there is nothing to search for it")
            if names.count(name) > 1:
                raise _wrong(f"{name} stands there twice")
        return found
    if "parameters" in given:
        given.add("hidden-size")  # these two exclude each other
    usual = [_dimension(text, flags) for text in USUAL if text.partition("=")[0] not in given]
    if not usual:
        raise _wrong("all that is searched usually is given: say what else, with NAME=LOW..HIGH")
    return usual


def _dimension(text: str, flags: Mapping[str, click.Option]) -> Dimension:
    name, sign, told = text.partition("=")
    name = name.strip().lstrip("-").replace("_", "-")
    if not sign or not told.strip():
        raise _wrong(f"expected NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C, got {text!r}")
    option = flags.get(name)
    if option is None or not _searchable(option):
        known = ", ".join(flag for flag, each in flags.items() if _searchable(each))
        raise _wrong(f"{name} is no option that can be searched; these are: {known}")
    flag = max(option.opts, key=len)
    if ".." not in told:
        choices = tuple(part.strip() for part in told.split(","))
        if len(set(choices)) != len(choices):
            raise _wrong(f"{text} names a choice twice")
        for choice in choices:
            _check(option, choice, text)
        return Dimension(name, flag, choices)
    bounds, _, how = told.partition(":")
    if how not in ("", "log"):
        raise _wrong(f"expected nothing or :log after the range, got {text!r}")
    kind = option.type.kind if isinstance(option.type, OrWord) else option.type
    whole = kind in (int, click.INT)
    if not whole and kind not in (float, click.FLOAT):
        raise _wrong(f"{name} is no number: give words, as in {name}=A,B")
    try:
        low, high = (int(part) if whole else float(part) for part in bounds.split(".."))
    except ValueError:
        raise _wrong(f"expected two {'whole ' if whole else ''}numbers in {text!r}") from None
    if not low < high or (how and low <= 0):
        above = " above 0" if how else ""
        raise _wrong(f"expected a lower and a higher number{above}, got {text!r}")
    for bound in (low, high):
        _check(option, str(bound), text)
    return Dimension(name, flag, (), low, high, bool(how), whole)


def _searchable(option: click.Option) -> bool:
    """Whether another value makes another model: the run's own options do not."""
    never = {"seed", "epochs", "patience", "devices", "nodes", "log-every"}
    name = max(option.opts, key=len).lstrip("-")
    takes = isinstance(option, Usual) or name in ("hidden-size", "parameters", "network")
    left_out = name.startswith("checkpoint-") or name in {"log", "accelerator", "strategy"} | never
    return takes and not left_out and not option.multiple and not option.is_flag


def _check(option: click.Option, word: str, text: str) -> None:
    try:
        option.type.convert(word, option, None)
    except click.UsageError as error:
        raise _wrong(f"{text}: {error.message}") from error


def _wrong(problem: str) -> ArgumentError:
    return ArgumentError(problem, argument="--search")
