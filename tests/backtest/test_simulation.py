"""The simulation against its plain reference, its laws over random markets, and each rule by hand on both sides of its change."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.costs import FREE, QLIB_COSTS, CostSettings
from backtest.fills import REASONS, SIDES
from backtest.reference import simulate_plainly
from backtest.result import COSTS
from backtest.simulation import SimulationSettings, simulate
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from backtest.targets import simulate_weights
from data.errors import KestrelError

NAMES = ("600001.SH", "600002.SH")
FREE_CASE = {"costs": FREE, "strategy": TopkDropout(k=1, drop=1, invested=1.0)}

rankings = st.one_of(
    st.builds(TopkDropout, k=st.integers(1, 6), drop=st.integers(1, 4), invested=st.sampled_from([0.5, 0.95, 1.0])),
    st.builds(
        TopkBuffer,
        k=st.integers(1, 5),
        buffer=st.integers(5, 9),
        every=st.integers(1, 4),
        band=st.sampled_from([0.0, 0.2]),
        invested=st.sampled_from([0.95, 1.0]),
    ),
)
plans = st.one_of(rankings, st.builds(Targets, band=st.sampled_from([0.0, 0.1, 1.0])))
accounts = st.builds(
    SimulationSettings,
    deal=st.sampled_from(["open", "close", "vwap"]),
    cash=st.sampled_from([3_000.0, 40_000.0, 1e6, 1e9]),
    size_at=st.sampled_from(["reference", "deal"]),
    limits=st.booleans(),
    lots=st.booleans(),
    participation=st.sampled_from([None, None, 0.0005, 0.05]),
    impact=st.sampled_from([0.0, 2 / 3]),
    buys=st.sampled_from(["score", "symbol", "largest", "pro_rata"]),
    delisted=st.sampled_from(["last_close", "nothing"]),
    dividend_tax=st.booleans(),
)
charges = st.sampled_from([CostSettings(), QLIB_COSTS, FREE, CostSettings(commission=0.003, minimum=1.23, slippage=0.00123)])
eras = st.sampled_from([date(2008, 9, 1), date(2012, 8, 20), date(2015, 7, 20), date(2022, 4, 18), date(2023, 8, 14)])


def scores_of(market, seed, *, distinct=False):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=market.axes.shape) if distinct else rng.integers(0, 9, market.axes.shape).astype(float)
    scores[rng.random(market.axes.shape) < 0.15] = np.nan
    return scores


def weights_of(market, seed):
    """Weights that sum to at most 1, many of them 0, on two sessions in three."""
    rng = np.random.default_rng(seed)
    weights = rng.random(market.axes.shape) * (rng.random(market.axes.shape) < 0.5)
    weights *= rng.choice([0.5, 0.95, 1.0], (len(weights), 1)) / np.maximum(1e-9, weights.sum(axis=1, keepdims=True))
    weights[rng.random(len(weights)) < 0.33] = np.nan
    return weights


def played(market, seed, strategy, **settings):
    """(the signal, the account) of random scores, or of random weights for a strategy of targets."""
    if isinstance(strategy, Targets):
        weights = weights_of(market, seed)
        return weights, simulate_weights(weights, market, targets=strategy, **settings)
    scores = scores_of(market, seed)
    return scores, simulate(scores, market, strategy=strategy, **settings)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10_000), first=eras, strategy=plans, account=accounts, costs=charges)
def test_compiled_simulation_equals_the_plain_reference_to_the_cent(random_market, seed, first, strategy, account, costs):
    market = random_market(seed, first=first)
    signal, result = played(market, seed, strategy, costs=costs, settings=account)
    plain, equity = simulate_plainly(signal, market, strategy=strategy, costs=costs, settings=account)
    fields = ["session", "stock", "side", "ordered", "shares", "amount", *COSTS, "reason"]
    ours = [tuple(int(row[name]) for name in fields) for row in result.ledger]
    theirs = [
        (d - 1, n, SIDES.index(side), ordered, shares, amount, *fees, tax, REASONS.index(reason or "filled"))
        for d, n, side, ordered, shares, amount, fees, tax, reason in plain.happened
    ]
    assert ours == theirs
    assert result.nav_cents_D.tolist() == equity
    assert result.cash_cents_D[-1] == plain.cash


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), first=eras, strategy=plans, account=accounts, costs=charges)
def test_money_is_conserved_to_the_cent_and_no_rule_is_broken(random_market, seed, first, strategy, account, costs):
    market = random_market(seed, first=first)
    _, result = played(market, seed, strategy, costs=costs, settings=account)
    cash, shares = result.capital, np.zeros(market.axes.shape[1], dtype=np.int64)
    assert result.cash_cents_D.min() >= 0
    for s in range(len(result.dates)):
        at_open = shares.copy()
        sold = np.zeros_like(shares)
        for row in result.ledger[result.ledger["session"] == s]:
            n, side = row["stock"], SIDES[row["side"]]
            fees = sum(row[name] for name in COSTS)
            cash += {"buy": -row["amount"]}.get(side, row["amount"]) - fees
            shares[n] += {"buy": 1, "sell": -1, "dividend": 0, "bonus": 1, "delisted": -1}[side] * row["shares"]
            at_open[n] += row["shares"] if side == "bonus" else 0
            sold[n] += row["shares"] if side == "sell" else 0
            if side in ("buy", "sell") and row["shares"]:
                d = s + 1
                assert market.trading_DN[d, n]
                assert row["price"] == market.deal_DN(account.deal)[d, n]
                assert not account.limits or side == "sell" or not row["price"] >= market.limit_up_DN[d, n]
                assert not account.limits or side == "buy" or not row["price"] <= market.limit_down_DN[d, n]
                assert row["shares"] <= (account.participation or 1e9) * market.volume_DN[d, n]
        assert (sold <= at_open).all()  # T+1: nothing bought today is sold today
        worth = sum(int(np.floor(shares[n] * market.last_DN[s + 1, n] * 100 + 0.5)) for n in np.flatnonzero(shares))
        assert cash == result.cash_cents_D[s]
        assert worth == result.positions_cents_D[s]
        assert cash + worth - result.owed_cents_D[s] == result.nav_cents_D[s]
        assert account.dividend_tax or not result.owed_cents_D[s]
        assert (shares == result.shares_DN[s]).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), strategy=rankings)
def test_order_of_symbols_is_irrelevant(market_of, seed, strategy):
    rng = np.random.default_rng(seed)
    close = np.round(10 * np.cumprod(1 + rng.normal(0, 0.03, (20, 8)), axis=0), 2)
    scores, other = rng.normal(size=close.shape), rng.permutation(8)
    names = tuple(f"60000{i}.SH" for i in range(8))
    ours = simulate(scores, market_of(close, symbols=names), strategy=strategy, costs=CostSettings())
    theirs = simulate(scores[:, other], market_of(close[:, other], symbols=names), strategy=strategy, costs=CostSettings())
    assert ours.nav_cents_D.tolist() == theirs.nav_cents_D.tolist()
    assert (ours.shares_DN[:, other] == theirs.shares_DN).all()


@pytest.mark.parametrize("value", [np.nan, 0.0, 3.5, np.inf])
@pytest.mark.parametrize("strategy", [TopkDropout(k=3, drop=1), TopkBuffer(k=3, buffer=5, every=1)])
def test_scores_that_tell_no_stock_apart_trade_nothing(random_market, value, strategy):
    market = random_market(1)
    result = simulate(np.full(market.axes.shape, value), market, strategy=strategy, costs=CostSettings())
    assert result.trades.is_empty()
    assert (result.nav_cents_D == result.capital).all()


def test_signal_of_a_session_is_traded_on_the_next_at_its_open(market_of):
    market = market_of([[10, 20], [11, 21], [10, 21]], symbols=NAMES, open_=[[10, 20], [10.5, 20], [10, 21]])
    result = simulate(np.array([[2.0, 1], [2, 1], [2, 1]]), market, settings=SimulationSettings(cash=10_600), **FREE_CASE)
    assert result.dates == market.axes.dates[1:]
    assert result.trades.row(0, named=True) | {"symbol": "600001.SH", "side": "buy", "shares": 1000, "price": 10.5} == result.trades.row(
        0, named=True
    )
    assert result.nav_D.tolist() == [100 + 11_000, 100 + 10_000]


@pytest.mark.parametrize(
    ("symbol", "first", "traded"),
    [
        ("600001.SH", date(2024, 3, 1), False),  # main board: 10 %
        ("300001.SZ", date(2020, 8, 20), False),  # ChiNext until Friday 2020-08-21: 10 %
        ("300001.SZ", date(2020, 8, 21), True),  # from Monday 2020-08-24: 20 %
        ("688001.SH", date(2019, 7, 22), True),
        ("830001.BJ", date(2021, 11, 15), True),
    ],
)
def test_stock_at_its_limit_up_of_the_date_cannot_be_bought(market_of, symbol, first, traded):
    names = tuple(sorted((symbol, "000001.SZ")))
    close = np.full((3, 2), 10.0)
    close[1:, names.index(symbol)] = 11.0
    market = market_of(close, symbols=names, first=first)
    scores = np.tile([1.0 if name == symbol else 0.0 for name in names], (3, 1))
    result = simulate(scores, market, end=market.axes.dates[1], costs=FREE, strategy=TopkDropout(k=1, drop=1, invested=0.5))
    assert result.trades["reason"].to_list() == ([None] if traded else ["limit_up"])
    assert bool(result.shares_DN.any()) == traded


def test_st_stock_on_the_main_board_is_limited_to_5_percent_until_2026_07_06(market_of):
    for first, reason in [(date(2026, 7, 2), "limit_up"), (date(2026, 7, 3), None)]:  # trades on Friday 07-03 and Monday 07-06
        market = market_of([[10, 10], [10.5, 10], [10.5, 10]], symbols=NAMES, first=first, st=[[True, False]] * 3)
        result = simulate(np.array([[2.0, 1]] * 3), market, end=market.axes.dates[1], costs=FREE, strategy=TopkDropout(k=1, drop=1, invested=0.5))
        assert result.trades["reason"].to_list() == [reason]


def test_stock_at_its_limit_down_cannot_be_sold_and_is_sold_the_day_after(market_of):
    market = market_of([[10, 10], [10, 10], [9, 10], [8.9, 10]], symbols=NAMES)
    result = simulate(np.array([[2.0, 1], [1, 2], [1, 2], [1, 2]]), market, settings=SimulationSettings(cash=10_000), **FREE_CASE)
    sells = result.trades.filter(pl.col("side") == "sell")
    assert sells["reason"].to_list() == ["limit_down", None]
    assert sells["shares"].to_list() == [0, 1000]


def test_suspended_holding_stays_at_its_last_close_and_its_sale_waits(market_of):
    trading = np.array([[1, 1], [1, 1], [0, 1], [0, 1], [1, 1]], dtype=bool)
    market = market_of(
        [[10, 10], [10.4, 10], [99, 10], [99, 10], [10.6, 10]], symbols=NAMES, trading=trading, pre_close=[[10, 10]] * 4 + [[10.4, 10]]
    )
    result = simulate(np.array([[2.0, 1]] + [[1, 2]] * 4), market, settings=SimulationSettings(cash=10_000), **FREE_CASE)
    assert result.trades.filter(pl.col("side") == "sell")["reason"].to_list() == ["suspended", "suspended", None]
    held = int(result.shares_DN[0, 0])
    assert result.nav_D[1] == result.nav_D[2] == result.cash_D[1] + held * 10.4


@pytest.mark.parametrize(
    ("symbol", "cash", "shares"),
    [
        ("600001.SH", 1_999.0, 100),
        ("300001.SZ", 999.0, 0),
        ("688001.SH", 1_999.0, 0),
        ("688001.SH", 2_055.0, 205),
        ("830001.BJ", 1_055.0, 105),
        ("830001.BJ", 999.0, 0),
    ],
)
def test_lots_are_those_of_the_board(market_of, symbol, cash, shares):
    names = tuple(sorted((symbol, "000001.SZ")))
    market = market_of(np.full((2, 2), 10.0), symbols=names)
    scores = np.tile([1.0 if name == symbol else 0.0 for name in names], (2, 1))
    result = simulate(scores, market, settings=SimulationSettings(cash=cash), **FREE_CASE)
    assert result.trades["shares"].to_list() == [shares]
    assert result.trades["reason"].to_list() == [None if shares else "below_lot"]


def test_bonus_shares_make_an_odd_lot_that_is_sold_in_one_order(market_of):
    market = market_of(
        [[10, 10], [10, 10], [8.7, 10], [8.7, 10]],
        symbols=NAMES,
        pre_close=[[10, 10], [10, 10], [8.67, 10], [8.7, 10]],
        dividends=[{"symbol": "600001.SH", "ex_date": date(2024, 3, 5), "cash": 0.25, "bonus": 0.1, "transfer": 0.025}],
    )
    result = simulate(np.array([[2.0, 1], [2, 1], [1, 2], [1, 2]]), market, settings=SimulationSettings(cash=3_000), **FREE_CASE)
    assert result.events.select("event", "held", "shares", "amount").rows() == [
        ("dividend", 300, 0, 75.0),
        ("bonus", 300, 37, 0.0),
    ]  # 37.5 shares: half a share is lost
    assert result.trades.filter(pl.col("side") == "sell")["shares"].to_list() == [337]
    assert result.dividends_D.tolist() == [0, 75.0, 0]


def test_adjusted_prices_get_no_dividend_again(market_of):
    market = market_of([[10, 10]] * 3, symbols=NAMES, basis="adjusted", dividends=[{"symbol": "600001.SH", "ex_date": date(2024, 3, 5), "cash": 1.0}])
    result = simulate(np.array([[2.0, 1]] * 3), market, **FREE_CASE)
    assert result.events.is_empty()
    assert "not credited again" in result.policies()["dividends"]


def test_rights_of_a_suspended_stock_lower_what_it_is_worth(market_of):
    trading = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], dtype=bool)
    rights = [{"symbol": "600001.SH", "ex_date": date(2024, 3, 5), "transfer": 1.0}]
    market = market_of(
        [[10, 10], [10, 10], [10, 10], [5, 10]], symbols=NAMES, trading=trading, pre_close=[[10, 10]] * 3 + [[5, 10]], dividends=rights
    )
    result = simulate(np.array([[2.0, 1]] * 4), market, settings=SimulationSettings(cash=10_000), **FREE_CASE)
    assert result.nav_D.tolist() == [10_000] * 3


@pytest.mark.parametrize(("worth", "nav"), [("last_close", 9_000.0), ("nothing", 0.0)])
def test_delisted_holding_is_paid_out_or_written_off_as_stated(market_of, worth, nav):
    nan = np.nan
    market = market_of([[10, 10], [10, 10], [9, 10], [nan, 10], [nan, 10]], symbols=NAMES, delisted={"600001.SH": date(2024, 3, 6)})
    scores = np.array([[2.0, 1]] + [[nan, nan]] * 4)
    result = simulate(scores, market, settings=SimulationSettings(cash=10_000, delisted=worth), **FREE_CASE)
    assert result.nav_D.tolist() == [10_000, 9_000, nav, nav]
    assert result.events["event"].to_list() == ["delisted"]


def test_cash_goes_to_the_best_name_first_and_the_rest_says_no_cash(market_of):
    names = ("600001.SH", "600002.SH", "600003.SH")
    market = market_of([[10, 10, 10]] * 2, symbols=names, open_=[[10, 10, 10], [10.9, 10.9, 10.9]])
    strategy = TopkDropout(k=3, drop=3, invested=1.0)
    result = simulate(np.array([[1.0, 3, 2]] * 2), market, strategy=strategy, costs=FREE, settings=SimulationSettings(cash=9_000))
    rows = result.trades.select("symbol", "ordered", "shares", "status", "reason").rows()
    assert rows == [("600002.SH", 300, 300, "filled", None), ("600003.SH", 300, 300, "filled", None), ("600001.SH", 300, 200, "partial", "no_cash")]


def test_result_of_a_shorter_run_starts_and_ends_where_it_is_told(random_market):
    market = random_market(3)
    result = simulate(
        scores_of(market, 3), market, strategy=TopkDropout(k=3, drop=1), costs=CostSettings(), start=market.axes.dates[10], end=market.axes.dates[19]
    )
    assert result.dates == market.axes.dates[10:20]
    with pytest.raises(KestrelError, match="No session to trade"):
        simulate(scores_of(market, 3), market, strategy=TopkDropout(), costs=CostSettings(), start=date(2050, 1, 3))
    with pytest.raises(KestrelError, match="shape"):
        simulate(np.zeros((2, 2)), market, strategy=TopkDropout(), costs=CostSettings())


def test_ledger_that_overflows_is_continued(random_market, monkeypatch):
    market = random_market(5)
    scores = scores_of(market, 5)
    whole = simulate(scores, market, strategy=TopkBuffer(k=5, buffer=6, every=1, band=0.0), costs=CostSettings())
    monkeypatch.setattr("backtest.simulation.ROOM", 1)
    again = simulate(scores, market, strategy=TopkBuffer(k=5, buffer=6, every=1, band=0.0), costs=CostSettings())
    assert whole.trades.equals(again.trades)
    assert len(whole.ledger) > 90
