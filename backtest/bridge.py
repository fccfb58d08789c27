"""A bridge to vectorbt, for those who like its plots and statistics: fills and targets go in, fills and targets come out.

vectorbt knows no lot, limit, T+1 or dividend: where ours are switched off both reach the same equity.  Its licence (Apache-2.0 with
Commons Clause) is its own.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.costs import BUY, CostSettings
from backtest.market import Market
from backtest.result import COSTS, Result
from backtest.simulation import SimulationSettings
from data.errors import KestrelError
from data.panel import Floats

if TYPE_CHECKING:
    import vectorbt

FLAT = "one rate of commission and slippage, no minimum and no levies"


def portfolio(result: Result) -> "vectorbt.Portfolio":
    """The account's fills as a vectorbt Portfolio that holds the same shares and, within rounding, the same equity every session.

    Raises KestrelError for an account that got dividends, bonus shares or a delisting payment: vectorbt's orders know none of them.
    """
    import vectorbt

    if len(result.events):
        raise KestrelError(f"The account has {len(result.events)} dividends or delistings, which vectorbt can't replay. Use result.nav_D.")
    rows = result.ledger[(result.ledger["side"] <= BUY) & (result.ledger["shares"] > 0)]
    at = rows["session"], rows["stock"]
    size, price, fees = np.full(result.shares_DN.shape, np.nan), np.full(result.shares_DN.shape, np.nan), np.zeros(result.shares_DN.shape)
    size[at] = np.where(rows["side"] == BUY, 1.0, -1.0) * rows["shares"]
    price[at] = rows["price"]
    fees[at] = sum(rows[name] for name in COSTS) / 100
    return vectorbt.Portfolio.from_orders(_close(result), size, price=price, fixed_fees=fees, call_seq="auto", **_account(result))


def from_weights(weights_DN: Floats, market: Market, like: Result) -> "vectorbt.Portfolio":
    """The weights traded by vectorbt's own from_orders, with the prices, costs, capital and order of trading of the account `like`.

    weights_DN [D, N] over market.axes as simulate_weights takes them.  Raises KestrelError for costs that vectorbt can't charge.
    """
    import vectorbt

    costs, settings = like.costs, like.settings
    if not isinstance(costs, CostSettings) or costs.levies != "none" or costs.minimum or costs.sell_commission not in (None, costs.commission):
        raise KestrelError(f"vectorbt charges {FLAT}, and the account's costs are {costs}. Simulate with CostSettings(levies='none', minimum=0).")
    assert isinstance(settings, SimulationSettings)
    first = market.axes.index(like.dates[0])
    part = slice(first, first + len(like.dates))
    deal = market.deal_DN(settings.deal)[part]
    known = deal if settings.size_at == "deal" else market.reference_DN[part]
    options = {"price": deal, "val_price": known, "fees": costs.commission + costs.slippage, "call_seq": _sequence(like)}
    weights = np.ascontiguousarray(weights_DN[first - 1 : part.stop - 1])
    return vectorbt.Portfolio.from_orders(_close(like), weights, size_type="targetpercent", **options, **_account(like))


def fills(portfolio: "vectorbt.Portfolio") -> pl.DataFrame:
    """A vectorbt Portfolio's orders in the order of trading: date, symbol, side, shares (fractions too), price, amount, fees (CNY)."""
    records = portfolio.orders.values
    days, symbols = portfolio.wrapper.index.to_numpy().astype("datetime64[D]"), np.array(portfolio.wrapper.columns, dtype=object)
    columns = {
        "date": pl.Series(days[records["idx"]]).cast(pl.Date),
        "symbol": pl.Series(symbols[records["col"]], dtype=pl.String),
        "side": np.where(records["side"] == 0, "buy", "sell"),
        "shares": records["size"],
        "price": records["price"],
        "amount": records["size"] * records["price"],
        "fees": records["fees"],
    }
    return pl.DataFrame(columns).with_columns(id=pl.Series(records["id"])).sort("date", "id").drop("id")


def weights(portfolio: "vectorbt.Portfolio", market: Market) -> Floats:
    """What a vectorbt Portfolio holds after each session that it trades on, as weights [D, N] over market.axes for simulate_weights.

    They are dated by the session before, on whose evening they must be wished for; other rows are NaN.  Leverage and shorts are
    refused by simulate_weights.  Raises KestrelError for columns that aren't stocks of the market.
    """
    names, place = list(portfolio.wrapper.columns), {symbol: n for n, symbol in enumerate(market.axes.symbols)}
    strange = [name for name in names if name not in place]
    if strange:
        raise KestrelError(f"The portfolio's column {strange[0]} is no stock of the market. Name its columns 600000.SH.")
    held = portfolio.asset_value(group_by=False).to_numpy() / portfolio.value().to_numpy().reshape(len(portfolio.wrapper.index), -1)
    days = portfolio.wrapper.index.to_numpy().astype("datetime64[D]")
    found = np.full(market.axes.shape, np.nan)
    for row in np.unique(portfolio.orders.values["idx"]):
        d = int(np.searchsorted(market.axes.days, days[row]))
        if 0 < d < len(market.axes.days) and market.axes.days[d] == days[row]:
            found[d - 1] = 0.0
            found[d - 1, [place[name] for name in names]] = held[row]
    return found


def _account(result: Result) -> dict[str, Any]:
    return {"init_cash": result.capital / 100, "cash_sharing": True, "group_by": True, "freq": "D"}


def _close(result: Result) -> Any:
    """What a share is worth at each close, as a pandas frame."""
    import pandas as pd

    days = pd.DatetimeIndex(np.array(result.dates, dtype="datetime64[ns]"))
    return pd.DataFrame(result.price_DN, index=days, columns=list(result.symbols)).ffill()


def _sequence(result: Result) -> NDArray[np.int64]:
    """The order in which the account traded each session's stocks [D, N], the others behind."""
    sequence = np.tile(np.arange(len(result.symbols)), (len(result.dates), 1))
    rows = result.ledger[result.ledger["side"] <= BUY]
    for s in np.unique(rows["session"]):
        traded = rows["stock"][rows["session"] == s]
        sequence[s] = np.concatenate([traded, np.setdiff1d(sequence[s], traded)])
    return sequence
