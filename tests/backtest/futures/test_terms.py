"""What the exchange asked on both sides of each change (rows 28 and 29 of the market's rules), and the fee of a day trade."""

from datetime import date

import numpy as np
import pytest

from backtest.costs import RATE_UNIT
from backtest.futures.account import Account
from backtest.futures.curve import curve
from backtest.futures.settings import Neutral
from backtest.futures.terms import UNCAPPED, charge, reserve, terms
from data.rules import exchange_rules

CHANGES = [
    # day before, first day; non-hedging margin, hedging margin, fee of a day trade, opening cap on each
    (date(2015, 9, 2), date(2015, 9, 7), (0.10, 0.40), (0.10, 0.20), (0.000023, 0.0023), (UNCAPPED, 10)),
    (date(2017, 2, 16), date(2017, 2, 17), (0.40, 0.30), (0.20, 0.20), (0.0023, 0.00092), (10, 20)),
    (date(2017, 9, 15), date(2017, 9, 18), (0.30, 0.30), (0.20, 0.20), (0.00092, 0.00069), (20, 20)),
    (date(2018, 11, 30), date(2018, 12, 3), (0.30, 0.15), (0.20, 0.15), (0.00069, 0.00046), (20, 50)),
    (date(2019, 4, 19), date(2019, 4, 22), (0.15, 0.12), (0.15, 0.12), (0.00046, 0.000345), (50, 500)),
    (date(2023, 3, 17), date(2023, 3, 20), (0.12, 0.12), (0.12, 0.12), (0.000345, 0.00023), (500, 500)),
]


@pytest.mark.parametrize(("before", "first", "margin", "hedging", "day_trade", "cap"), CHANGES)
def test_terms_change_on_their_day(before, first, margin, hedging, day_trade, cap):
    plain = terms(Neutral(account="other"), [before, first], exchange_rules())
    hedger = terms(Neutral(), [before, first], exchange_rules())
    assert plain.margin == [round(rate * RATE_UNIT) for rate in margin]
    assert hedger.margin == [round(rate * RATE_UNIT) for rate in hedging]
    assert plain.fee_close_today == hedger.fee_close_today == [round(rate * RATE_UNIT) for rate in day_trade]
    assert plain.opening_cap == list(cap)
    assert hedger.opening_cap == [UNCAPPED, UNCAPPED]
    assert plain.fee == [230, 230]


def test_the_broker_asks_above_the_exchange():
    found = terms(Neutral(margin_above=0.02, commission=0.00001), [date(2024, 1, 2)], exchange_rules())
    assert (found.margin, found.fee, found.fee_close_today) == ([1_400_000], [330], [2400])


def test_fees_round_half_up_and_margin_rounds_up():
    assert charge(1_234_567_00, 230) == 28_40  # 28.395
    assert reserve(1_234_567_01, 1_200_000) == 148_148_05  # 148,148.0412


def account_of(sessions, bars_of, index_of, day, level=6000.0, other=5900.0):
    dates = sessions(day, 3)
    bars = bars_of(dates, {"IC2403": (date(2024, 3, 15), [level] * 3), "IC2406": (date(2024, 6, 21), [other] * 3)})
    neutral = Neutral(slippage=0.0)
    known = np.array(sessions(day, 200), dtype="datetime64[D]")
    found = curve(bars, index_of(dates, [6000.0] * 3), dates, known, neutral, exchange_rules())
    return Account(found, terms(neutral, dates, exchange_rules()), 10_000_000_00)


def test_closing_what_was_opened_today_pays_the_day_traders_fee(sessions, bars_of, index_of):
    account = account_of(sessions, bars_of, index_of, date(2024, 1, 2))
    account.trade(0, 0, -5, "hedge")
    account.settle(0, [0, 0], 0)
    account.trade(1, 0, -3, "hedge")
    account.trade(1, 0, 4, "hedge")  # three of today, one of yesterday
    value = 6000 * 200
    assert [trade.fee / 100 for trade in account.trades] == [5 * value * 0.000023, 3 * value * 0.000023, 3 * value * 0.00023 + value * 0.000023]
    account.settle(1, [-5, 0], 0)
    account.trade(2, 0, 4, "hedge")
    assert account.trades[-1].fee / 100 == 4 * value * 0.000023
    assert account.position_C == [0, 0]


def test_margin_is_asked_of_every_contract(sessions, bars_of, index_of):
    account = account_of(sessions, bars_of, index_of, date(2024, 1, 2))
    account.trade(0, 0, -5, "hedge")
    account.trade(0, 1, -2, "hedge")
    assert account.margin(0) / 100 == 0.12 * 200 * (5 * 6000 + 2 * 5900)


def test_limits_are_of_the_settlement_before_and_wider_on_the_last_day(sessions, bars_of, index_of):
    dates = sessions(date(2024, 3, 13), 3)
    bars = bars_of(dates, {"IC2403": (date(2024, 3, 15), [6001.2, 6000.0, 6000.0])})
    found = curve(bars, index_of(dates, [6000.0] * 3), dates, np.array(sessions(dates[0], 9), dtype="datetime64[D]"), Neutral(), exchange_rules())
    assert np.isnan(found.limit_up_DC[0, 0])
    assert found.limit_up_DC[1:, 0] == pytest.approx([6601.2, 7200.0])  # 6601.32 down to the tick
    assert found.limit_down_DC[1:, 0] == pytest.approx([5401.2, 4800.0])  # 5401.08 up to it
    assert found.left_DC[:, 0].tolist() == [2, 1, 0]
