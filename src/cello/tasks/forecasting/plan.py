"""All that a trained network needs to forecast: what it reads, what it says, and the scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cello.errors import ArgumentError, ModelError
from cello.ranges import Range, check_range, is_number, real
from cello.tasks.base import About
from cello.tasks.config_checks import TABLE, entries
from cello.tasks.forecasting.clock import CALENDAR, KINDS, Clock
from cello.tasks.forecasting.columns import Columns
from cello.tasks.forecasting.series import Scale, Series, scale_of
from cello.tasks.forecasting.windows import Layout

__all__ = ["ForecastPlan"]


@dataclass(frozen=True)
class ForecastPlan:
    """How series become inputs, and outputs forecasts.

    Args:
        columns: of its tables.
        clock: the steps of the series.
        horizon: steps to forecast, H.
        context: steps that are read before, C.
        season: steps of a season, of the seasonal naive forecast and the unit of MASE.
        layout: what a step's input holds.
        scales: by the name of each series.
        quantiles: levels, ascending, 0.5 among them: the forecast itself.
        recursive: the network says the next step only, and reads its own forecast on the way.
        relative: the network says how far it goes from the last value known.

    Raises:
        ArgumentError: a number is out of range.
    """

    columns: Columns
    clock: Clock
    horizon: int
    context: int
    season: int
    layout: Layout
    scales: Mapping[str, Scale]
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    recursive: bool = False
    relative: bool = True

    def __post_init__(self) -> None:
        check_range(horizon=self.horizon, context=self.context, season=self.season)
        levels = list(self.quantiles)
        inside = all(isinstance(level, float) and 0 < level < 1 for level in levels)
        if not inside or levels != sorted(set(levels)) or 0.5 not in levels:
            raise ArgumentError(
                f"must be ascending numbers between 0 and 1 with 0.5 among them, got {levels}",
                argument="quantiles",
            )

    @property
    def targets(self) -> int:
        """How many columns are forecast, D."""
        return len(self.columns.target)

    @property
    def ahead(self) -> int:
        """Steps that the network says at once."""
        return 1 if self.recursive else self.horizon

    @property
    def warmed(self) -> int:
        """Steps of a window in training after which the network's answers count: half of them."""
        return self.context // 2

    @property
    def middle(self) -> int:
        """The place of 0.5 among the quantiles."""
        return self.quantiles.index(0.5)

    def scale(self, series: Series) -> Scale:
        """That of the series; of one that was not in training, from all that is given of it."""
        found = self.scales.get(series.name)
        if found is None and len(self.scales) == 1 and self.columns.by is None:
            found = next(iter(self.scales.values()))
        return scale_of(series.values, self.season) if found is None else found

    def first(self, series: Series) -> int:
        """The first step of a series that can be forecast, behind a context if it has one."""
        return min(self.context, len(series) - 1)

    def knowing(self, series: Sequence[Series]) -> ForecastPlan:
        """The same plan with scales for series that it does not know, from what comes first."""
        if self.columns.by is None:
            return self
        found = {
            one.name: scale_of(one.values[: self.first(one)], self.season)
            for one in series
            if one.name not in self.scales
        }
        return replace(self, scales={**self.scales, **found})

    def about(self, series: int, steps: int, held_out: int) -> About:
        """For a model's card: of so many series, with so many steps in all and held out."""
        rows = {
            "series": f"{series:,}, {steps:,} steps of {self.clock} in all",
            "held out at the end": f"{held_out:,} steps for validation, {held_out:,} for the test",
            "quantiles": ", ".join(f"{level:g}" for level in self.quantiles),
        }
        return About(
            f"forecasts {', '.join(self.columns.target)}: {self.horizon} steps from the "
            f"{self.context} before",
            data={key: value for key, value in rows.items() if series},
            python="net = load_model({folder!r})\n"
            'task = task_from_config(read_config({folder!r})["task"])\n'
            'print(task.predict(net, task.read("new.csv")))',
            shell=(
                "cello predict {folder} new.csv --plot next.svg",
                "cello evaluate {folder} new.csv",
            ),
        )

    def config(self) -> dict[str, Any]:
        """Everything, as JSON."""
        told = {**vars(self), "scales": {n: s._asdict() for n, s in self.scales.items()}}
        told |= {name: _lists(told[name]._asdict()) for name in ("columns", "clock", "layout")}
        return _lists(told)

    @classmethod
    def from_config(cls, config: Any) -> ForecastPlan:
        """The plan that `config()` told.

        Raises:
            ModelError: an entry is missing or of the wrong kind.
        """
        found = entries(config, "task.plan", _RULES)
        columns = entries(found["columns"], "task.plan.columns", _COLUMNS)
        layout = entries(found["layout"], "task.plan.layout", _LAYOUT)
        width = len(columns["target"])
        if layout["targets"] != width or len(layout["known_mean"]) != len(layout["known_std"]):
            raise ModelError("task.plan.layout does not fit task.plan.columns")
        scales = {
            name: entries(scale, f"task.plan.scales[{name!r}]", _scale(width))
            for name, scale in found["scales"].items()
        }
        try:
            return cls(
                **{
                    **found,
                    "columns": Columns(**_tuples(columns)),
                    "clock": Clock(**entries(found["clock"], "task.plan.clock", _CLOCK)),
                    "layout": Layout(**_tuples(layout)),
                    "scales": {name: Scale(**scale) for name, scale in scales.items()},
                    "quantiles": tuple(found["quantiles"]),
                }
            )
        except ArgumentError as error:
            raise ModelError(f"task.plan: {error}") from error


def _lists(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in table.items()}


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def _numbers(count: int | None, *, above: bool = False, empty: bool = False) -> Range:
    one = real(0, above=True) if above else real()

    def fits(values: Any) -> bool:
        right = all(
            (value is None and empty) or (is_number(value) and one.fits(value)) for value in values
        )
        return right and (count is None or len(values) == count)

    return Range(list, fits, "a list of finite numbers" + " above 0" * above)


def _names(least: int) -> Range:
    def fits(values: Any) -> bool:
        right = all(isinstance(value, str) for value in values)
        return right and len(set(values)) == len(values) >= least

    return Range(list, fits, "a list of names, each once")


def _scale(width: int) -> dict[str, Range | None]:
    return {
        "mean": _numbers(width),
        "std": _numbers(width, above=True),
        "unit": _numbers(width, above=True, empty=True),
    }


_FLAG = Range(bool, lambda _: True, "true or false")
_NAME = Range(str, lambda _: True, "a name", optional=True)
_RULES: dict[str, Range | None] = {
    **dict.fromkeys(("columns", "clock", "layout", "scales"), TABLE),
    **dict.fromkeys(("horizon", "context", "season")),
    "quantiles": _numbers(None),
    **dict.fromkeys(("recursive", "relative"), _FLAG),
}
_COLUMNS: dict[str, Range | None] = {
    "target": _names(1), "known": _names(0), "time": _NAME, "by": _NAME,
}  # fmt: skip
_CLOCK: dict[str, Range | None] = {
    "kind": Range(str, lambda kind: kind in KINDS, f"one of {', '.join(KINDS)}"),
    "step": real(0, above=True),
}
_LAYOUT: dict[str, Range | None] = {
    "targets": Range(int, lambda n: n > 0, "a whole number from 1"),
    "ahead": Range(int, lambda n: n > 0, "a whole number from 1"),
    "calendar": Range(list, lambda parts: all(p in CALENDAR for p in parts), "parts of a calendar"),
    "known_mean": _numbers(None),
    "known_std": _numbers(None, above=True),
}
