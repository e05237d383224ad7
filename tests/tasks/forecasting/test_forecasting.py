"""Forecasting: no number of the future reaches a forecast, and what comes out is what was meant."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from cello.engines import engine
from cello.errors import ArgumentError, DataError, DtypeError, ModelError, ShapeError
from cello.tasks import build_network, check_network, task_from_config
from cello.tasks.forecasting import Columns, Forecasting, Series, embedded
from cello.tasks.forecasting.backtest import shifted
from cello.tasks.forecasting.clock import Clock
from cello.tasks.forecasting.embedded import mackey_glass, sunspots
from cello.tasks.forecasting.rollout import _drawn, forecasts

H, C, T = 3, 8, 80
DAYS = Clock("seconds", 86_400)


@pytest.fixture(autouse=True)
def step_by_step_engine():
    with engine("reference"):
        yield


def waves(count: int = T, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(count, 2))
    t = np.arange(count)[:, None]
    return 5 + np.sin(2 * np.pi * t / np.array([7, 5])) * [1, 20] + 0.1 * noise


def two(values: np.ndarray | None = None, known: np.ndarray | None = None) -> list[Series]:
    values = waves() if values is None else values
    known = np.arange(T + H) % 3.0 if known is None else known
    return [
        Series(values, "a", known, "2024-01-01"),
        Series(waves(seed=1) * 100, "b", known, "2024-01-01"),
    ]


def made(series: list[Series] | None = None, **options) -> Forecasting:
    columns = Columns(("u", "v"), ("k",), "date", "shop")
    return Forecasting.from_series(
        two() if series is None else series,
        columns=columns,
        clock=DAYS,
        **{"horizon": H, "context": C, "season": 7, "windows": 4, "batch_size": 3, **options},
    )


def network(task: Forecasting, kind: str = "elman"):
    return build_network(kind, task.input_size, 5, task.output_size, numbers=True).eval()


ways = pytest.mark.parametrize("recursive", [False, True], ids=["direct", "recursive"])


# ------------------------------------------------------------ leakage


@ways
def test_a_forecast_sees_nothing_of_what_comes_after_it(recursive: bool):
    """Values after the origin, and covariates past its horizon, are changed: nothing else is."""
    task = made(recursive=recursive)
    net, origin = network(task), 40
    known = np.arange(T + H) % 3.0
    changed = waves()
    changed[origin + 1 :] += 1e3
    known[origin + 1 + H :] -= 1e3
    results = [
        forecasts(task.plan, net, [task._lay_out(one)], [(0, origin)])
        for one in (two()[0], two(changed, known)[0], two()[0].until(origin + 1))
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    known[origin + H] -= 1e3  # while what is known in advance within it does matter
    assert not torch.equal(
        results[0],
        forecasts(task.plan, net, [task._lay_out(two(changed, known)[0])], [(0, origin)]),
    )


@ways
def test_training_sees_nothing_of_what_is_held_out(recursive: bool):
    """Held-out values and covariates are changed: scales, season and batches are not."""
    held_out = 10
    values, known = waves(), np.arange(T + H) % 3.0
    values[T - 2 * held_out :] += 1e3
    known[T - 2 * held_out + H :] += 1e3
    tasks = [
        made(series, held_out=held_out, recursive=recursive)
        for series in (two(), two(values, known))
    ]
    assert tasks[0].plan == tasks[1].plan
    for one, other in zip(tasks[0].epoch(3), tasks[1].epoch(3), strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y.nan_to_num(7.0), other.y.nan_to_num(7.0))
    assert (
        Forecasting.from_series(
            [Series(values[:, 0])], horizon=H, context=C, held_out=held_out
        ).plan
        == Forecasting.from_series(
            [Series(waves()[:, 0])], horizon=H, context=C, held_out=held_out
        ).plan
    )


def test_the_backtest_of_validation_sees_nothing_of_the_test():
    values = waves()
    values[T - 10 :] += 1e3
    tasks = [made(series, held_out=10) for series in (two(), two(values))]
    net = network(tasks[0])
    results = [task.evaluate(net, "validation") for task in tasks]
    assert results[0] == results[1]
    assert tasks[0].evaluate(net, "test") != tasks[1].evaluate(net, "test")


def test_a_series_that_training_did_not_see_is_scaled_by_what_comes_first():
    task = made()
    net = network(task)
    values = waves(seed=2)
    values[20:] += 1e3
    known = np.arange(T) % 3.0
    results = []
    for later in (waves(seed=2), values):
        judged = task.on([Series(later, "c", known, "2024-01-01")])
        test = judged.backtest("test")
        assert test.origins[0] == (0, C - 1)
        results.append(judged.quantiles(net, test)[:10])
    assert np.array_equal(*results)


def test_series_to_judge_by_are_not_trained_on():
    task = made()
    later = [Series(waves(seed=2), "c", np.arange(T) % 3.0, "2024-01-01")]
    judged = task.on(later)
    assert judged.splits == ("test",)
    x, y = judged.data("test")
    assert len(x) == len(y) == T - C
    with pytest.raises(DataError, match="no training data"):
        judged.epoch(0)
    with pytest.raises(DataError, match="has no 'train' data; it has: test"):
        list(judged.data("train"))


# ------------------------------------------------------------ what is read and said


def test_inputs_and_targets_stand_where_they_are_said_to():
    values = waves()
    values[20, 1] = np.nan
    task = made(two(values), held_out=10)
    batch = task.epoch(0)[0]
    assert batch.x.shape == (C, 3, 2 + 2 + 7 + 3)  # values, mask, weekday, covariates of 3 steps
    assert batch.y.shape == (C, 3, H, 2)
    laid, scale = task._laid[0], task.plan.scales["a"]
    assert laid.x[20, :4].tolist() == [pytest.approx(scale.to_net(values[20])[0]), 0, 1, 0]
    assert laid.x[20, 4:11].argmax() == 0  # 2024-01-22 is a Monday
    assert laid.base[20, 1] == laid.y[19, 1]
    mean, std = task.plan.layout.known_mean[0], task.plan.layout.known_std[0]
    assert laid.x[20, 11:].tolist() == pytest.approx([(k - mean) / std for k in (0, 1, 2)])
    said = task._drawn._ahead[0]
    assert torch.allclose(said[30], laid.y[31:34] - laid.base[30])
    assert said[59, 1:].isnan().all()  # of what is held out, nothing is told


def test_the_loss_is_the_pinball_loss_of_what_is_known():
    task = made(held_out=10, absolute=True)
    batch = task.epoch(0)[0]
    batch.y[-1, 0] = torch.nan
    found = task.loss(lambda x, state: (torch.zeros(C, 3, task.output_size), None), batch)
    half = batch.y[C // 2 :]
    each = half.nan_to_num(0)[..., None]
    levels = torch.tensor([0.1, 0.5, 0.9])
    by_hand = torch.where(each > 0, levels * each, (levels - 1) * each).mean(-1).sum()
    assert found.total == pytest.approx(float(by_hand))
    assert found.count == int((~half.isnan()).sum())


def test_epochs_are_pure_functions_and_shared_among_processes():
    task = made(windows=7, batch_size=4)
    whole = list(task.epoch(1))
    parts = [list(task.epoch(1, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [batch.x.shape[1] for batch in whole] == [4, 3]
    for every, one, other in zip(whole, *parts, strict=True):
        assert torch.equal(every.x[:, 0::2], one.x)
        assert torch.equal(every.x[:, 1::2], other.x)
        assert every.weight == one.weight == other.weight
    assert not torch.equal(task.epoch(0)[0].x, whole[0].x)


@pytest.mark.parametrize("kind", ["elman", "jordan", "lstm", "gru"])
@ways
def test_every_kind_of_network_forecasts_both_ways(kind: str, recursive: bool):
    task = made(recursive=recursive)
    net = network(task, kind)
    check_network(task, net)
    task.loss(net, task.epoch(0)[0]).total.backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    again = task_from_config(json.loads(json.dumps(task.config())))
    assert again.plan == task.plan
    found = again.predict(net, [one.until(30) for one in two()])
    assert [one.name for one in found] == ["a", "b"]
    assert str(found[0].times[0].date()) == "2024-01-31"
    assert found[0].quantiles.shape == (H, 2, 3)
    assert (np.diff(found[0].quantiles, axis=-1) >= 0).all()


def test_a_network_that_says_nothing_new_is_the_naive_forecast():
    """With outputs of 0 each forecast is the last value known, direct and recursive alike."""
    for recursive in (False, True):
        task = made(held_out=10, recursive=recursive)
        net = network(task)
        with torch.no_grad():
            net[-1].weight.zero_()
            net[-1].bias.zero_()
        metrics = task.evaluate(net, "test")
        for name in ("mase", "smape", "nrmse"):
            assert metrics[name] == pytest.approx(metrics[f"{name}/naive"], rel=1e-4)
        test = task.backtest("test")
        near, error = shifted(test.judged(), task.quantiles(net, test)[..., 1])
        assert (near, error) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))


def test_a_recursive_forecast_hears_itself():
    """A network that says what is one above the last value goes up by one a step."""
    task = Forecasting.from_series(
        [Series(waves()[:, 0])], horizon=4, context=C, recursive=True, quantiles=[0.5]
    )
    net = network(task)
    with torch.no_grad():
        net[-1].weight.zero_()
        net[-1].bias.fill_(1.0)
    (found,) = task.predict(net, task.series)
    std = task.plan.scales[""].std[0]
    assert found.quantiles.ravel() - waves()[-1, 0] == pytest.approx(
        [std, 2 * std, 3 * std, 4 * std]
    )


def test_draws_of_a_normal_distribution_are_normal():
    levels = torch.special.ndtri(torch.tensor([[[0.1, 0.5, 0.9]]])) * 3 + 2
    noise = torch.linspace(-3, 3, 7)[:, None]
    assert torch.allclose(_drawn(levels.expand(7, 1, 3), (0.1, 0.5, 0.9), noise), noise * 3 + 2)


# ------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"clock": "daily"}, DtypeError, r"clock must be Clock\(…\), got 'daily'"),
        ({"clock": Clock("fortnight", 1)}, ArgumentError, "kind must be one of number, .*"),
        ({"clock": Clock("seconds", None)}, DtypeError, "step must be a finite number above 0"),
        ({"clock": Clock("seconds", 0)}, ArgumentError, "step must be a finite number above 0"),
        ({"clock": Clock("months", 1.5)}, ArgumentError, r"step must be whole months, got 1\.5"),
        ({"columns": ("y",)}, DtypeError, r"columns must be Columns\(…\), got \('y',\)"),
        ({"columns": Columns("y")}, DtypeError, "target must be a tuple of names, got 'y'"),
        ({"columns": Columns(("y", "z"))}, ShapeError, r"columns\.target must name as many .*, 1"),
        ({"columns": Columns(("y",), ("k",))}, ShapeError, r"columns\.known must name .* has, 0"),
        ({"start": "2024-01-31"}, DataError, "start must be a number, at steps of 1, got '2024-"),
        ({"start": None}, DataError, "start must be a number, at steps of 1, got None"),
        ({"start": "soon", "clock": DAYS}, DataError, "start must be a date .* got 'soon'"),
        ({"start": 0, "clock": DAYS}, DataError, "start must be a date .* 1 day, got 0"),
        ({"recursive": "yes"}, DtypeError, "recursive must be true or false, got 'yes'"),
        ({"absolute": 1}, DtypeError, "absolute must be true or false, got 1"),
        ({"without_calendar": None}, DtypeError, "without_calendar must be true or false"),
    ],
)  # fmt: skip
def test_what_is_no_clock_and_no_columns_is_refused(given: dict, error: type, says: str):
    given = dict(given)
    one = Series(np.sin(np.arange(60.0)), start=given.pop("start", 0))
    with pytest.raises(error, match=says):
        Forecasting.from_series(one, horizon=2, context=6, **given)


def test_mistakes_are_named():
    with pytest.raises(DataError, match="has 80 steps, which is too short: expected at least 249"):
        made(horizon=120)
    with pytest.raises(DataError, match=r"expected at least 77.*that is 60 to read \(context\)"):
        Forecasting.from_series([Series(waves(70)[:, 0])], horizon=H, context=60, held_out=8)
    with pytest.raises(ArgumentError, match="held_out must be at least the horizon, 3"):
        made(held_out=2)
    with pytest.raises(ArgumentError, match=r"quantiles must be ascending .* 0\.5 among"):
        made(quantiles=(0.1, 0.9))
    for name, value in (("held_out", "a"), ("season", 2.5), ("quantiles", 0.5), ("context", "9")):
        with pytest.raises(DtypeError, match=f"^{name} must be .*, got {value!r}"):
            made(**{name: value})
    for name, value in (("held_out", 0), ("season", 0)):
        with pytest.raises(ArgumentError, match=f"^{name} must be a whole number from 1"):
            made(**{name: value})
    with pytest.raises(DtypeError, match=r"series must be Series, got array"):
        made([waves()])
    with pytest.raises(ArgumentError, match="'a' twice"):
        made([two()[0], two()[0]])
    with pytest.warns(UserWarning, match="1 of 3 series, such as series 'c'"):
        made([*two(), Series(waves(22), "c", np.zeros(22), "2024-01-01")])
    with pytest.warns(UserWarning, match="left out: 1 of 3 series, such as series 'd'"):
        made([*two(), Series(waves(9), "d", np.zeros(9), "2024-01-01")])
    task = made()
    with pytest.raises(DataError, match="the next 3 steps of k must be known, found 1 rows"):
        task.predict(network(task), [two()[0].until(T + H - 1), Series(waves(), "a", np.zeros(81))])
    with pytest.raises(DataError, match="no 'dev' data; it has: validation, test"):
        task.evaluate(network(task), "dev")
    with pytest.raises(DataError, match="was made from a saved model"):
        task_from_config(task.config()).epoch(0)


def test_a_constant_series_has_no_mase_and_trains_all_the_same():
    with pytest.warns(UserWarning, match="1 of 1 series, such as the series, have no MASE"):
        task = Forecasting.from_series([Series(np.full(60, 3.0))], horizon=2, context=5)
    metrics = task.evaluate(network(task), "test")
    assert np.isnan(metrics["mase"])
    assert np.isfinite(metrics["loss"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"horizon": 0}, "horizon must be"),
        ({"quantiles": [0.9, 0.5]}, "quantiles must be ascending"),
        ({"clock": {"kind": "moons", "step": 1}}, "clock.kind must be one of"),
        ({"scales": {"a": {"mean": [0], "std": [1, 1], "unit": [1, 1]}}}, "mean must be"),
        ({"columns": {"target": [], "known": [], "time": None, "by": None}}, "target must be"),
        ({"more": 1}, "has no entry 'more'"),
    ],
)
def test_damaged_descriptions_are_refused(change: dict, says: str):
    config = json.loads(json.dumps(made().config()))
    config["plan"].update(change)
    with pytest.raises(ModelError, match=says):
        task_from_config(config)


# ------------------------------------------------------------ what comes along


def test_the_embedded_series():
    x = mackey_glass(200)
    assert (x.min() > 0.2, x.max() < 1.4) == (True, True)
    # One step of the equation, in steps of 0.1: computed anew from the series' own definition.
    fine = mackey_glass(30, transient=0)
    assert fine[0] == pytest.approx(
        1.2 + sum(0.1 * (0.24 / (1 + 1.2**10) - 0.1 * v) for v in _first())
    )
    assert len(sunspots()) == 309
    assert sunspots().max() == 190.2  # 1957
    task = embedded("sunspots")
    assert (task.plan.horizon, task.plan.season, task.series[0].start) == (11, 11, 1700)
    with pytest.raises(ArgumentError, match="one of mackey-glass, sunspots, got 'tides'"):
        embedded("tides")


def _first() -> list[float]:
    """The values of the first ten substeps, before each of them."""
    values = [1.2]
    for _ in range(9):
        values.append(values[-1] + 0.1 * (0.24 / (1 + 1.2**10) - 0.1 * values[-1]))
    return values
