from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from data.errors import KestrelError
from data.panel import Axes
from models.dataset import Dataset, gather, rows, spread, stack, take

NAN = np.nan


def test_arrays_off_the_axes_are_refused(planted: Dataset) -> None:
    with pytest.raises(ValueError, match="y_DNH has shape"):
        replace(planted, y_DNH=planted.y_DNH[1:])


def test_a_label_is_learnt_only_where_the_stock_is_present_and_can_be_bought(planted: Dataset) -> None:
    y_DN = planted.loss_label(5)
    assert np.array_equal(np.isfinite(y_DN), planted.present_DN & planted.entry_DN & np.isfinite(planted.label(5)))
    assert y_DN.dtype == np.float32


def test_rows_come_by_session_then_stock_with_their_factors() -> None:
    y_SN = np.array([[NAN, 1], [NAN, NAN], [2, 3]], dtype=np.float32)
    found = rows(y_SN)
    assert (found.place_R.tolist(), found.stock_R.tolist(), found.y_R.tolist()) == ([0, 2, 2], [1, 0, 1], [1, 2, 3])
    assert found.counts.tolist() == [1, 2]
    assert found.panel(found.y_R, (3, 2)) == pytest.approx(y_SN, nan_ok=True)


def test_gathered_factors_are_those_of_the_rows(planted: Dataset) -> None:
    sessions = np.array([3, 9])
    found = rows(planted.loss_label(1)[sessions])
    x_RF = gather(planted, sessions, found)
    assert np.array_equal(x_RF[-1], planted.x_DNF[9, found.stock_R[-1]], equal_nan=True)
    assert np.array_equal(gather(planted, sessions, found, np.array([2, 0])), x_RF[:, [2, 0]], equal_nan=True)
    assert x_RF.flags["C_CONTIGUOUS"]


def test_no_label_at_all_is_refused() -> None:
    with pytest.raises(KestrelError, match="None of the 2 sessions"):
        rows(np.full((2, 3), NAN, dtype=np.float32))


def test_a_cut_is_a_view_of_the_same_stocks(planted: Dataset) -> None:
    part = take(planted, 10, 12)
    assert part.axes.dates == planted.axes.dates[10:12]
    assert np.shares_memory(part.x_DNF, planted.x_DNF)
    assert part.label(5).shape == (2, 60)


def test_scores_of_present_stocks_return_to_their_places() -> None:
    present = np.array([[True, False], [True, True]])
    assert spread(np.array([1.0, 2.0, 3.0]), present) == pytest.approx(np.array([[1, NAN], [2, 3]]), nan_ok=True)


def test_a_factor_frame_becomes_an_array_and_rows_off_the_axes_leave() -> None:
    axes = Axes((date(2020, 1, 2), date(2020, 1, 3)), ("000001.SZ", "600000.SH"))
    frame = pl.DataFrame(
        {
            "date": [date(2020, 1, 2), date(2020, 1, 3), date(2020, 1, 6), date(2020, 1, 3)],
            "symbol": ["600000.SH", "000001.SZ", "000001.SZ", "999999.SH"],
            "a": [1.0, None, 3.0, 4.0],
            "b": [5.0, 6.0, 7.0, 8.0],
        }
    )
    x_DNF = stack(frame, ["b", "a"], axes)
    assert x_DNF.dtype == np.float32
    assert x_DNF.tolist() == pytest.approx(np.array([[[NAN, NAN], [5, 1]], [[6, NAN], [NAN, NAN]]]), nan_ok=True)
