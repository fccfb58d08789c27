"""Checks of volume, amount and shares: what was traded, in which unit."""

import polars as pl

from data.checks.check import Check, Tables, before, rows

UNIT_SHARE = 0.05  # of the traded rows: from here on it is the unit that is wrong, not some rows
SLACK = 0.01  # of the price: float32 vendors and amounts in whole CNY
TURNOVERS = (3e-4, 0.3)  # the median stock-day of any market lies between
MOVED = 0.01  # a close that moved this much moves every ratio to it

_PRICE = pl.col("amount") / pl.col("volume")


def _outside(bars: pl.DataFrame) -> pl.DataFrame:
    """Traded rows whose mean price lies outside low..high, with the power of ten that it is wrong by (0 where it is none)."""
    band = (pl.col("low") * (1 - SLACK) > _PRICE) | (pl.col("high") * (1 + SLACK) < _PRICE)
    power = (_PRICE / pl.col("close")).log10()
    near = (power - power.round()).abs() < 0.1
    return bars.filter(pl.col("volume") > 0, pl.col("high") >= pl.col("low"), band).with_columns(
        pl.when(near & power.is_finite()).then(power.round()).otherwise(0).alias("power")
    )


def _units(tables: Tables) -> pl.DataFrame:
    """Rows wrong by a power of ten, where they are so many that the unit must be wrong."""
    bars = tables["bars"]
    wrong = _outside(bars).filter(pl.col("power") != 0)
    return wrong if wrong.height > UNIT_SHARE * bars.filter(pl.col("volume") > 0).height else wrong.clear()


def _amounts(tables: Tables) -> pl.DataFrame:
    """Rows whose mean price lies outside low..high for another reason than the unit."""
    return _outside(tables["bars"]).join(_units(tables), on=["date", "symbol"], how="anti")


def _turnovers(tables: Tables) -> pl.DataFrame:
    """Every row with a turnover, where the median turnover is none that a market has."""
    if "bars" not in tables or _units(tables).height:  # the unit of volume is to blame
        return tables["caps"].clear()
    traded = tables["bars"].filter(pl.col("volume") > 0).select("date", "symbol", "volume")
    found = tables["caps"].join(traded, on=["date", "symbol"]).filter(pl.col("float_shares") > 0)
    median = found.select((pl.col("volume") / pl.col("float_shares")).median()).item()
    return found.clear() if median is None or TURNOVERS[0] <= median <= TURNOVERS[1] else found


def _frozen_ratios(tables: Tables) -> pl.DataFrame:
    """Rows whose close moved while a ratio to it kept its last digit."""
    if "bars" not in tables:
        return tables["caps"].clear()
    found = tables["caps"].join(tables["bars"].select("date", "symbol", pl.coalesce("raw_close", "close").alias("close")), on=["date", "symbol"])
    moved = (pl.col("close") / before("close") - 1).abs() > MOVED
    same = pl.any_horizontal(
        ((pl.col(name) == before(name)) & (pl.col(name) != 0)).fill_null(value=False) for name in ("pe_ttm", "pb", "ps_ttm", "pcf_ttm")
    )
    return found.filter(moved & same)


CHECKS = [
    Check(
        "units of volume and amount",
        "bars",
        "blocking",
        "amount / volume misses the price by a power of ten: volume is in lots or amount in thousands; map its unit",
        _units,
        basis="raw",
    ),
    Check(
        "amount over volume",
        "bars",
        "warning",
        "amount / volume lies outside low..high: one of the four is of another row, unit or adjustment",
        _amounts,
        basis="raw",
        blocks_above=0.05,
    ),
    Check("negative volume", "bars", "blocking", "volume or amount below zero", rows("bars", (pl.col("volume") < 0) | (pl.col("amount") < 0))),
    Check(
        "trade while suspended",
        "bars",
        "warning",
        "volume on a session marked as suspended: the flag or the volume is of another day",
        rows("bars", ~pl.col("is_trading") & (pl.col("volume") > 0)),
        blocks_above=0.01,
    ),
    Check(
        "units of turnover",
        "caps",
        "blocking",
        "the median stock trades below 0.03 % or above 30 % of its float a day: turnover is in percent where a fraction is meant, or the reverse",
        _turnovers,
    ),
    Check(
        "frozen ratios",
        "caps",
        "warning",
        "the close moved by more than 1 % and a ratio to it not at all: the vendor carries an old value",
        _frozen_ratios,
        blocks_above=0.05,
    ),
]
