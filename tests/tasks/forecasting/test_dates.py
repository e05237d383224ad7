"""Dates in the forms that files have, and what is said where one is none."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from cello.errors import DataError
from cello.tasks.forecasting.clock import Clock
from cello.tasks.forecasting.columns import time_column
from tests.tasks.forecasting.frames import read, table


def test_dates_that_are_written_as_numbers_are_read_as_dates_and_it_is_said():
    with pytest.warns(UserWarning, match="of date, such as 20240130, are read as dates"):
        (one,), clock = read(table([20240130, 20240131, 20240201]))
    assert (str(clock), one.values.ravel().tolist()) == ("1 day", [1, 2, 3])
    with pytest.warns(UserWarning, match="of date, such as 20240131, are read as such"):  # no dates
        assert read(table([20240131, 20240132, 20240133]))[1] == Clock("number", 1)


def test_months_that_are_written_as_numbers_are_read_as_months_and_it_is_said():
    with pytest.warns(UserWarning, match="of date, such as 201511, are read as months"):
        (one,), clock = read(table([201511, 201512, 201601]))
    assert (str(clock), one.start[:10], len(one)) == ("1 month", "2015-11-01", 3)
    with pytest.warns(UserWarning, match="of date, such as 201511, are read as such"):  # no months
        assert read(table([201511, 201512, 201513]))[1] == Clock("number", 1)


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-0330"])
def test_times_go_on_in_their_zone(zone: str):
    times = [f"2024-01-01T{hour:02}:00{zone}" for hour in range(22, 24)]
    (one,), clock = read(table(times))
    after = pd.Timestamp(times[-1]) + pd.Timedelta(hours=1)
    assert clock.written(clock.times(one.start, 3)[2:]) == [str(after).replace("Z", "+00:00")]


def test_numbers_for_dates_are_said_to_be_read_as_numbers():
    with pytest.warns(
        UserWarning, match="of date, such as 45292, are read as such, and tell of no"
    ):
        _, clock = read(table(range(45292, 45301)))  # days since 1900, as spreadsheets have them
    assert clock == Clock("number", 1)


def test_a_clock_shows_the_times_of_its_zone():
    hours = pd.date_range("2024-01-10 22:00", periods=4, freq="h", tz="Europe/Berlin")
    for times in (hours, [time.isoformat() for time in hours]):
        assert read(table(times))[0][0].start == "2024-01-10T22:00:00+01:00"
    days = pd.date_range("2024-03-28", periods=6, tz="Europe/Berlin")  # the clock is changed within
    (one,), clock = read(table([time.isoformat() for time in days]))
    assert (one.start, clock) == ("2024-03-28T00:00:00", Clock("seconds", 86_400))
    night = pd.date_range("2024-10-26 22:00", periods=9, freq="h", tz="Europe/Berlin")
    with pytest.warns(UserWarning, match="taken in UTC"):
        (one,), clock = read(table(night))
    assert (one.start, clock) == ("2024-10-26T20:00:00+00:00", Clock("seconds", 3_600))


@pytest.mark.parametrize("sign", ["/", ".", "-"])
def test_a_day_that_can_only_come_first_does(sign: str):
    dates = [sign.join(("13", f"{month:02}", "2024")) for month in (1, 2, 3)]
    (one,), clock = read(table(dates))
    assert (one.start, str(clock)) == ("2024-01-13T00:00:00", "1 month")
    (one,), clock = read(table([date + " 9:30" for date in dates[:2]]))
    assert (one.start, str(clock)) == ("2024-01-13T09:30:00", "1 month")


@pytest.mark.parametrize("sign", ["/", ".", "-"])
def test_dates_that_may_be_days_or_months_are_not_guessed(sign: str):
    firsts = [sign.join(("01", f"{month:02}", "2024")) for month in range(1, 13)]
    with pytest.raises(DataError, match=r"row 1: .*2024'; it does not tell whether the day"):
        time_column(table(firsts), ["y"], "t.csv")
    days = [sign.join(("01", f"{day:02}", "2024")) for day in range(1, 14)]
    assert time_column(table(days), ["y"], "t.csv") is not None  # no month is the thirteenth


@pytest.mark.parametrize(
    ("texts", "start", "step"),
    [
        (["2020-W52", "2020-W53", "2021-W01"], "2020-12-21", "7 days"),
        (["2024W05", "2024W06"], "2024-01-29", "7 days"),
        (["2024-W05-7", "2024-W06-1"], "2024-02-04", "1 day"),
        (["2023Q4", "2024Q1"], "2023-10-01", "3 months"),
        (["2023-Q4", "2024-Q1"], "2023-10-01", "3 months"),
        (["Q4 2023", "q1 2024"], "2023-10-01", "3 months"),
        (["2023M12", "2024M01"], "2023-12-01", "1 month"),
        (["2024年1月31日", "2024年2月1日"], "2024-01-31", "1 day"),
        (["1/31/2024, 9:00:00 PM", "1/31/2024, 10:00:00 PM"], "2024-01-31T21", "1 hour"),
        (["2024-01-31 09:00 UTC", "2024-01-31 10:00 UTC"], "2024-01-31T09", "1 hour"),
    ],
)
def test_weeks_quarters_and_other_forms(texts: list[str], start: str, step: str):
    frame = table(texts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert time_column(frame.rename(columns={"date": "when"}), ["y"], "t") == "when"
        (one,), clock = read(frame)
    assert (one.start[: len(start)], str(clock)) == (start, step)


@pytest.mark.parametrize(
    ("texts", "start", "step"),
    [
        (["01/31/24", "02/01/24"], "2024-01-31", "1 day"),
        (["31/01/24", "01/02/24"], "2024-01-31", "1 day"),
        (["30.01.99 9:30", "31.01.99 9:30"], "1999-01-30", "1 day"),
        (["Dec-23", "Jan-24"], "2023-12-01", "1 month"),
        (["31-Jan-24", "01-Feb-24"], "2024-01-31", "1 day"),
    ],
)
def test_years_of_two_digits_are_read_and_it_is_said(texts: list[str], start: str, step: str):
    with pytest.warns(UserWarning, match=rf"{texts[-1]} is read as .* \(years have two digits\)"):
        (one,), clock = read(table(texts))
    assert (one.start[:10], str(clock)) == (start, step)


def test_of_two_readings_the_one_with_regular_steps_is_taken_and_it_is_said():
    firsts = [f"01/{month:02}/{year}" for year in (2015, 2016) for month in range(1, 13)]
    with pytest.warns(UserWarning, match=r"01/12/2016 is read as 2016-12-01 \(only so the steps"):
        (one,), clock = read(table(firsts))
    assert (one.start[:10], str(clock)) == ("2015-01-01", "1 month")
    hours = [f"01/{day:02}/2024 {hour}:00" for day in range(1, 5) for hour in range(24)]
    with pytest.warns(UserWarning, match="01/04/2024 23:00 is read as 2024-01-04"):
        assert str(read(table(hours))[1]) == "1 hour"


@pytest.mark.parametrize(
    "texts",
    [
        ["01/02/24", "02/02/24"],
        ["25/01/24", "26/01/24"],  # or the 24th of the months of years
        ["24/01/30", "24/01/31"],
        ["10.01.24", "10.02.24"],  # or minutes after ten
    ],
)
def test_years_of_two_digits_are_not_guessed(texts: list[str]):
    with pytest.raises(DataError, match=r"row 1: .* it does not tell whether"):
        read(table(texts))


@pytest.mark.parametrize(
    ("texts", "row"),
    [
        (["2021-W52", "2021-W53"], 2),
        (["2024Q4", "2024Q5"], 2),
        (["Jan-24", "Fab-24"], 2),
        (["2024-01-01/2024-01-07", "2024-01-08/2024-01-14"], 1),
    ],
)
def test_weeks_and_others_that_do_not_exist_are_named(texts: list[str], row: int):
    with pytest.raises(DataError, match=f"row {row}: expected a date .* found '{texts[row - 1]}'"):
        read(table(texts))
