"""`cello train forecast`, and what other commands make of such a model."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cello.cli.answers.forecasts import findings
from cello.cli.inputs import labels_of
from cello.cli.models import open_model
from cello.engines import engine
from tests.cli.running import run, run_json

DAYS, H, C = 90, 4, 10
SMALL = (
    "--horizon", H, "--context", C, "--hidden-size", 4, "--windows", 64, "--network", "elman",
    "--quiet", "--accelerator", "cpu",
)  # fmt: skip


def sales(days: int = DAYS) -> pd.DataFrame:
    t = np.arange(days)
    table = {
        "date": pd.date_range("2024-01-01", periods=days).astype(str),
        "sales": 10 + 3 * np.sin(2 * np.pi * t / 7) + t / 20,
        "open": (t % 7 != 6).astype(int),
    }
    return pd.DataFrame(table)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "sales.csv"
    sales().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(file: Path) -> Path:
    """Trained for an epoch."""
    out = file.parent / "model"
    words = ("--train", file, "--target", "sales", *SMALL, "--epochs", 1, "-o", out)
    with engine("reference"):  # no loop is worth compiling for an epoch
        run("train", "forecast", *words)
    return out


def test_a_run_ends_with_the_baselines_beside_it_and_goes_on(model: Path):
    shown = run("train", "forecast", "-o", model, "--resume", "--epochs", 2, "--quiet").stdout
    for line in ("the network", "naive", "seasonal naive", "drift"):
        assert f"test        {line}" in shown
    assert "mase" in shown
    assert "coverage" in shown
    assert "of epoch" in shown
    assert "forecasts 4 steps of sales from 10 before" in run("show", model).stdout


def test_forecasts_are_written_as_the_next_rows_of_the_table(model: Path, file: Path):
    rows = list(csv.DictReader(io.StringIO(run("predict", model, file).stdout)))
    assert list(rows[0]) == ["date", "sales", "sales_0.1", "sales_0.9"]
    assert [row["date"] for row in rows] == [f"2024-03-{day}" for day in (31,)] + [
        f"2024-04-0{day}" for day in (1, 2, 3)
    ]
    for row in rows:
        assert float(row["sales_0.1"]) <= float(row["sales"]) <= float(row["sales_0.9"])
    told = run_json("predict", model, "-", stdin=file.read_text())
    assert [str(row["sales"]) for row in told] == [row["sales"] for row in rows]


def test_a_picture_of_the_forecasts(model: Path, file: Path, tmp_path: Path):
    run("predict", model, file, "--plot", tmp_path / "next.svg")
    assert "<svg" in (tmp_path / "next.svg").read_text()
    stderr = run("predict", model, file, "--plot", tmp_path / "next.txt", code=2).stderr
    assert "plot must end in .svg, .png or .pdf" in stderr
    stderr = run("predict", model, file, "--plot", tmp_path / "no" / "next.svg", code=2).stderr
    assert "plot cannot be written" in stderr


def test_times_come_out_in_their_zone(model: Path, tmp_path: Path):
    table = sales()
    table["date"] += "T00:00:00+02:00"
    table.to_csv(tmp_path / "zoned.csv", index=False)
    made = run("predict", model, tmp_path / "zoned.csv", "--plot", tmp_path / "next.svg")
    rows = list(csv.DictReader(io.StringIO(made.stdout)))
    assert [row["date"] for row in rows][:2] == [
        "2024-03-31 00:00:00+02:00", "2024-04-01 00:00:00+02:00",
    ]  # fmt: skip
    assert "UTC+02:00" in (tmp_path / "next.svg").read_text()


def test_a_file_is_judged_and_looked_at(model: Path, file: Path, tmp_path: Path):
    data = run_json("evaluate", model, file)["metrics"]
    assert data["mase"] > 0
    assert data["mase/naive"] > data["mase/seasonal_naive"]
    assert "the network" in run("evaluate", model, file).stdout
    diagnosed = run_json("diagnose", model, file)
    assert diagnosed["seen"] == "90 steps of 1 sequence"
    assert run_json("record", model, file)["values"].keys() >= {"0.h"}
    run("record", model, file, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "2024-03-30" in page
    assert "A recurrent network that forecasts sales: 4 steps from the 10 before." in page
    assert labels_of(open_model(model)) is None  # the page would take forecasts for odds


def test_the_forecast_that_is_the_input_shifted(model: Path, tmp_path: Path):
    """A random walk, and a network that says that nothing changes."""
    opened = open_model(model)
    walk = sales().assign(sales=np.random.default_rng(0).normal(size=DAYS).cumsum())
    walk.to_csv(tmp_path / "walk.csv", index=False)
    for parameter in opened.net[-1].parameters():
        parameter.detach().zero_()
    (found,) = findings(opened.task, opened.net, opened.task.read(tmp_path / "walk.csv"))
    assert found.kind == "the forecast is the input, shifted"
    assert "it is 0% as far from the last value known as the truth is" in found.evidence
    assert "100% as far from the truth as that value" in found.evidence
    good = open_model(model)
    # One that goes elsewhere is no copy of its input, however wrong.
    for parameter in good.net[-1].parameters():
        parameter.detach().fill_(1.0)
    assert findings(good.task, good.net, good.task.read(tmp_path / "walk.csv")) == []


def test_what_a_file_lacks_is_said_once(model: Path, tmp_path: Path):
    sales().drop(index=40).to_csv(tmp_path / "gap.csv", index=False)
    with pytest.warns(UserWarning, match="1 step has no row: taken as missing") as said:
        run("diagnose", model, tmp_path / "gap.csv")
    assert len(said) == 1


def test_a_page_begins_with_a_table_that_the_network_reads(model: Path, file: Path):
    from cello.cli.commands.explore import _given, _reader

    opened = open_model(model)
    for text in (_given(opened, None), _given(opened, str(file))):
        ((tokens, x, _, outlook),) = _reader(opened)(text)
        assert len(tokens) == len(x)
        assert x.shape[1:] == (1, opened.task.input_size)
        assert text.startswith("date,sales\n")
        assert outlook.targets == ("sales",)
        assert len(outlook.times) == opened.task.plan.horizon


def test_several_series_in_parquet_with_what_is_known(tmp_path: Path):
    shops = pd.concat(
        [sales().assign(shop="a"), sales(80).assign(shop="b", sales=lambda t: -t.sales)]
    )
    shops.loc[shops.shop.eq("b") & (shops.date >= "2024-03-15"), "sales"] = math.nan
    shops.to_parquet(tmp_path / "shops.parquet")
    run(
        "train", "forecast", "--train", tmp_path / "shops.parquet", "--target", "sales",
        "--by", "shop", "--known", "open", "--recursive", "--quantiles", 0.5, *SMALL,
        "--epochs", 1, "-o", tmp_path / "model",
    )  # fmt: skip
    stderr = run("predict", tmp_path / "model", tmp_path / "shops.parquet", code=2).stderr
    assert "series 'a': the next 4 steps of open must be known, found 0 rows after" in stderr
    future = pd.DataFrame(
        {"date": pd.date_range("2024-03-31", periods=H).astype(str), "open": 1, "shop": "a"}
    )
    pd.concat([shops, future]).to_csv(tmp_path / "more.csv", index=False)
    rows = list(
        csv.DictReader(
            io.StringIO(run("predict", tmp_path / "model", tmp_path / "more.csv").stdout)
        )
    )
    assert [(row["shop"], row["date"]) for row in rows[::H]] == [
        ("a", "2024-03-31"),
        ("b", "2024-03-15"),
    ]


def test_what_comes_along(tmp_path: Path):
    run("train", "forecast", "--embedded", "sunspots", *SMALL, "--epochs", 1, "-o", tmp_path / "m")
    (tmp_path / "few.csv").write_text("year,sunspots\n2001,111\n2002,104\n2003,63.7\n")
    rows = list(
        csv.DictReader(io.StringIO(run("predict", tmp_path / "m", tmp_path / "few.csv").stdout))
    )
    assert [row["year"] for row in rows] == ["2004", "2005", "2006", "2007"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--target", "sales"), "--target needs --train FILE"),
        (("--train", "FILE"), "--target is missing: the column to forecast"),
        (("--train", "FILE", "--target", "sales"), "--horizon is missing"),
        (("--train", "FILE", "--target", "sales", "--horizon", 3), "--context is missing"),
        (("--train", "FILE", "--target", "prise", *SMALL), "has no column 'prise'; it has 'da"),
        (("--train", "FILE", "--target", "date", *SMALL), "column date, row 1: expected a number"),
        (("--train", "FILE", "--target", "sales", *SMALL, "--horizon", 40), "is too short"),
        (("--train", "FILE", "--target", "sales", *SMALL, "--quantiles", 2), "quantiles must be"),
        (("--train", "FILE", "--embedded", "sunspots"), "--embedded is for the data that come"),
        (("--train", "none.csv", "--target", "y", *SMALL), "none.csv: no such file"),
    ],
)  # fmt: skip
def test_mistakes(words: tuple, says: str, file: Path, tmp_path: Path):
    words = tuple(file if word == "FILE" else word for word in words)
    assert says in run("train", "forecast", *words, "-o", tmp_path / "model", code=2).stderr
    assert not (tmp_path / "model").exists()
