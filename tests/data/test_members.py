from datetime import date

import numpy as np
import polars as pl
import pytest

from data.members import industries_panel, members_panel, weights_panel
from data.panel import Axes

DAYS = tuple(date(2021, 3, day) for day in (1, 2, 3, 4, 5))
AXES = Axes(DAYS, ("000001.SZ", "300750.SZ", "600000.SH"))
NAN = np.nan


def members(*rows: tuple[date, str, float | None], index: str = "000905.SH") -> pl.DataFrame:
    found = pl.DataFrame(rows, schema={"date": pl.Date, "symbol": pl.String, "weight": pl.Float64}, orient="row")
    return found.with_columns(index=pl.lit(index))


def test_a_list_holds_until_the_next_and_nothing_is_known_before_the_first() -> None:
    listed = members((DAYS[1], "000001.SZ", 0.7), (DAYS[1], "600000.SH", 0.3), (DAYS[3], "300750.SZ", 1.0))
    weights, known = weights_panel(listed, AXES, "000905.SH")
    expected = [[NAN] * 3, [0.7, NAN, 0.3], [0.7, NAN, 0.3], [NAN, 1.0, NAN], [NAN, 1.0, NAN]]
    assert np.array_equal(weights, expected, equal_nan=True)
    assert known.tolist() == [False, True, True, True, True]
    member, _ = members_panel(listed, AXES, "000905.SH")
    assert np.array_equal(member, np.isfinite(expected))


def test_a_list_older_than_the_panel_is_in_force_from_its_start() -> None:
    listed = members((date(2020, 12, 1), "300750.SZ", 1.0), (date(2021, 2, 1), "000001.SZ", 1.0), (DAYS[4], "600000.SH", 1.0))
    member, known = members_panel(listed, AXES, "000905.SH")
    assert known.all()
    assert member[:, 0].tolist() == [True, True, True, True, False]
    assert not member[:, 1].any()


def test_a_list_later_than_the_panel_says_nothing() -> None:
    member, known = members_panel(members((date(2021, 4, 1), "000001.SZ", 1.0)), AXES, "000905.SH")
    assert not member.any()
    assert not known.any()


def test_other_indices_and_stocks_off_the_axes_are_left_out() -> None:
    listed = pl.concat([members((DAYS[0], "000001.SZ", 0.4), (DAYS[0], "688981.SH", 0.6)), members((DAYS[0], "600000.SH", 1.0), index="000300.SH")])
    weights, _ = weights_panel(listed, AXES, "000905.SH")
    assert weights[0].tolist() == pytest.approx([0.4, NAN, NAN], nan_ok=True)


def test_members_without_weights_have_equal_ones() -> None:
    weights, _ = weights_panel(members((DAYS[0], "000001.SZ", None), (DAYS[0], "688981.SH", None)), AXES, "000905.SH")
    assert weights[0, 0] == 0.5


def industries(*rows: tuple[str, date, str, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"symbol": pl.String, "start": pl.Date, "code": pl.String, "hindsight": pl.Boolean}, orient="row")


def test_an_industry_holds_from_its_start_until_the_next() -> None:
    known = industries(
        ("600000.SH", date(2020, 1, 1), "bank", False),
        ("000001.SZ", DAYS[2], "bank", False),
        ("600000.SH", DAYS[3], "steel", False),
        ("688981.SH", DAYS[0], "chips", False),
    )
    groups = industries_panel(known, AXES)
    assert groups is not None
    assert groups.tolist() == [[-1, -1, 0], [-1, -1, 0], [0, -1, 0], [0, -1, 2], [0, -1, 2]]


def test_a_snapshot_of_later_years_is_never_used() -> None:
    later = industries(("600000.SH", date(1990, 12, 19), "bank", True))
    assert industries_panel(later, AXES) is None
    mixed = industries_panel(pl.concat([later, industries(("000001.SZ", DAYS[0], "steel", False))]), AXES)
    assert mixed is not None
    assert mixed[:, 2].tolist() == [-1] * 5
