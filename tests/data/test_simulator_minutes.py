"""Minute bars add up to the session's bar, whatever that is."""

from datetime import date, time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from data.simulator import SimulationSettings, simulate
from data.simulator.minutes import M, minute_ends, profile, trade, walk
from data.validation import validated

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

DAYS = (date(2018, 3, 1), date(2018, 9, 3))  # before and after Shanghai's closing call
SMALL = {"stocks": 60, "members": 30, "years": 1, "end": date(2018, 12, 28)}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    found = simulate(SimulationSettings(**SMALL, minute_days=DAYS)).tables
    return {name: found[name] for name in ("bars", "minute_bars")}


def test_minute_bars_are_in_their_schema_and_order(tables: dict[str, pl.DataFrame]) -> None:
    assert validated("minute_bars", tables["minute_bars"]).equals(tables["minute_bars"])


def test_minutes_add_up_to_the_bar_of_each_stock_that_trades(tables: dict[str, pl.DataFrame]) -> None:
    minutes = tables["minute_bars"].with_columns(pl.col("time").dt.date().alias("date"))
    extremes = pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()
    found = minutes.group_by("date", "symbol").agg(*extremes, pl.col("volume", "amount").sum(), pl.len())
    bars = tables["bars"].filter(pl.col("date").is_in(DAYS), "is_trading")
    both = found.join(bars, on=["date", "symbol"])
    assert both.height == bars.height == found.height
    assert set(both["len"]) == {M}
    for name in ("open", "high", "low", "close", "volume"):
        assert both[name].equals(both[f"{name}_right"], check_names=False), name
    assert (both["amount"] / both["amount_right"] - 1).abs().max() < 1e-9


def test_each_minute_is_in_order_and_its_average_price_within_it(tables: dict[str, pl.DataFrame]) -> None:
    minutes = tables["minute_bars"].with_columns(price=pl.col("amount") / pl.col("volume"))
    assert minutes.filter((pl.col("low") > pl.min_horizontal("open", "close")) | (pl.col("high") < pl.max_horizontal("open", "close"))).is_empty()
    traded = minutes.filter(pl.col("volume") > 0)
    assert traded.filter((pl.col("price") < pl.col("low") - 1e-7) | (pl.col("price") > pl.col("high") + 1e-7)).is_empty()
    assert (minutes["volume"] % 100 == 0).all()
    assert minutes["volume"].min() == 0


def test_the_last_minutes_wait_for_the_closing_call(tables: dict[str, pl.DataFrame]) -> None:
    waiting = tables["minute_bars"].filter(pl.col("time").dt.time().is_in([time(14, 58), time(14, 59)]))
    shanghai, early = pl.col("symbol").str.ends_with(".SH"), pl.col("time").dt.date() == DAYS[0]
    assert waiting.filter(~(shanghai & early))["volume"].sum() == 0
    assert waiting.filter(shanghai & early)["volume"].sum() > 0


def test_minutes_change_no_other_table(tables: dict[str, pl.DataFrame]) -> None:
    assert simulate(SimulationSettings(**SMALL)).tables["bars"].equals(tables["bars"])


def test_a_day_without_session_is_refused() -> None:
    with pytest.raises(KestrelError, match="2018-09-02, which is no session"):
        simulate(SimulationSettings(**SMALL, minute_days=(date(2018, 9, 2),)))


def test_a_session_has_240_minutes_named_by_their_ends() -> None:
    ends = minute_ends(np.datetime64("2018-09-03"))
    assert [str(ends[place])[11:16] for place in (0, 119, 120, 239)] == ["09:31", "11:30", "13:01", "15:00"]
    for call in (False, True):
        assert profile(call).sum() == pytest.approx(1)
    assert profile(True)[-1] == pytest.approx(0.02)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(100, 20_000),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.floats(0, 0.3),
    st.integers(1, 10**6),
    st.integers(0, 2**31),
)
def test_any_bar_can_be_shared_out(low: int, places: tuple[float, ...], reach: float, lots: int, seed: int) -> None:
    high = low + int(reach * low)
    opening, close = (low + round(place * (high - low)) for place in places[:2])
    whole, paid = 100.0 * lots, 100.0 * lots * (low + places[2] * (high - low))
    rng = np.random.default_rng(seed)
    bar, usual = np.array([opening, high, low, close]), profile(places[3] > 0.5) * rng.gamma(2.0, 0.5, M)
    prices, volume, amount = np.empty((4, M), dtype=np.int64), np.empty(M), np.empty(M)
    walk(bar, rng.standard_normal(M), rng.exponential(0.3, (2, M)), usual > 0, prices)
    trade(bar, whole, paid, usual, prices, volume, amount)
    assert [prices[0, 0], prices[1].max(), prices[2].min(), prices[3, -1]] == bar.tolist()
    assert (prices[2] <= np.minimum(prices[0], prices[3])).all()
    assert (prices[1] >= np.maximum(prices[0], prices[3])).all()
    assert volume.sum() == whole
    assert volume.min() >= 0
    assert amount.sum() == pytest.approx(paid, rel=1e-9)
    dealt = volume > 0
    assert (amount[dealt] / volume[dealt] <= prices[1, dealt] + 1e-6).all()
    assert (amount[dealt] / volume[dealt] >= prices[2, dealt] - 1e-6).all()
