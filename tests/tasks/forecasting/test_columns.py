"""Tables as series at regular steps, and what is said where they are none."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from cello.errors import ArgumentError, DataError, ShapeError
from cello.tasks.forecasting import Forecasting
from cello.tasks.forecasting.clock import Clock, season_of
from cello.tasks.forecasting.columns import Columns, read_series, time_column, with_times
from cello.tasks.forecasting.dates import joined_name, with_joined
from cello.tasks.forecasting.series import Series
from cello.tasks.readers.tables import read_table
from tests.tasks.forecasting.frames import read, table


@pytest.mark.parametrize(
    ("times", "kind", "step", "season"),
    [
        (pd.date_range("2024-01-01", periods=9, freq="D").astype(str), "seconds", 86_400, 7),
        (pd.date_range("2024-01-01", periods=9, freq="h"), "seconds", 3_600, 24),
        (pd.date_range("2024-01-31", periods=9, freq="ME").astype(str), "month ends", 1, 12),
        (
            pd.date_range("2019-02-01", periods=9, freq="MS") + pd.Timedelta(days=27),
            "months",
            1,
            12,
        ),
        (pd.date_range("2026-01-01", periods=9, freq="10ms"), "seconds", 0.01, 8_640_000),
        (pd.date_range("2024-01-15", periods=9, freq="90D"), "seconds", 90 * 86_400, None),
        (pd.date_range("2020-01-01", periods=9, freq="QS"), "months", 3, 4),
        (pd.date_range("2024-01-01", periods=9, freq="B"), "business", 1, 5),
        (pd.date_range("2024-01-01", periods=9, freq="2B").astype(str), "business", 2, None),
        (pd.date_range("2024-01-01", periods=9, freq="B", tz="Asia/Tokyo"), "business", 1, 5),
        (pd.date_range("2024-01-01", periods=9, freq="5B"), "seconds", 7 * 86_400, 52),
        (range(1700, 1709), "number", 1, None),
    ],
)
def test_steps_are_recognised_and_go_on(times, kind, step, season):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (one,), clock = read(table(times))
    assert clock == Clock(kind, step)
    assert season_of(clock) == season
    assert one.values.ravel().tolist() == list(range(1, 10))
    every = clock.times(one.start, 9)
    assert [str(t) for t in every] == [str(t) for t in pd.Series(times)] or list(every) == list(
        pd.to_datetime(pd.Series(times))
    )


def test_a_time_column_with_an_empty_cell_gives_way_to_no_other():
    frame = table(["2024-01-01", None]).assign(updated=["2025-01-01", "2025-01-02"])
    with pytest.raises(DataError, match="column date, row 2: expected a time, found nothing"):
        time_column(frame, ("y",), "t.csv")


def test_columns_that_tell_a_time_together_are_all_to_be_named():
    frame = table(["2024-01-01", "2024-01-01"], Time=["9:30", "10:30"])
    with pytest.raises(DataError, match=r"date 2024.* name all \(--time date --time Time\)"):
        read(frame)
    hours = table(["2024-01-01", "2024-01-01"], hr=[0, 1], humidity=[3, 4])
    with pytest.raises(DataError, match=r"name all \(--time date --time hr\)"):
        read(hours)
    shops = table(["2024-01-01", "2024-01-02"] * 2, shop=[*"aabb"], opens=["9:00"] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(shops, by="shop")[0]) == 2  # each date once in each: opens is no part of it


def test_gaps_and_empty_values_are_missing_and_said():
    days = ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06"]
    with pytest.warns(UserWarning, match="2 steps have no row and 1 value is empty"):
        (one,), _ = read(table(days, [1, None, 5, 6]))
    assert np.isnan(one.values.ravel()).tolist() == [False, True, True, True, False, False]


def test_rows_out_of_order_are_sorted_and_it_is_said():
    with pytest.warns(UserWarning, match="not in the order of date"):
        (one,), _ = read(table(["2024-01-03", "2024-01-01", "2024-01-02"], [3, 1, 2]))
    assert one.values.ravel().tolist() == [1, 2, 3]


def test_several_series_and_the_future_of_covariates():
    frame = table(
        ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-02", "2024-01-03"],
        [1, 2, None, 20, 30],
        shop=["a", "a", "a", "b", "b"],
        price=[1, 1, 2, 3, 3],
    )
    a, b = read(frame, by="shop", known=("price",))[0]
    assert (a.name, len(a), a.known.ravel().tolist()) == ("a", 2, [1, 1, 2])
    assert (b.name, b.values.ravel().tolist(), b.start[:10]) == ("b", [20, 30], "2024-01-02")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (table(["2024-01-01", "2024-01-01"]), "stands twice, in rows 1 and 2: if the table holds"),
        (table(["2024-01-01", "soon"]), "row 2: expected a date such as 2024-01-31.*'soon'"),
        (table(["2024-01-01", "2024-01-02"], ["1", "n/k"]), "column y, row 2: expected a number"),
        (table(["2024-01-01", "2024-01-02"], [1, np.inf]), "row 2: expected a number, found"),
        (table(["2024-01-01", None]), "row 2: expected a time, found nothing"),
        (table(["2024-01-01"]), "expected at least 2 times"),
        (table(["2024-01-01", "2024-01-02"], [None, None]), "no value of y"),
        (table([]), "holds no rows"),
        (
            table(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 02:10"]),
            "comes 2.16667 steps after .*expected one frequency",
        ),
        (
            table([*pd.date_range("2024-01-01", periods=5), "2024-02-01"]),
            "are missing from .*expected one frequency",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_a_table_are_named(frame: pd.DataFrame, says: str):
    with pytest.raises(DataError, match=says):
        read(frame)


def test_mistakes_in_names():
    frame = table(["2024-01-01", "2024-01-02"])
    with pytest.raises(ArgumentError, match=r"no column 'Y'; it has 'date, y'; is it 'y'\?"):
        read_series(frame, Columns(("Y",)), "t.csv")
    with pytest.raises(ArgumentError, match="no column 'z'; it has 'date, y'"):
        read_series(frame, Columns(("z",)), "t.csv")
    with pytest.raises(ArgumentError, match="'y' is asked for twice"):
        read(frame, known=("y",))
    with pytest.raises(DataError, match="names no series"):
        read(table(["2024-01-01", "2024-01-02"], shop=["a", None]), by="shop")


PARTS = pd.DataFrame({"Year": [2024, 2024], "Month": [1, 1], "day": [31, 31], "hour": [22, 23]})


@pytest.mark.parametrize(
    ("frame", "names", "start", "step"),
    [
        (table(["31/01/2024"] * 2, at=["9:30", "10:00"]), ["date", "at"], "09:30", 1800),
        (table(["31.01.2024"] * 2, at=["18.00.00", "19.00.00"]), ["date", "at"], "18:00", 3600),
        (table(["2024-01-31"] * 2, hr=[0, 1]), ["date", "hr"], "00:00", 3600),
        (PARTS.assign(y=[1, 2]), ["Year", "Month", "day", "hour"], "22:00", 3600),
    ],
)
def test_columns_that_tell_a_time_together(frame, names, start, step):
    (one,), clock = read(frame, time=joined_name(names))
    assert (one.start, clock) == (f"2024-01-31T{start}:00", Clock("seconds", step))


def test_fractions_of_seconds_keep_their_point():
    joined = with_joined(
        table(["31/01/2024"], at=["9:30:15.500"]), joined_name(["date", "at"]), "t"
    )
    assert joined["date + at"].tolist() == ["31/01/2024 9:30:15.500"]


def test_a_file_with_a_date_and_a_time_of_day_is_read_again_as_in_training(tmp_path):
    times = pd.date_range("2024-01-13", periods=40, freq="h")
    frame = pd.DataFrame(
        {"date": times.strftime("%d/%m/%Y"), "at": times.strftime("%H:%M"), "y": np.arange(40.0)}
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    task = Forecasting.from_table(
        tmp_path / "a.csv", "y", time=["date", "at"], horizon=2, context=4, held_out=4
    )
    again = Forecasting.from_config(task.config())
    (one,) = again.read(tmp_path / "a.csv")
    assert (one.start, len(one)) == ("2024-01-13T00:00:00", 40)
    (one,) = again.given_text(again.text_of(tmp_path / "a.csv"))
    assert one.tokens[:2] == ["2024-01-13 00:00:00", "2024-01-13 01:00:00"]
    with pytest.raises(ArgumentError, match="has no column 'when'; it has 'date, at, y'"):
        read(frame, time="date + when")
    with pytest.raises(ArgumentError, match=r"time must be a column of dates .* got 'at, date'"):
        read(frame, time="at + date")
    hours = frame.assign(hr=range(1, 41))
    with pytest.raises(ArgumentError, match=r"or of hours from 0 to 23, .* got 'date, hr'"):
        read(hours, time="date + hr")
    for name, column in (("at", frame["at"]), ("hr", times.hour)):
        gap = frame.assign(**{name: pd.Series(column).where(frame.index != 3)})
        with pytest.raises(
            DataError, match=rf"date . {name}, row 4: expected a time, found nothin"
        ):
            read(gap, time=f"date + {name}")


def test_months_by_name():
    frame = pd.DataFrame({"year": [1949] * 3, "month": ["Jan", "february", "MAR"], "y": [1, 2, 3]})
    (one,), clock = read(frame, time="year + month")
    assert (one.start[:10], str(clock), len(one)) == ("1949-01-01", "1 month", 3)
    frame.loc[1, "month"] = "spring"
    with pytest.raises(DataError, match=r"year, month, row 2: .* 2024, 1, found '1949, spring'"):
        read(frame, time="year + month")


def test_a_clock_that_was_put_back():
    times = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    with pytest.raises(DataError, match=r"02:00:00 stands twice.* if the clock was put back there"):
        read(table(times))


def test_which_column_holds_the_times():
    days = pd.date_range("2024-01-01", periods=3)
    assert (
        time_column(pd.DataFrame({"y": [1, 2, 3], "when": days.astype(str)}), ["y"], "t") == "when"
    )
    assert time_column(pd.DataFrame({"y": [1, 2, 3], "Year": [1, 2, 3]}), ["y"], "t") == "Year"
    assert time_column(pd.DataFrame({"y": [1, 2, 3], "word": list("abc")}), ["y"], "t") is None
    zoned = pd.DataFrame({"date": days.tz_localize("UTC"), "y": [1, 2, 3]})
    assert read(zoned)[0][0].start == "2024-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("dates", "says"),
    [
        (["01/02/2023", "13/02/2023", "02/14/2023"], "row 2: expected a date"),
        (["2023-02-27", "2023-02-31", "2023-03-01"], "row 2: expected a date"),
        (["2023-02-27", None, "2023-03-01"], "row 2: expected a time, found nothing"),
        (["2023-02-27", "2023-02-28", "Total"], "row 3: expected a date"),
        (
            ["1-01", "1-02", "1-03"],
            "row 1: expected a date.*: where none is called so, rows are steps",
        ),
    ],
)
def test_a_column_that_is_called_so_must_hold_times(dates, says):
    frame = pd.DataFrame({"Date": dates, "y": [1, 2, 3]})
    with pytest.raises(DataError, match=f"column Date, {says}"):
        time_column(frame, ["y"], "t.csv")


def test_long_series_of_short_steps_stay_regular():
    times = pd.date_range("2026-01-01", periods=3000, freq="10ms")
    (one,), clock = read(table([str(time) for time in times]))
    assert (len(one), clock) == (3000, Clock("seconds", 0.01))
    assert (clock.times(one.start, 3001)[:-1] == times).all()


def test_times_in_the_index():
    days = pd.date_range("2024-01-01", periods=3)
    for index in (days, days.to_period("D")):
        found = with_times(pd.DataFrame({"y": [1, 2, 3]}, index=index))
        assert time_column(found, ["y"], "t") == "time"
        (one,), clock = read(found, time="time")
        assert (one.start, clock) == ("2024-01-01T00:00:00", Clock("seconds", 86_400))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("date;y\n2024-01-01;1,5\n2024-01-02;2,5\n", [1.5, 2.5]),
        ("\ufeffdate;y\n13.01.2024;1.000,5\n14.01.2024;-999,5\n;\n;\n", [1000.5, -999.5]),
        ("date;y;of\n2024-01-01;1.234;0,5\n2024-01-02;12.345.678;1\n", [1234, 12_345_678]),
        ("date;y\n2024-01-01;1.234\n2024-01-02;2.5\n", [1.234, 2.5]),
        ('date;"y";"a,b"\n2024-01-01;1;2,5\n2024-01-02;2;3\n', [1, 2]),
        ("date\ty\n2024-01-01\t1.5\n2024-01-02\t2.5\n", [1.5, 2.5]),
    ],
)
def test_numbers_of_spreadsheets(tmp_path, text: str, found: list[float]):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read(read_table(tmp_path / "a.csv"))[0][0].values.ravel().tolist() == found


def test_texts_stay_beside_decimal_commas(tmp_path):
    text = "id;date;y;word\n1,5;2024-01-13;1.000,5;a,b\n007;2024-01-14;;1.5.\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    found = read_table(tmp_path / "a.csv", as_texts=["id"])
    assert found["id"].tolist() == ["1,5", "007"]
    assert found["word"].tolist() == ["a,b", "1.5."]
    assert read_table(tmp_path / "a.csv", as_texts=True)["y"][0] == "1000.5"


@pytest.mark.parametrize(
    "text",
    [
        "date;y;z\n2024-01-01;1,5;0.5\n2024-01-02;2,5;1\n",  # either may be the decimal sign
        'date,y\n2024-01-01,"1,5"\n2024-01-02,2\n',
        'date,y\n2024-01-01,"1,000"\n2024-01-02,2\n',
    ],
)
def test_numbers_that_may_be_read_in_two_ways_are_refused(tmp_path, text: str):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"y, row 1: expected a number.*; numbers are written as 1"):
        read(read_table(tmp_path / "a.csv"))


def test_a_word_among_decimal_commas_is_named(tmp_path):
    text = "date;y\n13.01.2024;1.000,5\n14.01.2024;k.A.\n15.01.2024;7\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError, match=r"y, row 2: expected a number, found 'k.A.' \(1 of 3 rows\)"
    ):
        read(read_table(tmp_path / "a.csv"))


def test_covariates_of_words_are_refused_with_what_to_do():
    frame = table(["2024-01-01", "2024-01-02"], weather=["rain, snow", "sun"])
    with pytest.raises(DataError, match=r"row 1: .*; words become columns of 0 and 1, one for e"):
        read(frame, known=("weather",))


def test_tables_in_utf_16(tmp_path):
    (tmp_path / "a.csv").write_text("date\tstück\n2024-01-01\t1\n", encoding="utf-16")
    (tmp_path / "a.jsonl").write_text('{"stück": 1}\n', encoding="utf-16")
    for name in ("a.csv", "a.jsonl"):
        assert read_table(tmp_path / name)["stück"].tolist() == [1]


def test_tables_of_spreadsheets(tmp_path):
    (tmp_path / "b.csv").write_bytes("date,stück\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not written in UTF-8"):
        read_table(tmp_path / "b.csv")
    twice = pd.DataFrame([["2024-01-01", 1, 2]], columns=["date", "y", "y"])
    with pytest.raises(ArgumentError, match="several columns that are called 'y'"):
        read(twice)


def test_rows_as_steps_are_said():
    frame = pd.DataFrame({"y": np.sin(np.arange(90.0))})
    with pytest.warns(UserWarning, match="no column of times: rows are taken as steps"):
        Forecasting.from_table(frame, "y", horizon=2, context=6)


def test_times_are_written_as_they_are_read():
    """Midnight among other hours too: a column of dates and of times is none for many readers."""
    hours = Clock("seconds", 3_600)
    texts = hours.written(hours.times("2024-01-31 22:00", 4))
    assert texts[1:3] == ["2024-01-31 23:00:00", "2024-02-01 00:00:00"]
    (one,), clock = read(table(texts))
    assert (clock, one.start) == (hours, "2024-01-31T22:00:00")
    mixed = ["2024-01-31 23:00", "2024-02-01", "2024-02-01 01:00"]
    assert read(table(mixed))[1] == hours
    assert [str(Clock("seconds", s)) for s in (60, 86_400, 172_800, 5_400, 0.5)] == [
        "1 minute", "1 day", "2 days", "90 minutes", "0.5 seconds",
    ]  # fmt: skip


def test_times_of_another_kind_than_in_training_are_refused():
    days = table(["2024-01-01", "2024-01-02"])
    with pytest.raises(DataError, match="date holds dates, that of the training data numbers"):
        read_series(days, Columns(("y",), time="date"), "t.csv", Clock("number", 1))
    with pytest.raises(DataError, match=r"date holds numbers, that of .* dates, at steps of 1 mo"):
        read_series(table([1, 2]), Columns(("y",), time="date"), "t.csv", Clock("months", 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as counted in training: no months
        read_series(
            table([201501, 201502]), Columns(("y",), time="date"), "t.csv", Clock("number", 1)
        )


def test_files(tmp_path):
    frame = table(["2024-01-01", "2024-01-02"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert read_table(tmp_path / name)["y"].tolist() == [1, 2]
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"c\.csv: is no table"):
        read_table(tmp_path / "c.csv")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.json", r"in a file that ends with \.jsonl"),
        ("a.xlsx", "save the sheet as CSV"),
        ("a.CSV.GZ", "unpack it first"),
    ],
)
def test_files_that_are_no_tables_of_ours(tmp_path, name: str, says: str):
    (tmp_path / name).write_bytes(b"[{}]")
    with pytest.raises(DataError, match=f"is no CSV, TSV, JSON Lines or Parquet: .*{says}"):
        read_table(tmp_path / name)


def test_series_of_wrong_shape():
    with pytest.raises(ShapeError, match="values \\[T, D\\]"):
        Series(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match="holds no value"):
        Series([np.nan])
    with pytest.raises(DataError, match="infinite"):
        Series([1.0, np.inf])
