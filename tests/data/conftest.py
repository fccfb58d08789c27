"""A hand-made vendor: three stocks over 12 sessions with a dividend, a split and a suspension, in the units and spellings asked for."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.completion import completed
from data.ingest import write_tables
from data.lake import Lake
from data.mapping import Mapping
from data.validation import validated

DAYS = [date(2021, 3, day) for day in (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16)]
SYMBOLS = ["000001.SZ", "300750.SZ", "600000.SH"]
CASH_DAY, SPLIT_DAY = date(2021, 3, 8), date(2021, 3, 10)  # 600000 pays 0.50 a share, 300750 doubles its shares
SUSPENDED = [date(2021, 3, 3), date(2021, 3, 4)]  # 000001

MAPPING = """
[calendar]
file = "calendar.csv"
columns = { date = "cal_date" }

[bars]
file = "bars.csv"
[bars.columns]
date = "date"
symbol = "code"
open = "open"
high = "high"
low = "low"
close = "close"
pre_close = "preclose"
volume = { column = "volume", unit = "shares" }
amount = { column = "amount", unit = "CNY" }
is_st = { column = "isST", equals = 1 }
is_trading = { column = "tradestatus", equals = 1 }

[caps]
file = "bars.csv"
[caps.columns]
date = "date"
symbol = "code"
turnover = { column = "turn", unit = "percent" }

[dividends]
file = "dividends.csv"
[dividends.columns]
symbol = "code"
ex_date = "ex_date"
cash = { column = "cash", null = 0.0 }
bonus = { column = "bonus", null = 0.0 }
transfer = { value = 0.0 }
announced_on = "announced"
"""


@pytest.fixture(scope="session")
def quotes() -> pl.DataFrame:
    """What the exchange printed: prices in cents as traded, shares, CNY, turnover in percent of 1e8 shares (2e8 after a split)."""
    return _quotes()


def _quotes() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows: list[dict[str, object]] = []
    for symbol, start in zip(SYMBOLS, (10.0, 20.0, 8.0), strict=True):
        close, shares = start, 1e8
        for day in DAYS:
            before = close - (0.5 if (symbol, day) == ("600000.SH", CASH_DAY) else 0.0)
            if (symbol, day) == ("300750.SZ", SPLIT_DAY):
                before, shares = round(close / 2, 2), 2e8
            trading = not (symbol == "000001.SZ" and day in SUSPENDED)
            close, first = (round(before * (1 + rng.uniform(-0.04, 0.04)), 2) for _ in range(2))
            if not trading:
                close = first = before
            low, high = min(close, first) - (0.05 if trading else 0), max(close, first) + (0.05 if trading else 0)
            volume = float(rng.integers(5_000, 9_000) * 100) if trading else 0.0
            prices = {"open": first, "high": round(high, 2), "low": round(low, 2), "close": close, "preclose": round(before, 2)}
            traded = {"volume": volume, "amount": round(volume * (high + low + 2 * close) / 4, 2), "turn": volume / shares * 100}
            rows.append({"date": day, "code": symbol, **prices, **traded, "isST": 0, "tradestatus": int(trading)})
    return pl.DataFrame(rows)


@pytest.fixture
def vendor(tmp_path: Path, quotes: pl.DataFrame) -> Path:
    """The vendor's folder, all of it good, and mapping.toml in it."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    quotes.write_csv(folder / "bars.csv")
    pl.DataFrame({"cal_date": DAYS}).write_csv(folder / "calendar.csv")
    paid = {
        "code": ["sh600000"],
        "ex_date": [CASH_DAY],
        "cash": [0.5],
        "bonus": pl.Series([None], dtype=pl.Float64),
        "announced": [date(2021, 2, 26)],
    }
    pl.DataFrame(paid).write_csv(folder / "dividends.csv")
    return folder


@pytest.fixture(scope="session")
def tables() -> dict[str, pl.DataFrame]:
    """The tables of a lake that no check finds fault with: 500 stocks, 8 sessions, raw prices."""
    days, names = DAYS[:8], [f"{600000 + n}.SH" for n in range(500)]
    rng = np.random.default_rng(5)
    cents = 1000 + np.cumsum(rng.integers(-20, 21, (len(days), len(names))), axis=0)
    before = np.vstack([np.full(len(names), 1000), cents[:-1]])
    volume = rng.integers(1_000, 9_000, cents.shape) * 100.0
    prices = {"open": before, "high": np.maximum(before, cents) + 3, "low": np.minimum(before, cents) - 3, "close": cents, "pre_close": before}
    keys = {"date": np.repeat(np.array(days), len(names)).tolist(), "symbol": names * len(days)}
    bars = pl.DataFrame({**keys, **{name: panel.ravel() / 100 for name, panel in prices.items()}}).with_columns(
        pl.Series("volume", volume.ravel()),
        pl.Series("amount", (volume * (before + cents) / 200).ravel()),
        is_st=pl.lit(False),
        is_trading=pl.lit(True),
    )
    found = completed({"bars": bars, "calendar": pl.DataFrame({"date": DAYS})}, Mapping(price_basis="raw", tables={}))
    found["members"] = pl.DataFrame({"date": days[0], "index": "000905.SH", "symbol": names, "weight": 1 / 500})
    filed = {
        "symbol": names[:1],
        "period_end": [date(2020, 12, 31)],
        "announced_on": [date(2021, 3, 2)],
        "revision": [0],
        "revenue": [1e9],
        "net_profit": [1e8],
    }
    found["reports"] = pl.DataFrame(filed)
    paid = {"symbol": names[:1], "ex_date": [CASH_DAY], "cash": [0.5], "bonus": [0.0], "transfer": [0.0], "announced_on": [date(2021, 2, 26)]}
    found["dividends"] = pl.DataFrame(paid)
    levels = [6000.0 + n for n in range(len(DAYS))]
    found["index_bars"] = pl.DataFrame({"date": DAYS, "index": "000905.SH", "close": levels, "close_tr": levels})
    return {name: validated(name, frame) for name, frame in found.items()}


@pytest.fixture
def lake(tmp_path: Path, tables: dict[str, pl.DataFrame]) -> Lake:
    """A lake of these tables of its own."""
    found = Lake(tmp_path / "lake")
    write_tables(found, tables, "raw", {})
    return found
