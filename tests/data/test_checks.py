"""Each check on a market without fault, and on the same market with one defect planted: that check fires, and no other."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from data.checks import CHECKS, blocking, check
from data.errors import ChecksFailed
from data.ingest import refuse

Tables = dict[str, pl.DataFrame]
THIRD = date(2021, 3, 3)
ONE = (pl.col("symbol") == "600007.SH") & (pl.col("date") == THIRD)


def bars(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Tables], Tables]:
    return lambda tables: {**tables, "bars": change(tables["bars"])}


def set_(where: pl.Expr, **values: pl.Expr | float | bool) -> Callable[[Tables], Tables]:
    """Bars in which some rows have other values."""
    return bars(lambda frame: frame.with_columns(pl.when(where).then(value).otherwise(name).alias(name) for name, value in values.items()))


def table(name: str, **values: pl.Expr | float | date) -> Callable[[Tables], Tables]:
    return lambda tables: {**tables, name: tables[name].with_columns(**{k: v if isinstance(v, pl.Expr) else pl.lit(v) for k, v in values.items()})}


LEAP = {name: pl.col(name) * 1.5 for name in ("open", "high", "low", "close", "limit_up", "limit_down", "amount")}
FEW = (pl.col("symbol") == "600007.SH") & (pl.col("date") == date(2021, 3, 9))  # a stock's 7th session: its listing days are over
MANY = pl.col("date") == date(2021, 3, 9)

# the check that must fire alone, how the defect is planted, the rows that carry it
DEFECTS = {
    "a price of 0": ("positive prices", set_(ONE, low=0.0), 1),
    "a price below 0": ("positive prices", set_(ONE, low=-3.0), 1),
    "a number that is none": ("finite values", set_(ONE, adj=float("nan")), 1),
    "an infinite factor": ("finite values", set_(ONE, adj=float("inf")), 1),
    "high below low": ("high and low", set_(ONE, high=pl.col("low") - 0.5), 1),
    "low above the close": ("high and low", set_(ONE, low=pl.col("close") + 0.5), 1),
    "volume in lots": ("units of amount", bars(lambda frame: frame.with_columns(pl.col("volume") / 100)), 4000),
    "amount in thousands": ("units of amount", bars(lambda frame: frame.with_columns(pl.col("amount") / 1000)), 4000),
    "negative volume": ("negative volume", set_(ONE, volume=-100.0), 1),
    "negative amount": ("negative volume", set_(ONE, amount=-100.0), 1),
    "one leap": ("single returns beyond limits", set_(FEW, **LEAP), 1),
    "a bar on a Sunday": ("calendar", bars(lambda frame: pl.concat([frame, frame.filter(ONE).with_columns(date=date(2021, 3, 7))])), 1),
    "a gap": ("gaps", bars(lambda frame: frame.filter(~ONE)), 1),
    "trade while suspended": ("trade while suspended", set_(ONE, is_trading=False), 1),
    "a close above its limit": ("close within limits", set_(ONE, limit_up=pl.col("close") - 0.02), 1),
    "a close below its limit": ("close within limits", set_(ONE, limit_down=pl.col("close") + 0.02), 1),
    "weights that miss 1": ("weights", table("members", weight=pl.lit(1 / 480)), 1),
    "weights in percent": ("weights", table("members", weight=pl.col("weight") * 100), 1),
    "a member without bars": (
        "members with bars",
        table("members", symbol=pl.when(pl.col("symbol") == "600007.SH").then(pl.lit("000001.SZ")).otherwise("symbol")),
        1,
    ),
    "a lost member": (
        "members",
        lambda tables: {**tables, "members": tables["members"].head(499).with_columns(weight=pl.lit(1 / 499))},
        1,
    ),
    "an index at 0": ("index", table("index_bars", close=0.0), 12),
    "a total return index below 0": ("index", table("index_bars", close_tr=-1.0), 12),
    "a report before its period ended": ("announcements", table("reports", announced_on=date(2020, 12, 31)), 1),
    "a dividend told too late": ("dividends", table("dividends", announced_on=date(2021, 3, 8)), 1),
}


def test_a_market_without_fault_has_no_findings(tables: Tables) -> None:
    assert check(tables, "raw") == []


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_found_by_its_own_check_alone(tables: Tables, defect: str) -> None:
    name, plant, rows = DEFECTS[defect]
    found = check(plant(tables), "raw")
    assert [(finding.check, finding.rows) for finding in found] == [(name, rows)]
    assert found[0].why
    assert found[0].first


def test_every_check_has_a_defect_that_it_finds(tables: Tables) -> None:
    names = {name for name, _, _ in DEFECTS.values()} | {"returns beyond limits", "sessions without bars"}  # which come in pairs, see below
    assert {rule.name for rule in CHECKS} == names


def test_returns_that_no_limit_allows_on_many_rows_block(tables: Tables) -> None:
    found = check(set_(MANY & (pl.col("symbol") < "600020.SH"), **LEAP)(tables), "raw")
    assert [(finding.check, finding.severity, finding.rows) for finding in found] == [
        ("returns beyond limits", "blocking", 20),
        ("single returns beyond limits", "warning", 20),
    ]


def test_a_session_that_no_stock_has_is_one_finding_and_a_gap_of_each(tables: Tables) -> None:
    found = check(bars(lambda frame: frame.filter(pl.col("date") != THIRD))(tables), "raw")
    assert [(finding.check, finding.rows) for finding in found] == [("sessions without bars", 1), ("gaps", 500)]


def test_a_leap_that_an_ex_date_explains_is_none(tables: Tables) -> None:
    explained = set_(FEW, **LEAP)(tables)["bars"].with_columns(
        pl.when((pl.col("symbol") == "600007.SH") & (pl.col("date") >= date(2021, 3, 9))).then(0.7).otherwise("adj").alias("adj")
    )
    assert check({**tables, "bars": explained}, "raw") == []


def test_a_few_broken_rows_of_many_are_tolerated_where_the_check_says_so(tables: Tables) -> None:
    few = set_(ONE & (pl.col("symbol") == "600007.SH"), amount=pl.col("amount") / 1000)(tables)
    assert check(few, "raw") == []


def test_what_holds_for_traded_prices_is_not_asked_of_adjusted_ones(tables: Tables) -> None:
    for plant in (DEFECTS["volume in lots"][1], DEFECTS["a close above its limit"][1]):
        assert check(plant(tables), "adjusted") == []


def test_tables_that_a_lake_lacks_are_not_checked(tables: Tables) -> None:
    assert check({"calendar": tables["calendar"]}, "raw") == []
    assert check({"members": tables["members"], "calendar": tables["calendar"]}, "raw") == []


def test_a_finding_says_how_many_rows_and_which_is_first(tables: Tables) -> None:
    found = check(set_(pl.col("date") == THIRD, low=-1.0)(tables), "raw")
    assert (found[0].rows, found[0].share, found[0].first) == (500, 0.125, "2021-03-03 600000.SH")


def test_blocking_findings_refuse_and_warnings_do_not(tables: Tables) -> None:
    warned = check(DEFECTS["a gap"][1](tables), "raw")
    assert blocking(warned) == []
    refuse(warned, "the vendor's folder")
    broken = check(DEFECTS["a price of 0"][1](tables), "raw")
    with pytest.raises(
        ChecksFailed, match=r"the vendor's folder is refused, nothing was written:\n  bars: 1 rows: a price at or below zero .*\(first: 2021"
    ):
        refuse(broken, "the vendor's folder")
