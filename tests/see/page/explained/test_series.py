"""Series as curves, with the forecast from the step that is looked at, its bands, and what came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError
from cello.see.page.series import Outlook
from cello.tasks import Forecasting
from cello.tasks.forecasting import Columns, Series
from tests.see.page.nets import written

STEPS, AHEAD = 40, 5
LEVELS = (0.1, 0.5, 0.9)


class Forecaster(NamedTuple):
    task: Forecasting
    net: nn.Module
    series: Series
    recording: cello.Recording
    times: list[str]

    def at(self, t: int) -> np.ndarray:
        """What the task forecasts after step t, [H, D, Q]."""
        return self.task.predict(self.net, [self.series.until(t + 1)])[0].quantiles


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """One of two targets, a few of whose values are missing, which reads all that there is."""
    torch.manual_seed(1)
    t = np.arange(STEPS)
    values = np.stack([50 + 20 * np.sin(t / 3), np.cos(t / 5)], 1)
    values[7, 0] = values[11:13, 1] = np.nan
    series = Series(values)
    task = Forecasting.from_series(
        [series],
        horizon=AHEAD,
        context=20,
        columns=Columns(("y", "z")),
        quantiles=LEVELS,
        season=10,
        held_out=AHEAD,
    )
    task = Forecasting(replace(task.plan, context=STEPS))  # a page reads from the first step on
    net = cello.Stack(cello.LSTM(task.input_size, 4), nn.Linear(4, task.output_size))
    path = tmp_path_factory.mktemp("series") / "waves.csv"
    pd.DataFrame(values, columns=["y", "z"]).to_csv(path, index=False)
    with pytest.warns(UserWarning, match="3 values are empty: taken as missing"):
        ((times, x, _, series),) = task.given(path)
    with torch.no_grad():
        recording = cello.record(net, x.unsqueeze(1))
    return Forecaster(task, net, series, recording, times)


@pytest.fixture
def page(forecaster: Forecaster, watched: Callable, tmp_path: Path):
    outlook = Outlook.of(forecaster.task, forecaster.series)
    path = forecaster.recording.to_html(
        tmp_path / "page.html", forecaster.times, title="waves", forecast=outlook
    )
    opened = watched(path)
    opened.until("explorer.state.outlooks?.[0] && !explorer.state.changed.size")
    opened.path = path
    return opened


FORECAST = "const all = s.outlooks[0].from({t}, {d}); return all;"


def test_an_outlook_must_make_sense(forecaster: Forecaster, tmp_path: Path):
    with pytest.raises(ArgumentError, match="targets must be names, got 'sales'"):
        Outlook("sales")
    with pytest.raises(ArgumentError, match="quantiles must be ascending numbers between 0 and 1"):
        Outlook(["sales"], (0.9, 0.5))
    with pytest.raises(ArgumentError, match="means must be 1 finite numbers"):
        Outlook(["sales"], means=[0.0, 1.0])
    record, path = forecaster.recording, tmp_path / "page.html"
    with pytest.raises(ArgumentError, match="must have an entry for each of the 1 sequences"):
        record.to_html(path, forecast=[None, None])
    with pytest.raises(ArgumentError, match=r"a multiple of 14 numbers .* gives 30"):
        record.to_html(path, forecast=Outlook(list("abcdefg"), (0.4, 0.5)))
    with pytest.raises(ArgumentError, match="must have read 5 numbers or more"):
        record.to_html(path, forecast=Outlook(list("abcde")))
    alone = cello.record(cello.Recurrent(cello.GRUCell(2, 3)), torch.zeros(4, 1, 2))
    with pytest.raises(ArgumentError, match="no output of its own at each step"):
        alone.to_html(path, forecast=Outlook(["y"]))
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_forecast_is_that_of_the_task(forecaster: Forecaster, page):
    measured = page.call("return Array.from(s.outlooks[0].data, (n) => n === n ? n : null);")
    known = np.array([np.nan if n is None else n for n in measured]).reshape(STEPS, 2)
    np.testing.assert_allclose(known, forecaster.series.values, rtol=1e-5, atol=1e-5)
    for t in (7, 12, 20, STEPS - 1):
        want = forecaster.at(t)
        for d in range(2):
            said = page.call(FORECAST.format(t=t, d=d))
            np.testing.assert_allclose(said, want[:, d], rtol=1e-4, atol=1e-4)
    page.call("e.go(20)")
    page.until("document.querySelector('.outlook').textContent.includes('from 20 on')")
    told = page.text(".outlook")
    assert told.startswith("the net forecasts, from 20 on")
    one, last = forecaster.at(20)[[0, -1], 0]
    assert (
        f"21: y {written(one[1], 4)} ({written(one[0], 4)} to {written(one[2], 4)} in 80 %)" in told
    )
    assert f"{20 + AHEAD}: y {written(last[1], 4)}" in told
    assert f"it was {written(forecaster.series.values[21, 0], 4)}" in told
    page.call("e.go(Infinity)")
    page.until(f"document.body.textContent.includes('from {STEPS - 1} on')")
    assert "it was" not in page.text(".outlook")


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_bands_and_curves_are_drawn_and_follow_the_step(page):
    drawn = """const look = () => e.scene.outlook.canvas.toDataURL();
        e.go(10); await new Promise((next) => setTimeout(next, 100)); const one = look();
        e.go(25); await new Promise((next) => setTimeout(next, 100)); return one !== look();"""
    assert page.call(drawn)
    inside = """const [shown] = s.outlooks, c = e.scene.outlook.canvas, d = 0, t = s.t;
        const [low, high] = shown.range(d), step = Math.ceil(shown.ahead / 2);
        const [least, , most] = shown.at(t, step, d);
        const y = e.scene.outlook.height(d), x = (t + step + 0.5 - s.left) * s.zoom;
        const ratio = devicePixelRatio, at = (number) => Array.from(picture(c).getImageData(
          Math.round(x * ratio), Math.round(y(number) * ratio), 1, 1).data);
        return [at(least + (most - least) / 4), at(most + (most - least) / 2)];"""
    band, outside = page.call(inside)
    assert band[3] > 0
    assert band != outside
    assert page.state("zoom") * (STEPS + AHEAD) <= page.state("width") + 1  # all of it in sight
    assert page.page.locator(".text").first.is_hidden()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_number_that_is_changed_changes_the_forecast(forecaster: Forecaster, page):
    page.call("e.go(20)")
    page.until("document.querySelector('[data-key=x0]')")
    page.page.locator("[data-key=x0]").fill("90")
    page.page.locator("[data-key=x0]").press("Enter")
    page.until("explorer.state.outlooks?.[1] && !explorer.state.changed.size")
    values = forecaster.series.values.copy()
    values[20, 0] = 90
    want = forecaster._replace(series=Series(values)).at(24)
    np.testing.assert_allclose(page.call(FORECAST.format(t=24, d=0)), want[:, 0], rtol=1e-4)
    old = page.call("return s.outlooks[1].from(24, 0);")
    np.testing.assert_allclose(old, forecaster.at(24)[:, 0], rtol=1e-4)
    # Drawn by hand, a stretch of a series goes where the pointer goes.
    page.call("s.set({ drawing: true })")
    box = page.page.locator(".series canvas").bounding_box()
    x = box["x"] + (10.5 - page.state("left")) * page.state("zoom")
    page.page.mouse.move(x, box["y"] + 40)
    page.page.mouse.down()
    page.page.mouse.move(x + 2 * page.state("zoom"), box["y"] + 60, steps=4)
    page.page.mouse.up()
    page.until("!explorer.state.changed.size && whatif.any && !whatif.busy")
    moved = page.call(
        "return Array.from({ length: 3 }, (_, i) => s.outlooks[0].data[2 * (10 + i)]);"
    )
    assert not np.isclose(moved, forecaster.series.values[10:13, 0]).any()
    page.shot()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everyone_can_use_it_on_a_small_screen(page, watched: Callable, theme: str):
    small = watched(page.path, viewport={"width": 320, "height": 700}, color_scheme=theme)
    small.until("explorer.state.outlooks?.[0] && !explorer.state.changed.size")
    assert small.page.evaluate("document.documentElement.scrollWidth") == 320
    assert small.page.locator(".series canvas").bounding_box()["width"] > 250
    assert small.barriers() == []
    small.shot(theme)


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_series_and_outputs_have_names(forecaster: Forecaster, watched: Callable, tmp_path: Path):
    x = torch.stack([forecaster.task.given_text(text)[0].x for text in two_tables(forecaster)], 1)
    with torch.no_grad():
        rec = cello.record(forecaster.net, x)
    outlook = Outlook.of(forecaster.task, forecaster.series)
    both = [replace(outlook, name=name) for name in ("Upper mill", "Harbour")]
    page = watched(rec.to_html(tmp_path / "page.html", forecast=both))
    options = page.page.locator("[data-control=sequence] option")
    assert options.all_inner_texts() == ["Upper mill", "Harbour"]
    names = page.page.locator(".shares select option").all_inner_texts()
    assert names[:4] == [
        "y 1 step ahead 10 %", "y 1 step ahead 50 %", "y 1 step ahead 90 %", "z 1 step ahead 10 %",
    ]  # fmt: skip
    assert names[-1] == f"z {AHEAD} steps ahead 90 %"
    assert len(names) == 2 * 3 * AHEAD


def two_tables(forecaster: Forecaster) -> list[str]:
    """The series as CSV, and another one."""
    tables = (forecaster.series.values, 2 * forecaster.series.values)
    return [pd.DataFrame(np.nan_to_num(v), columns=["y", "z"]).to_csv(index=False) for v in tables]
