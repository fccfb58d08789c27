"""Limit prices of a day, in integer cents, by the board, the ST flag, the listing age and the date."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.rules import Rules, exchange_rules
from data.symbols import BOARDS, board_expr

TICK = 1  # cent
# Adjusted prices hide the cent the exchange rounded to, so a close this near the nominal limit counts as at it.
ADJUSTED_SLACK = 0.002


def limit_cents(pre_close: NDArray[np.int64], ratio: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(up, down) of a reference price in cents: half-up to the cent and at least one tick wide.

    Integer arithmetic, because binary rounding is wrong in one case of forty: 1.15 x 1.10 is 1.27, not 1.26.
    """
    basis_points = np.rint(ratio * 10_000).astype(np.int64)
    up = (pre_close * (10_000 + basis_points) + 5_000) // 10_000
    down = (pre_close * (10_000 - basis_points) + 5_000) // 10_000
    return np.maximum(up, pre_close + TICK), np.maximum(np.minimum(down, pre_close - TICK), TICK)


def limit_ratios(bars: pl.DataFrame, listed_sessions: pl.Series, rules: Rules | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The fractions (up, down) a price may move from its reference that day; NaN where it may move at will.

    bars: date, symbol, is_st.  listed_sessions: 0 on the listing day, null where the listing day is unknown (then: an old stock).
    """
    rules = rules or exchange_rules()
    days = bars["date"].to_numpy().astype("datetime64[D]")
    boards = bars.select(board_expr()).to_series().to_numpy()
    is_st = bars["is_st"].to_numpy()
    age = listed_sessions.cast(pl.Float64).fill_null(np.inf).to_numpy()
    up = np.full(len(days), np.nan)
    down = np.full(len(days), np.nan)
    for board in BOARDS:
        here = boards == board
        for st, key in ((False, board), (True, f"{board}_st")):
            rows = here & (is_st == st)
            up[rows] = down[rows] = rules.over("limit", key, days[rows])
        free = here & (age < np.nan_to_num(rules.over("unlimited_sessions", board, days)))
        up[free] = down[free] = np.nan
        if board in ("main", "chinext"):
            first = here & (age == 0) & ~free
            up[first] = rules.over("first_day_up", board, days[first])
            down[first] = rules.over("first_day_down", board, days[first])
    return up, down


def with_limits(bars: pl.DataFrame, listed_sessions: pl.Series, *, price_basis: str, rules: Rules | None = None) -> pl.DataFrame:
    """Bars with limit_up and limit_down (CNY; null where there is no limit), computed from pre_close.

    Where prices are adjusted but raw_close is known, the limit is exact: it is rounded in raw cents and scaled back.  Where
    it isn't, the nominal limit less ADJUSTED_SLACK stands in, so that a close at the limit is never taken for tradable.
    """
    up_ratio, down_ratio = limit_ratios(bars, listed_sessions, rules)
    pre_close = bars["pre_close"].to_numpy()
    scale = np.ones(len(pre_close))
    if price_basis == "adjusted":
        scale = (bars["raw_close"] / bars["close"]).cast(pl.Float64).to_numpy()
    exact = np.isfinite(scale) & (scale > 0) & np.isfinite(up_ratio)
    up = pre_close * (1 + up_ratio - ADJUSTED_SLACK)
    down = pre_close * (1 - down_ratio + ADJUSTED_SLACK)
    cents = np.rint(pre_close[exact] * scale[exact] * 100).astype(np.int64)
    up_cents, _ = limit_cents(cents, up_ratio[exact])
    _, down_cents = limit_cents(cents, down_ratio[exact])
    up[exact] = up_cents / 100 / scale[exact]
    down[exact] = down_cents / 100 / scale[exact]
    return bars.with_columns(pl.Series("limit_up", up).fill_nan(None), pl.Series("limit_down", down).fill_nan(None))
