"""Small tables, and the series that are read from them."""

import numpy as np
import pandas as pd

from cello.tasks.forecasting.columns import Columns, read_series


def table(times, values=None, **more) -> pd.DataFrame:
    values = np.arange(1.0, len(times) + 1) if values is None else values
    return pd.DataFrame({"date": times, "y": values, **more})


def read(frame: pd.DataFrame, **columns):
    return read_series(frame, Columns(("y",), **{"time": "date", **columns}), "t.csv")
