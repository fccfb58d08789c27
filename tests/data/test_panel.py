from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from data.panel import Axes, to_frame, to_panel, to_panels

DAYS = tuple(date(2021, 3, day) for day in (1, 2, 3, 4, 5, 8))
SYMBOLS = ("000001.SZ", "300750.SZ", "600000.SH")
AXES = Axes(DAYS, SYMBOLS)
CELLS = st.lists(
    st.tuples(st.sampled_from(DAYS), st.sampled_from(SYMBOLS), st.none() | st.floats(-1e6, 1e6)), unique_by=lambda row: row[:2], max_size=18
)


def frame(rows: list[tuple[date, str, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"date": pl.Date, "symbol": pl.String, "x": pl.Float64}, orient="row")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CELLS, st.integers(0, 100))
def test_a_frame_in_any_order_survives_the_way_through_a_panel(rows: list[tuple[date, str, float | None]], seed: int) -> None:
    long = frame(rows)
    shuffled = long.sample(fraction=1, shuffle=True, seed=seed)
    panel = to_panel(shuffled, "x", AXES)
    keep = np.zeros(AXES.shape, dtype=bool)
    for day, symbol, _ in rows:
        keep[DAYS.index(day), SYMBOLS.index(symbol)] = True
    assert to_frame({"x": panel}, keep, AXES).equals(long.sort("date", "symbol"))


def test_cells_without_a_row_or_with_a_null_are_nan() -> None:
    panel = to_panel(frame([(DAYS[0], "600000.SH", 1.0), (DAYS[1], "600000.SH", None)]), "x", AXES)
    assert panel.shape == AXES.shape == (6, 3)
    assert panel[0, 2] == 1.0
    assert np.isnan(panel).sum() == 17


def test_rows_off_the_axes_are_left_out() -> None:
    strange = frame(
        [
            (date(2021, 3, 6), "600000.SH", 1.0),
            (date(2021, 4, 1), "600000.SH", 1.0),
            (date(2020, 1, 1), "600000.SH", 1.0),
            (DAYS[0], "688981.SH", 1.0),
        ]
    )
    assert np.isnan(to_panel(strange, "x", AXES)).all()


def test_several_columns_at_once_equal_each_alone() -> None:
    rows = [(day, symbol, float(n)) for n, (day, symbol) in enumerate((d, s) for d in DAYS for s in SYMBOLS)]
    long = frame(rows).with_columns((pl.col("x") > 3).alias("flag"), (pl.col("x") * 2).cast(pl.Int32).alias("twice"))
    panels = to_panels(long, ["x", "flag", "twice"], AXES)
    for name, panel in panels.items():
        assert np.array_equal(panel, to_panel(long, name, AXES))
    assert set(np.unique(panels["flag"])) == {0.0, 1.0}


def test_an_empty_frame_is_a_panel_of_nothing() -> None:
    assert np.isnan(to_panel(frame([]), "x", AXES)).all()
    assert to_frame({"x": np.zeros(AXES.shape)}, np.zeros(AXES.shape, dtype=bool), AXES).height == 0


def test_the_index_of_a_day_is_the_first_session_at_or_after_it() -> None:
    assert [AXES.index(day) for day in (date(2020, 1, 1), DAYS[2], date(2021, 3, 6), DAYS[-1])] == [0, 2, 5, 5]
    assert AXES.index(DAYS[-1] + timedelta(days=1)) == len(DAYS)


def test_the_kind_of_float_is_kept() -> None:
    found = to_frame({"x": np.zeros(AXES.shape, dtype=np.float32)}, np.ones(AXES.shape, dtype=bool), AXES)
    assert found.schema == {"date": pl.Date, "symbol": pl.String, "x": pl.Float32}
