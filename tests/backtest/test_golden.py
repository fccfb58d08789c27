"""Each rule that moves money, computed by hand on the session before and after it changed: market-rules by their row numbers."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from backtest.costs import FREE, CostSettings
from backtest.impact import SQUARE_ROOT
from backtest.simulation import SimulationSettings
from backtest.strategies import Targets
from backtest.targets import simulate_weights

OTHER = "000002.SZ"
EXACT = Targets(band=0.0)
nan = np.nan


def market_with(market_of, symbol, close, *, first, dividends=None, **columns):
    """One stock of interest beside one that is never traded, and its column."""
    symbols = tuple(sorted((symbol, OTHER)))
    at = symbols.index(symbol)

    def paired(values, other):
        return np.insert(np.asarray(values)[:, None], 1 - at, other, axis=1)

    pairs = {name: paired(values, {"st": False, "trading": True}.get(name, 50.0)) for name, values in columns.items()}
    return market_of(paired(close, 50.0), symbols=symbols, first=first, dividends=dividends, **pairs), at


def wishes_of(at, weights):
    """Weights of the stock of interest by evening; NaN leaves the book alone."""
    found = np.zeros((len(weights), 2))
    found[:, at] = weights
    found[np.isnan(weights)] = nan
    return found


def round_trip(market_of, symbol, first, *, shares=1000, price=10.0, costs=None):
    """Buy on the second session and sell on the third; (buy, sell) as rows of trades."""
    market, at = market_with(market_of, symbol, [price] * 3, first=first)
    cash = SimulationSettings(cash=2 * shares * price)
    found = simulate_weights(wishes_of(at, [0.5, 0.0, nan]), market, costs=costs or CostSettings(), settings=cash, targets=EXACT)
    return found.trades.rows(named=True)


@pytest.mark.parametrize(
    ("first", "buy", "sell"),
    [
        (date(2005, 1, 19), 0.0, 0.0),  # trades Thu 20 and Fri 21: before the table's first row there is none
        (date(2005, 1, 21), 10.0, 10.0),  # Mon 24: 0.1 % of both sides
        (date(2007, 5, 25), 10.0, 10.0),  # Mon 28, Tue 29
        (date(2007, 5, 29), 30.0, 30.0),  # Wed 30: 0.3 %
        (date(2008, 4, 21), 30.0, 30.0),  # Tue 22, Wed 23
        (date(2008, 4, 23), 10.0, 10.0),  # Thu 24: 0.1 %
        (date(2008, 9, 17), 10.0, 10.0),  # Thu 18 buys and Fri 19 sells: the buyer's last day
        (date(2008, 9, 18), 0.0, 10.0),  # Fri 19 buys
        (date(2023, 8, 23), 0.0, 10.0),  # Thu 24, Fri 25
        (date(2023, 8, 24), 0.0, 5.0),  # Fri 25 buys, Mon 28 sells at 0.05 %
    ],
)
def test_row_14_stamp_duty(market_of, first, buy, sell):
    bought, sold = round_trip(market_of, "000001.SZ", first)
    assert (bought["stamp_duty"], sold["stamp_duty"]) == (buy, sell)


@pytest.mark.parametrize(
    ("symbol", "first", "fee"),
    [
        ("600001.SH", date(2012, 5, 29), 20.0),  # trades Wed 30 and Thu 31: 0.1 % of 20,000 shares
        ("600001.SH", date(2012, 5, 31), 15.0),  # Fri 06-01: 0.075 %
        ("600001.SH", date(2012, 8, 29), 15.0),  # Thu 30, Fri 31
        ("600001.SH", date(2012, 8, 31), 12.0),  # Mon 09-03: 0.06 %
        ("600001.SH", date(2015, 7, 29), 12.0),  # Thu 30, Fri 31
        ("600001.SH", date(2015, 7, 31), 4.0),  # Mon 08-03: 0.002 % of 200,000 CNY
        ("000001.SZ", date(2015, 7, 29), 0.0),  # Shenzhen's was inside other fees
        ("000001.SZ", date(2015, 7, 31), 4.0),
        ("600001.SH", date(2022, 4, 26), 4.0),  # Wed 27, Thu 28
        ("600001.SH", date(2022, 4, 28), 2.0),  # Fri 29: 0.001 %
        ("000001.SZ", date(2022, 4, 26), 4.0),
        ("000001.SZ", date(2022, 4, 28), 2.0),
        ("830001.BJ", date(2022, 4, 26), 5.0),  # 0.0025 %
        ("830001.BJ", date(2022, 4, 28), 2.0),
    ],
)
def test_row_15_transfer_fee(market_of, symbol, first, fee):
    bought, sold = round_trip(market_of, symbol, first, shares=20_000)
    assert (bought["transfer_fee"], sold["transfer_fee"]) == (fee, fee)


@pytest.mark.parametrize(("shares", "commission"), [(1000, 5.0), (2500, 5.0), (2600, 5.2), (100_000, 200.0)])
def test_row_16_commission_is_at_least_5_an_order(market_of, shares, commission):
    bought, _ = round_trip(market_of, "000001.SZ", date(2024, 3, 1), shares=shares)
    assert bought["commission"] == commission


@pytest.mark.parametrize(
    ("symbol", "first", "commission"),
    [
        ("300001.SZ", date(2020, 8, 20), 62.0),  # trades Fri 21: 310,000 shares at 1 CNY in one order, 0.02 %
        ("300001.SZ", date(2020, 8, 21), 65.0),  # Mon 24: 300,000 pay 60, the other 10,000 the minimum of 5
        ("688001.SH", date(2020, 8, 21), 65.0),  # 100,000 an order: three pay 20 each, the rest 5
        ("600001.SH", date(2020, 8, 21), 62.0),  # one million an order
    ],
)
def test_row_11_larger_orders_than_the_exchange_takes_pay_the_minimum_each(market_of, symbol, first, commission):
    bought, _ = round_trip(market_of, symbol, first, shares=310_000, price=1.0)
    assert (bought["shares"], bought["commission"]) == (310_000, commission)


@pytest.mark.parametrize(
    ("symbol", "first", "st", "close", "reason"),
    [
        ("600001.SH", date(2024, 3, 1), 0, 10.99, None),  # row 2: 10 %
        ("600001.SH", date(2024, 3, 1), 0, 11.0, "limit_up"),
        ("600001.SH", date(2026, 7, 2), 1, 10.5, "limit_up"),  # row 3: Fri 03
        ("600001.SH", date(2026, 7, 3), 1, 10.5, None),  # Mon 06: 10 %
        ("300001.SZ", date(2020, 8, 20), 0, 11.0, "limit_up"),  # row 4: Fri 21
        ("300001.SZ", date(2020, 8, 21), 0, 11.0, None),  # Mon 24: 20 %
        ("300001.SZ", date(2020, 8, 21), 0, 12.0, "limit_up"),
        ("300001.SZ", date(2020, 8, 20), 1, 10.5, "limit_up"),
        ("300001.SZ", date(2020, 8, 21), 1, 10.5, None),  # ST too
        ("688001.SH", date(2019, 7, 22), 0, 11.99, None),  # row 5: 20 %
        ("688001.SH", date(2019, 7, 22), 0, 12.0, "limit_up"),
        ("830001.BJ", date(2021, 11, 15), 0, 12.99, None),  # row 6: 30 %
        ("830001.BJ", date(2021, 11, 15), 0, 13.0, "limit_up"),
    ],
)
def test_rows_2_to_6_limits(market_of, symbol, first, st, close, reason):
    market, at = market_with(market_of, symbol, [10.0, close], first=first, st=[bool(st)] * 2)
    found = simulate_weights(wishes_of(at, [0.5, nan]), market, costs=FREE, targets=EXACT)
    assert found.trades["reason"].to_list() == [reason]


def test_row_9_limit_is_half_up_to_the_cent(market_of):
    for close, reason in [(1.26, None), (1.27, "limit_up")]:  # 1.15 x 1.10 = 1.265 is 1.27, not the 1.26 of binary rounding
        market, at = market_with(market_of, "600001.SH", [1.15, close], first=date(2024, 3, 1))
        assert simulate_weights(wishes_of(at, [0.5, nan]), market, costs=FREE, targets=EXACT).trades["reason"].to_list() == [reason]


@pytest.mark.parametrize(("open_", "close", "reason"), [(11.0, 11.0, "limit_up"), (11.0, 10.5, "limit_up"), (10.5, 11.0, None)])
def test_one_price_day_has_no_buyer_and_a_day_that_ends_at_its_limit_had_one_before(market_of, open_, close, reason):
    market, at = market_with(market_of, "600001.SH", [10.0, close], first=date(2024, 3, 1), open_=[10.0, open_])
    assert simulate_weights(wishes_of(at, [0.5, nan]), market, costs=FREE, targets=EXACT).trades["reason"].to_list() == [reason]


def test_row_1_proceeds_of_a_sale_buy_on_the_same_day(market_of):
    market = market_of(np.full((3, 2), 10.0), symbols=("600001.SH", "600002.SH"))
    wishes = np.array([[1.0, 0.0], [0.0, 1.0], [nan, nan]])
    found = simulate_weights(wishes, market, costs=FREE, settings=SimulationSettings(cash=10_000), targets=EXACT)
    assert found.shares_DN.tolist() == [[1000, 0], [0, 1000]]


def test_row_21_holding_that_is_suspended_for_months_keeps_its_last_close_and_is_sold_when_it_trades_again(market_of):
    sessions = 90
    trading = np.ones(sessions, dtype=bool)
    trading[2:80] = False
    before = np.full(sessions, 10.0)
    market, at = market_with(market_of, "600001.SH", np.full(sessions, 10.0), first=date(2024, 3, 1), trading=trading, pre_close=before)
    wishes = wishes_of(at, [1.0] + [0.0] * (sessions - 1))
    found = simulate_weights(wishes, market, costs=FREE, settings=SimulationSettings(cash=10_000), targets=EXACT)
    sells = found.trades.filter(pl.col("side") == "sell")
    assert sells["reason"].to_list() == ["suspended"] * 78 + [None]
    assert sells["date"][-1] == market.axes.dates[80]
    assert set(found.nav_D) == {10_000.0}


@pytest.mark.parametrize(
    ("symbol", "held", "wish", "sold"),
    [
        ("600001.SH", 1237, 0.0, 1237),  # row 10: all that is left goes in one order
        ("600001.SH", 1237, 0.4, 600),  # whole hundreds of the 682 too many
        ("688001.SH", 1237, 0.4, 682),  # STAR: by one above 200
        ("688001.SH", 1237, 0.8, 0),  # 127 too many are below 200
    ],
)
def test_row_10_sales_are_whole_lots_or_everything(market_of, symbol, held, wish, sold):
    """Of 1,100 shares at 10 CNY 1,237 are made by a transfer of 137 for 1,100: an odd lot, of 13,870 CNY with the cash."""
    rights = [{"symbol": symbol, "ex_date": date(2024, 3, 5), "transfer": 137 / 1100}]
    market, at = market_with(market_of, symbol, [10.0] * 4, first=date(2024, 3, 1), pre_close=[10.0] * 4, dividends=rights)
    wishes = wishes_of(at, [0.88, nan, wish, nan])  # of 12,500 CNY
    found = simulate_weights(wishes, market, costs=FREE, settings=SimulationSettings(cash=12_500), targets=EXACT)
    assert found.shares_DN[:, at].tolist() == [1100, held, held - sold]


@pytest.mark.parametrize(
    ("bought", "ex", "sold", "cash", "tax"),
    [
        (date(2016, 3, 2), date(2016, 3, 10), date(2016, 4, 1), 0.5, 100.0),  # within a month: 20 % of 500
        (date(2016, 3, 1), date(2016, 3, 10), date(2016, 4, 1), 0.5, 100.0),  # the same day of the next month is the last
        (date(2016, 3, 1), date(2016, 3, 10), date(2016, 4, 4), 0.5, 50.0),  # the session after: 10 %
        (date(2017, 1, 31), date(2017, 2, 3), date(2017, 2, 28), 0.5, 100.0),  # a month without that day ends with its last
        (date(2017, 1, 31), date(2017, 2, 3), date(2017, 3, 1), 0.5, 50.0),
        (date(2016, 3, 2), date(2016, 3, 10), date(2017, 3, 2), 0.5, 50.0),  # a year to the day
        (date(2016, 3, 2), date(2016, 3, 10), date(2017, 3, 3), 0.5, 0.0),  # beyond it nothing
        (date(2015, 9, 1), date(2015, 9, 8), date(2016, 9, 2), 0.5, 25.0),  # recorded on Mon 2015-09-07: 5 % beyond a year
        (date(2015, 9, 1), date(2015, 9, 9), date(2016, 9, 2), 0.5, 0.0),  # recorded on Tue 2015-09-08
        (date(2012, 12, 24), date(2013, 1, 1), date(2013, 1, 10), 0.5, 50.0),  # recorded on 2012-12-31: a flat 10 %
        (date(2012, 12, 24), date(2013, 1, 2), date(2013, 1, 10), 0.5, 100.0),  # recorded from 2013-01-01 on: 20 %
    ],
)
def test_row_18_dividend_tax_by_holding_period_and_record_date(market_of, bought, ex, sold, cash, tax):
    rights = [{"symbol": "600001.SH", "ex_date": ex, "cash": cash}]
    first, flat = bought - timedelta(days=4), [10.0] * 290
    market, at = market_with(market_of, "600001.SH", flat, first=first, dividends=rights, pre_close=flat)
    wishes = wishes_of(at, [nan] * 290)
    wishes[market.axes.index(bought) - 1] = np.eye(2)[at]
    wishes[market.axes.index(sold) - 1] = 0.0
    taxed = SimulationSettings(cash=10_000, dividend_tax=True)
    found = simulate_weights(wishes, market, costs=FREE, settings=taxed, targets=EXACT)
    sale = found.trades.filter(pl.col("side") == "sell").row(0, named=True)
    assert (sale["date"], sale["shares"], sale["dividend_tax"]) == (sold, 1000, tax)
    assert found.nav_D[-1] == found.cash_D[-1] == 10_000 + 500 - tax
    at_ex = found.dates.index(ex)
    assert found.owed_cents_D[at_ex - 1] == 0 < found.owed_cents_D[at_ex]  # accrued from the ex-date on
    assert found.costs_D["dividend_tax"].sum() == pytest.approx(tax)


def test_row_18_bonus_shares_are_taxed_at_par_and_the_oldest_shares_go_first(market_of):
    """1,000 shares, of them 1,500 by a bonus of 0.5; the first 1,000 owe 20 % of 0.50 CNY each, the new ones nothing."""
    rights = [{"symbol": "600001.SH", "ex_date": date(2024, 3, 6), "bonus": 0.5}]
    close = [10.0, 10, 10, 6.67, 6.67, 6.67]
    market, at = market_with(market_of, "600001.SH", close, first=date(2024, 3, 1), dividends=rights, pre_close=[10.0, 10, 10, 6.67, 6.67, 6.67])
    wishes = wishes_of(at, [1.0, nan, nan, 0.6, 0.0, nan])
    settings = SimulationSettings(cash=10_000, dividend_tax=True)
    found = simulate_weights(wishes, market, costs=FREE, settings=settings, targets=EXACT)
    sales = found.trades.filter(pl.col("side") == "sell").select("shares", "dividend_tax").rows()
    assert sales == [(600, 60.0), (900, 40.0)]
    assert found.owed_cents_D.tolist() == [0, 0, 10_000, 4_000, 0]


@pytest.mark.parametrize(("participation", "filled", "reason"), [(None, 500_000, None), (0.25, 250_000, "volume"), (0.0333333, 33_300, "volume")])
def test_slice_of_the_days_volume_is_the_most_that_is_filled(market_of, participation, filled, reason):
    settings = SimulationSettings(cash=1e7, participation=participation, deal="vwap")
    market, at = market_with(market_of, "600001.SH", [10.0] * 2, first=date(2024, 3, 1))  # a million shares are traded a day
    found = simulate_weights(wishes_of(at, [0.5, nan]), market, costs=FREE, settings=settings, targets=EXACT)
    assert found.trades.select("ordered", "shares", "reason").rows() == [(500_000, filled, reason)]


def test_impact_is_two_thirds_of_the_volatility_times_the_root_of_the_share_of_volume(market_of):
    """A hundredth of the mean volume of a million costs a tenth of 2/3 of the volatility of the sessions before."""
    close = 10 * np.exp(0.01 * np.array([0, *([1, 0] * 6)]))
    market, at = market_with(market_of, "600001.SH", close, first=date(2024, 3, 1), pre_close=np.append(close[0], close[:-1]))
    wishes = wishes_of(at, [nan] * 13)
    wishes[10] = 0.0
    wishes[10, at] = 10_000 * close[10] / 1e6 + 1e-6
    settings = SimulationSettings(cash=1e6, impact=SQUARE_ROOT, size_at="reference", deal="close", limits=False)
    found = simulate_weights(wishes, market, costs=FREE, settings=settings, targets=EXACT)
    moves = np.log(close[1:11] / close[:10])
    sigma = np.std([0.0, *moves], ddof=1)  # the first session's move is none
    paid = found.trades.row(0, named=True)
    assert paid["shares"] == 10_000
    assert paid["impact"] == pytest.approx(2 / 3 * sigma * 0.1 * paid["amount"], abs=0.011)


@pytest.mark.parametrize(
    ("buys", "shares"),
    [
        ("score", [100, 500, 300]),  # by target: the second, the third, and of the first what is left
        ("symbol", [200, 500, 200]),
        ("largest", [100, 500, 300]),
        ("pro_rata", [100, 400, 200]),  # ten in eleven of each, in whole lots
    ],
)
def test_order_in_which_buys_get_the_cash_is_a_policy(market_of, buys, shares):
    names = ("600001.SH", "600002.SH", "600003.SH")
    market = market_of([[10.0, 10, 10]] * 2, symbols=names, open_=[[10.0] * 3, [10.99] * 3])
    settings = SimulationSettings(cash=10_000, buys=buys)
    found = simulate_weights(np.array([[0.2, 0.5, 0.3]] * 2), market, costs=FREE, settings=settings, targets=EXACT)
    assert found.trades.sort("symbol")["ordered"].to_list() == [200, 500, 300]
    assert found.shares_DN[0].tolist() == shares
