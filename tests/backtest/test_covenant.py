from datetime import date, timedelta

import numpy as np

from backtest.covenant import Covenant, breaches

DATES = [date(2024, 3, 1) + timedelta(days=d) for d in range(6)]


def test_days_beyond_the_promise_are_told_with_what_they_were() -> None:
    found = breaches(np.array([0.01, 0.0, -0.02, 0.0, 0.0, 0.0]), np.array([0.006, 0.0, -0.01, 0.0, 0.0, 0.0]), DATES)
    assert found.rows() == [(DATES[2], "deviation", 0.005, 0.01)]


def test_a_tracking_error_is_told_once_its_window_is_full() -> None:
    swing = np.array([0.006, -0.006, 0.006, -0.006, 0.0, 0.0])
    found = breaches(swing, np.zeros(6), DATES, Covenant(deviation=0.1, window=4))
    # four swings of 0.006 deviate by 0.006928, times the root of 243: 0.108; then 0.0052 x 15.6 = 0.081, then 0.0049 x 15.6 = 0.0764
    assert found["date"].to_list() == DATES[3:5]
    assert set(found["promise"]) == {"tracking_error"}
