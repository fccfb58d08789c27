"""T+1 inside one session, which no strategy of today reaches: a buy is locked until the next session."""

import numpy as np
import pytest

from backtest.costs import CostSettings, rates
from backtest.fees import tariff
from backtest.fills import FILLED, LEDGER, T_PLUS_1, Book, buy, sell
from backtest.parcels import blank_parcels, no_ladder
from backtest.quotes import quote
from backtest.simulation import SimulationSettings, tape_of
from data.rules import exchange_rules


@pytest.fixture
def session(market_of):
    market = market_of(np.full((3, 2), 10.0), symbols=("600001.SH", "600002.SH"))
    tape = tape_of(market, 1, 3, SimulationSettings(), exchange_rules())
    dated = rates(CostSettings(), market.axes.days[1:], exchange_rules())
    book = Book(np.array([10_000_000]), np.array([300, 0]), np.zeros(2, np.int64))
    return quote(tape, 0, 0), tariff(dated, 0, 0, 1), tariff(dated, 0, 0, 0), book, np.zeros(3, LEDGER)


def test_shares_bought_today_are_not_sold_today(session):
    q, buying, selling, book, ledger = session
    none, law = blank_parcels(2, 0), no_ladder()
    buy(q, buying, book, none, ledger, 0, 0, 0, 500, 10_000_000)
    sell(q, selling, book, none, law, ledger, 1, 0, 0, 800)
    assert (ledger[1]["shares"], ledger[1]["reason"]) == (300, T_PLUS_1)
    assert book.shares_N[0] == 500
    book.locked_N[:] = 0
    sell(q, selling, book, none, law, ledger, 2, 1, 0, 500)
    assert (ledger[2]["shares"], ledger[2]["reason"]) == (500, FILLED)
