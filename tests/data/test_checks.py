"""Each check on a simulated market without fault, and on the same market with one defect planted: that check fires, and no other."""

from collections.abc import Callable
from datetime import date

import polars as pl
import pytest

from data.checks import CHECKS, blocking, check
from data.errors import ChecksFailed
from data.ingest import refuse
from data.simulator.settings import SimulationSettings
from data.simulator.simulation import simulate
from data.validation import keys

Tables = dict[str, pl.DataFrame]
Plant = Callable[[Tables], Tables]
INDEX = "000905.SH"


@pytest.fixture(scope="module")
def market() -> Tables:
    """A year of 780 simulated stocks, and the scores of a model that likes them in sequence."""
    found = dict(simulate(SimulationSettings(stocks=780, years=1)).tables)
    scored = found["bars"].select("date", "symbol").filter(pl.col("date") == pl.col("date").max())
    ranked = pl.int_range(1, pl.len() + 1, dtype=pl.Int32)
    found["scores"] = scored.select("date", "symbol", model=pl.lit("mine"), score=-ranked.cast(pl.Float64), rank=ranked)
    found["names"] = found["securities"].select("symbol", pl.col("list_date").alias("start"), "name")
    minute = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Shanghai") + pl.duration(hours=15)
    found["minute_bars"] = scored.select(minute.alias("time"), "symbol", open=1.0, high=1.0, low=1.0, close=1.0, volume=0.0, amount=0.0)
    return found


@pytest.fixture(scope="module")
def adjusted(market: Tables) -> Tables:
    """The same market as a vendor of multiplicatively adjusted prices gives it: adj is 1, raw_close stays as traded."""
    prices = ["open", "high", "low", "close", "pre_close", "limit_up", "limit_down"]
    final = pl.col("adj") / pl.col("adj").last().over("symbol", order_by="date")
    return {**market, "bars": market["bars"].with_columns(*(pl.col(name) * final for name in prices), adj=pl.lit(1.0))}


def nth_row(place: int) -> pl.Expr:
    """The place-th row, from 0, of a stock that trades through the whole year."""
    return (pl.col("symbol") == PLAIN) & (pl.int_range(pl.len()).over("symbol", order_by="date") == place)


PLAIN = "000080.SZ"
CALM = "001319.SZ"  # never moves by more than 8 %
ONE = nth_row(30)
PRICES = ("open", "high", "low", "close", "limit_up", "limit_down", "amount")


def bars(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    return lambda tables: {**tables, "bars": change(tables["bars"])}


def set_(where: pl.Expr, **values: pl.Expr | float | bool) -> Plant:
    """Bars in which some rows have other values."""
    return bars(lambda frame: frame.with_columns(pl.when(where).then(value).otherwise(name).alias(name) for name, value in values.items()))


def first(name: str, **values: pl.Expr | float | date) -> Plant:
    """A table whose first row has other values."""
    return lambda tables: {
        **tables,
        name: tables[name].with_columns(
            pl.when(pl.int_range(pl.len()) == 0).then(value if isinstance(value, pl.Expr) else pl.lit(value)).otherwise(column).alias(column)
            for column, value in values.items()
        ),
    }


def twice(name: str) -> Plant:
    """A table with its first row a second time."""
    return lambda tables: {**tables, name: pl.concat([tables[name].head(1), tables[name]])}


def on_last(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Plant:
    """A table whose last date is changed."""
    last = pl.col("date") == pl.col("date").max()
    return lambda tables: {**tables, name: pl.concat([tables[name].filter(~last), change(tables[name].filter(last))])}


def broken_off(frame: pl.DataFrame) -> pl.DataFrame:
    """The last session of a download that broke off."""
    return frame.filter((pl.col("date") < pl.col("date").max()) | (pl.col("symbol") < "600"))


def immortal(tables: Tables) -> Tables:
    """The market of the stocks that live to its end."""
    bars, securities = tables["bars"], tables["securities"]
    living = bars.filter(pl.col("date") == bars["date"].max())["symbol"].implode()
    kept = securities.with_columns(delist_date=pl.lit(None, pl.Date))
    members = tables["members"].filter(pl.col("date") == pl.col("date").max())
    return {**tables, "bars": bars.filter(pl.col("symbol").is_in(living)), "securities": kept, "members": members}


def before(name: str) -> pl.Expr:
    return pl.col(name).shift(1).over("symbol", order_by="date")


def still(name: str) -> Plant:
    """Caps in which a ratio keeps its value over a stock's great moves."""
    return lambda tables: {**tables, "caps": tables["caps"].with_columns(pl.when(pl.col("symbol") == PLAIN).then(12.5).otherwise(name).alias(name))}


def shares(scale: float) -> Plant:
    return lambda tables: {**tables, "caps": tables["caps"].with_columns(pl.col("float_shares") * scale)}


SUNDAY = date(2026, 3, 8)
LEAP = {name: pl.col(name) * 1.5 for name in PRICES}
FEW_DAYS = pl.col("date").is_between(date(2026, 3, 2), date(2026, 3, 6))

# the check that must fire alone, how the defect is planted, the severity it must have
DEFECTS: dict[str, tuple[str, Plant, str]] = {
    "a price of 0": ("positive prices", set_(ONE, low=0.0), "blocking"),
    "a price below 0": ("positive prices", set_(ONE, low=-3.0), "blocking"),
    "a number that is none": ("finite values", set_(ONE, adj=float("nan")), "blocking"),
    "an infinite factor": ("finite values", set_(ONE, adj=float("inf")), "blocking"),
    "high below low": ("high and low", set_(ONE, high=pl.col("low") - 0.5), "warning"),
    "many lows above the close": ("high and low", set_(FEW_DAYS, low=pl.col("high") + 0.5), "blocking"),
    "one leap": ("returns beyond limits", set_(ONE, **LEAP), "warning"),
    "leaps of a whole week": ("returns beyond limits", set_(FEW_DAYS & (pl.col("symbol") < "300"), **LEAP), "blocking"),
    "a close above its limit": ("close within limits", set_(ONE, limit_up=pl.col("close") - 0.02), "warning"),
    "limits of another board": ("close within limits", set_(FEW_DAYS, limit_up=pl.col("close") - 0.02), "blocking"),
    "a session served twice": (
        "frozen bars",
        set_(ONE, **{name: before(name) for name in ("open", "high", "low", "close", "volume", "amount")}),
        "warning",
    ),
    "volume in lots": ("units of volume and amount", bars(lambda frame: frame.with_columns(pl.col("volume") / 100)), "blocking"),
    "amount in thousands": ("units of volume and amount", bars(lambda frame: frame.with_columns(pl.col("amount") / 1000)), "blocking"),
    "lots and thousands": (
        "units of volume and amount",
        bars(lambda frame: frame.with_columns(pl.col("volume") / 100, pl.col("amount") / 1000)),
        "blocking",
    ),
    "an amount of another row": ("amount over volume", set_(ONE, amount=pl.col("amount") * 1.7), "warning"),
    "one row in thousands": ("amount over volume", set_(ONE, amount=pl.col("amount") / 1000), "warning"),
    "amounts of another currency": ("amount over volume", bars(lambda frame: frame.with_columns(pl.col("amount") / 7)), "blocking"),
    "negative volume": ("negative volume", set_(ONE, volume=-100.0), "blocking"),
    "negative amount": ("negative volume", set_(ONE, volume=0.0, amount=-100.0), "blocking"),
    "trade while suspended": ("trade while suspended", set_(ONE, is_trading=False), "warning"),
    "turnover in percent": ("units of turnover", shares(1 / 100), "blocking"),
    "turnover as a fraction of a percent": ("units of turnover", shares(100), "blocking"),
    "a ratio that stands still": ("frozen ratios", still("pb"), "warning"),
    "a bar on a Sunday": ("calendar", bars(lambda frame: pl.concat([frame, frame.filter(ONE).with_columns(date=SUNDAY)])), "blocking"),
    "a session that no stock has": ("sessions without bars", bars(lambda frame: frame.filter(pl.col("date") != date(2026, 3, 9))), "warning"),
    "a download that broke off": ("coverage", bars(broken_off), "warning"),
    "a session that half of the stocks lack": (
        "coverage",
        bars(lambda frame: frame.filter((pl.col("date") != date(2026, 3, 9)) | (pl.col("symbol") > "300"))),
        "warning",
    ),
    "a gap": ("gaps", bars(lambda frame: frame.filter(~ONE)), "warning"),
    "a universe of survivors": ("survivors", immortal, "warning"),
    "a lost member": (
        "members",
        on_last("members", lambda frame: frame.head(499).with_columns(pl.col("weight") / pl.col("weight").sum())),
        "warning",
    ),
    "weights in percent": ("weights", lambda tables: {**tables, "members": tables["members"].with_columns(pl.col("weight") * 100)}, "warning"),
    "weights that miss 1": ("weights", on_last("members", lambda frame: frame.with_columns(pl.col("weight") * 0.98)), "warning"),
    "a member without bars": ("members with bars", first("members", symbol=pl.lit("999999.SH")), "warning"),
    "an index at 0": ("index", first("index_bars", close=0.0), "blocking"),
    "a total return index below 0": ("index", first("index_bars", close_tr=-1.0), "blocking"),
    "a report before its period ended": ("announcements", first("reports", announced_on=pl.col("period_end")), "blocking"),
    "a dividend told too late": ("dividends", first("dividends", announced_on=pl.col("ex_date")), "warning"),
    **{
        f"a row of {name} twice": (f"duplicates of {name}", twice(name), "blocking")
        for name in (
            *("calendar", "securities", "names", "bars", "minute_bars", "caps", "reports", "dividends", "members", "industries"),
            *("index_bars", "futures_bars", "news", "news_scores", "scores"),
        )
    },
}


def test_a_market_without_fault_has_no_findings(market: Tables) -> None:
    assert check(market, "raw") == []


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_found_by_its_own_check_alone(market: Tables, defect: str) -> None:
    name, plant, severity = DEFECTS[defect]
    found = check(plant(market), "raw")
    assert [(finding.check, finding.severity) for finding in found] == [(name, severity)]
    assert found[0].why
    assert found[0].first


def test_additive_adjustment_is_found_by_its_own_check_alone(adjusted: Tables) -> None:
    assert check(adjusted, "adjusted") == []
    columns = ("open", "high", "low", "close", "pre_close", "limit_up", "limit_down")
    traded = adjusted["bars"].with_columns(raw_close=pl.when(pl.col("symbol") == CALM).then("close").otherwise("raw_close"))
    planted = traded.with_columns(pl.when(pl.col("symbol") == CALM).then(pl.col(name) - 5).otherwise(name).alias(name) for name in columns)
    # without caps, whose ratios are to the traded close that raw_close isn't here
    found = check({name: table for name, table in {**adjusted, "bars": planted}.items() if name != "caps"}, "adjusted")
    assert [(finding.check, finding.severity) for finding in found] == [("additive adjustment", "blocking")]


def test_every_check_has_a_defect_that_it_finds() -> None:
    names = {name for name, _, _ in DEFECTS.values()} | {"additive adjustment"}
    assert {rule.name for rule in CHECKS} == names
    assert len(CHECKS) == len({rule.name for rule in CHECKS})


def test_every_check_says_why_in_a_sentence() -> None:
    assert [rule.name for rule in CHECKS if len(rule.why.split()) < 5] == []


def test_a_leap_that_an_ex_date_explains_is_none(market: Tables) -> None:
    days = market["bars"].filter(pl.col("symbol") == PLAIN)["date"]
    explained = set_(ONE, **LEAP)(market)["bars"].with_columns(
        pl.when((pl.col("symbol") == PLAIN) & (pl.col("date") >= days[30])).then(pl.col("adj") * 0.7).otherwise("adj").alias("adj")
    )
    assert check({**market, "bars": explained}, "raw") == []


def test_what_holds_for_traded_prices_is_not_asked_of_adjusted_ones(market: Tables) -> None:
    for plant in (DEFECTS["volume in lots"][1], DEFECTS["a close above its limit"][1]):
        assert check(plant(market), "adjusted") == []


def test_tables_that_a_lake_lacks_are_not_checked(market: Tables) -> None:
    assert check({"calendar": market["calendar"]}, "raw") == []
    assert check({name: market[name] for name in ("members", "caps", "calendar")}, "raw") == []


def test_a_finding_says_how_many_rows_and_which_is_first(market: Tables) -> None:
    day = market["bars"]["date"].unique().sort()[10]
    found = check(set_(pl.col("date") == day, low=-1.0)(market), "raw")[0]
    there = market["bars"].filter(pl.col("date") == day)
    assert (found.rows, found.share) == (there.height, there.height / market["bars"].height)
    assert found.first == f"{day} {there.sort(keys('bars'))['symbol'][0]}"


def test_blocking_findings_refuse_and_warnings_do_not(market: Tables) -> None:
    warned = check(DEFECTS["a gap"][1](market), "raw")
    assert blocking(warned) == []
    refuse(warned, "the vendor's folder")
    broken = check(DEFECTS["a price of 0"][1](market), "raw")
    with pytest.raises(
        ChecksFailed, match=r"the vendor's folder is refused, nothing was written:\n  bars: 1 rows: a price at or below zero .*\(first: 2025"
    ):
        refuse(broken, "the vendor's folder")
