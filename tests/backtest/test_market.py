from datetime import date

import numpy as np
import polars as pl
import pytest

from backtest.market import Market
from data.errors import KestrelError
from data.panel import Axes

NAMES = ("600001.SH", "688001.SH")


def test_average_price_is_amount_over_volume_within_the_day_and_from_prices_alone_where_adjusted(market_of):
    raw = market_of([[10, 10], [11, 10]], symbols=NAMES, open_=[[9, 10], [10, 10]])
    assert raw.deal_DN("vwap")[:, 0].tolist() == [10, 11]
    adjusted = market_of([[10, 10], [11, 10]], symbols=NAMES, open_=[[9, 10], [10, 10]], basis="adjusted")
    assert adjusted.deal_DN("vwap")[:, 0].tolist() == [(10 + 9 + 20) / 4, (11 + 10 + 22) / 4]
    halted = market_of([[10, 10], [11, 10]], symbols=NAMES, trading=[[True, True], [False, True]])
    assert np.isnan(halted.deal_DN("vwap")[1, 0])


def test_unknown_deal_basis_and_empty_axes_are_refused(market_of):
    with pytest.raises(KestrelError, match="open, close, vwap"):
        market_of([[10, 10]], symbols=NAMES).deal_DN("noon")
    with pytest.raises(KestrelError, match="price_basis is 'hfq'"):
        Market.of(pl.DataFrame(), pl.DataFrame(), pl.DataFrame(), Axes((), ()), price_basis="hfq")


def test_limits_missing_in_the_bars_are_computed_with_the_listing_age():
    days = (date(2024, 3, 1), date(2024, 3, 4))
    axes = Axes(days, NAMES)
    bars = pl.DataFrame(
        {
            "date": [days[0], days[0], days[1], days[1]],
            "symbol": NAMES * 2,
            **{name: [1.15, 10.0, 1.15, 10.0] for name in ("open", "high", "low", "close", "pre_close")},
            "volume": [100.0] * 4,
            "amount": [100.0] * 4,
            "is_st": [False] * 4,
            "is_trading": [True] * 4,
        }
    )
    securities = pl.DataFrame({"symbol": NAMES, "list_date": [None, days[0]], "delist_date": [None, None]}).with_columns(
        pl.col("list_date", "delist_date").cast(pl.Date)
    )
    dividends = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date, "cash": pl.Float64, "bonus": pl.Float64, "transfer": pl.Float64})
    market = Market.of(bars, securities, dividends, axes, price_basis="raw")
    assert market.limit_up_DN[:, 0].tolist() == [1.27, 1.27]  # 1.265 half-up in cents; binary rounding says 1.26
    assert np.isnan(market.limit_up_DN[:, 1]).all()  # STAR: none in the first five sessions
    assert market.listed_N.tolist() == [-1, 0]


def test_scale_of_adjusted_prices_is_carried_forward_and_never_back(market_of):
    market = market_of([[10, 10]] * 4, symbols=NAMES, basis="adjusted")
    assert (market.scale_DN == 1).all()
    days = market.axes.dates
    bars = pl.DataFrame(
        {
            "date": days,
            "symbol": ["600001.SH"] * 4,
            **dict.fromkeys(("open", "high", "low", "close", "pre_close"), 5.0),
            "volume": 1.0,
            "amount": 1.0,
            "limit_up": 5.5,
        }
    )
    bars = bars.with_columns(limit_down=4.5, is_st=False, is_trading=True, raw_close=pl.Series([None, 10.0, None, 20.0]))
    securities = pl.DataFrame({"symbol": NAMES, "list_date": [None, None], "delist_date": [None, None]}).with_columns(
        pl.col("list_date", "delist_date").cast(pl.Date)
    )
    scaled = Market.of(bars, securities, pl.DataFrame(), market.axes, price_basis="adjusted")
    assert scaled.scale_DN[:, 0].tolist() == [1, 2, 2, 4]
    assert (scaled.scale_DN[:, 1] == 1).all()


def test_rights_on_a_day_without_session_count_on_the_next(market_of):
    rights = [{"symbol": "600001.SH", "ex_date": date(2024, 3, 2), "cash": 0.1}, {"symbol": "600001.SH", "ex_date": date(2024, 3, 4), "cash": 0.2}]
    market = market_of([[10, 10]] * 3, symbols=NAMES, dividends=rights)
    assert market.cash_DN[:, 0] == pytest.approx([0, 0.3, 0])
