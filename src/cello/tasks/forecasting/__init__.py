"""Forecasting: series at regular steps → windows → quantiles → backtest.

Imports what `tasks` has beside it, and the layers below; `tasks` and those above import it.
"""

from cello.tasks.forecasting.columns import Columns
from cello.tasks.forecasting.embedded import embedded
from cello.tasks.forecasting.forecasting import Forecast, Forecasting
from cello.tasks.forecasting.plan import ForecastPlan
from cello.tasks.forecasting.series import Series

__all__ = ["Columns", "Forecast", "ForecastPlan", "Forecasting", "Series", "embedded"]
