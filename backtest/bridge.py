"""A bridge to vectorbt: the fills of an account as its Portfolio, for those who like its plots and statistics.

Rules, lots and costs have been applied already, so vectorbt only replays the fills; its licence (Apache-2.0 with Commons Clause) is its own.
"""

from typing import TYPE_CHECKING

import numpy as np

from backtest.result import COSTS, Result
from data.errors import KestrelError

if TYPE_CHECKING:
    import vectorbt


def portfolio(result: Result) -> "vectorbt.Portfolio":
    """The account as a vectorbt Portfolio that holds the same shares and, within rounding, the same equity every session.

    Raises KestrelError for an account that got dividends, bonus shares or a delisting payment: vectorbt's orders know none of them.
    """
    import pandas as pd
    import vectorbt

    if len(result.events):
        raise KestrelError(f"The account has {len(result.events)} dividends or delistings, which vectorbt can't replay. Use result.nav_D.")
    shape = result.shares_DN.shape
    rows, columns = _places(result)
    trades = result.trades
    sign = np.where((trades["side"] == "buy").to_numpy(), 1.0, -1.0)
    size, price, fees = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    filled = (trades["shares"] > 0).to_numpy()
    at = rows[filled], columns[filled]
    size[at] = (sign * trades["shares"].to_numpy())[filled]
    price[at] = trades["price"].to_numpy()[filled]
    fees[at] = trades.select(COSTS).sum_horizontal().to_numpy()[filled]
    close = pd.DataFrame(result.price_DN, index=pd.DatetimeIndex(np.array(result.dates, dtype="datetime64[ns]")), columns=list(result.symbols))
    settings = {"init_cash": result.capital / 100, "cash_sharing": True, "group_by": True, "call_seq": "auto", "freq": "D"}
    return vectorbt.Portfolio.from_orders(close.ffill(), size, price=price, fixed_fees=fees, **settings)


def _places(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Session and stock of each order, as positions."""
    days = np.array(result.dates, dtype="datetime64[D]")
    place = {symbol: column for column, symbol in enumerate(result.symbols)}
    rows = np.searchsorted(days, result.trades["date"].to_numpy().astype("datetime64[D]"))
    return rows, np.array([place[symbol] for symbol in result.trades["symbol"]], dtype=np.int64)
