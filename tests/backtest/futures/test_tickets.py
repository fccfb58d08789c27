"""The contracts that an evening writes down are those that the hedged account trades in the morning."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.futures.account import EXPIRY, FILLED, OPENING_CAP
from backtest.futures.neutral import neutralise
from backtest.futures.settings import Neutral
from backtest.futures.tickets import TICKETS, tickets
from backtest.result import Result

PLAIN = {"slippage": 0.0, "transfer_cost": 0.0, "split_band": 1.0, "band": 0.0}


def until(long: Result, stop: int) -> Result:
    """The long account's first sessions."""
    cut = {name: getattr(long, name)[:stop] for name in ("dates", "nav_cents_D", "cash_cents_D", "owed_cents_D", "shares_DN", "price_DN")}
    return Result(**{**{name: getattr(long, name) for name in long.__dataclass_fields__}, **cut})


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 500),
    stop=st.integers(2, 69),
    account=st.sampled_from(["hedging", "other"]),
    roll=st.sampled_from(["days", "open_interest"]),
    buffer=st.sampled_from([0.0, 0.25]),
)
def test_tickets_of_an_evening_are_the_trades_of_the_next_session(random_futures, seed, stop, account, roll, buffer):
    market = random_futures(seed)
    neutral = Neutral(account=account, roll=roll, buffer=buffer)

    def hedged(long: Result):
        return neutralise(long, market.bars, market.index, neutral=neutral, calendar=market.calendar)

    whole, before = hedged(market.long), hedged(until(market.long, stop))
    traded = [trade for trade in whole.ledger if trade.session == stop and trade.why != EXPIRY]
    if any(trade.reason not in (FILLED, OPENING_CAP) for trade in traded):
        return  # the market refused some, which nobody knows beforehand
    found = [(whole.contracts[t.contract], "buy" if t.contracts > 0 else "sell", abs(t.contracts), t.why) for t in traded if t.contracts]
    written = tickets(before, market.dates[stop])
    assert written.filter(written["contracts"] > 0).select("contract", "side", "contracts", "why").rows() == found


@pytest.mark.parametrize(("nav", "rows"), [(70e6, [(1, "IC2403", "sell", 59, "hedge", None)]), (35e6, [(1, "IC2403", "sell", 29, "hedge", None)])])
def test_the_first_evening_opens_the_hedge(sessions, long_of, bars_of, index_of, nav, rows):
    dates = sessions(date(2024, 1, 2), 3)
    bars = bars_of(dates, {"IC2403": (dates[-1].replace(month=3, day=15), [5940, 5950, 6070])})
    hedge = neutralise(long_of(dates[:1], [nav]), bars, index_of(dates, [5980, 6030, 6120]), neutral=Neutral(**PLAIN), calendar=dates)
    written = tickets(hedge, dates[1])
    assert written.schema == TICKETS
    assert written.rows() == rows
