"""The tape as tables of the lake: long frames in the columns, units and order of data/tables.py."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.reports import numbered
from data.simulator.actions import UNIT
from data.simulator.index import INDEX, Index
from data.simulator.market import PRICES, Tape
from data.simulator.quotes import NO_LIMIT
from data.simulator.settings import KINDS
from data.simulator.statements import ITEMS, Filings
from data.simulator.universe import Universe
from data.simulator.vocabulary import INDUSTRIES
from data.symbols import BOARDS
from data.validation import validated

Days = NDArray[np.datetime64]


def keys(keep: NDArray[np.bool_], days: Days, stocks: Universe) -> pl.DataFrame:
    """(date, symbol) of the marked cells [D, N], sorted."""
    rows, columns = np.nonzero(keep)
    symbols = pl.Series("symbol", stocks.symbols, dtype=pl.String)
    return pl.DataFrame({"date": pl.Series(days).cast(pl.Date).gather(rows), "symbol": symbols.gather(columns)})


def bars(tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """Raw prices in CNY with the exact factor: adj[t] = adj[t-1] x close[t-1] / pre_close[t], 1 on a stock's first row."""
    keep = tape.listed
    prices = {name: tape.cents[name][keep] for name in PRICES}
    free = prices["limit_up"] == NO_LIMIT
    columns = {name: pl.Series(cents / 100) for name, cents in prices.items()}
    for name in ("limit_up", "limit_down"):
        columns[name] = pl.Series(np.where(free, np.nan, prices[name] / 100)).fill_nan(None)
    others = {
        "volume": tape.volume[keep], "amount": tape.amount[keep] / 100, "adj": tape.adj[keep],
        "is_st": tape.st[keep], "is_trading": tape.trading[keep],
    }  # fmt: skip
    columns |= {"raw_close": columns["close"], **{name: pl.Series(values) for name, values in others.items()}}
    frame = keys(keep, days, stocks).with_columns(**columns)
    first = ["date", "symbol", "open", "high", "low", "close", "pre_close", "volume", "amount", "adj", "limit_up", "limit_down", "raw_close"]
    return frame.select([*first, "is_st", "is_trading"])


def caps(tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """Shares, and the ratios a vendor computes at each close from the reports known then; negative where the company loses."""
    keep = tape.listed
    total = tape.total[keep]
    cap = total * tape.cents["close"][keep] / 100
    frame = keys(keep, days, stocks).with_columns(total_shares=pl.Series(total), float_shares=pl.Series(tape.floating[keep]))
    ratios = {"pe_ttm": "net_profit", "pb": "equity", "ps_ttm": "revenue", "pcf_ttm": "operating_cash_flow"}
    return frame.with_columns(pl.Series(name, cap / tape.trailing[ITEMS.index(item)][keep]).fill_nan(None) for name, item in ratios.items())


def oracle(tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """The side table no pipeline reads: expected simple return of the next session as planted at the close of `date`, by kind and in sum."""
    keep = tape.seasoned
    by_kind = [pl.Series(kind, tape.expected[place][keep].astype(np.float64)) for place, kind in enumerate(KINDS)]
    return keys(keep, days, stocks).with_columns(by_kind).with_columns(pl.sum_horizontal(KINDS).alias("expected"))


def securities(tape: Tape, days: Days, known: Days, stocks: Universe) -> pl.DataFrame:
    """Every stock; delist_date is the first session without it.  known: every session of the calendar."""
    frame = pl.DataFrame(
        {
            "symbol": stocks.symbols,
            "name": stocks.names,
            "board": [BOARDS[place] for place in stocks.boards],
            "list_date": pl.Series(stocks.list_dates).cast(pl.Date),
            "delist_date": pl.Series(delisted(tape, days, known)).cast(pl.Date),
        }
    )
    return frame.filter(pl.Series(tape.ever))


def delisted(tape: Tape, days: Days, known: Days) -> Days:
    """The first session without each stock, [N]; NaT where it's still listed or the calendar ends."""
    found = np.full(len(tape.last), "NaT", dtype="datetime64[D]")
    gone = np.flatnonzero(tape.last < len(days))
    after = int(np.searchsorted(known, days[0])) + tape.last[gone] + 1
    inside = after < len(known)
    found[gone[inside]] = known[after[inside]]
    return found


def reports(found: Filings, tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """What companies filed up to the last session, or up to their own."""
    ends = days[np.minimum(tape.last, len(days) - 1)][found.stock]
    kept = (found.announced <= ends) & tape.ever[found.stock]
    symbols = pl.Series(stocks.symbols, dtype=pl.String)
    frame = pl.DataFrame(
        {
            "symbol": symbols.gather(found.stock[kept]),
            "period_end": pl.Series(found.period_ends[found.period[kept]]).cast(pl.Date),
            "announced_on": pl.Series(found.announced[kept]).cast(pl.Date),
            **{item: pl.Series(found.values[kept, place]) for place, item in enumerate(ITEMS)},
        }
    )
    return validated("reports", numbered(frame))


def dividends(tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """What was paid; the record date is the session before the ex-date, the pay date the ex-date itself."""
    rows = tape.actions
    ex = np.array([action.session for action in rows], dtype=np.int64)
    frame = pl.DataFrame(
        {
            "symbol": pl.Series([stocks.symbols[action.stock] for action in rows], dtype=pl.String),
            "ex_date": pl.Series(days[ex]).cast(pl.Date),
            "cash": pl.Series([action.cash / UNIT for action in rows], dtype=pl.Float64),
            "bonus": pl.Series([action.bonus / UNIT for action in rows], dtype=pl.Float64),
            "transfer": pl.Series([action.transfer / UNIT for action in rows], dtype=pl.Float64),
            "announced_on": pl.Series(np.array([action.announced for action in rows], dtype="datetime64[D]")).cast(pl.Date),
            "record_date": pl.Series(days[ex - 1]).cast(pl.Date),
            "pay_date": pl.Series(days[ex]).cast(pl.Date),
        }
    )
    return frame.sort("symbol", "ex_date")


def members(found: Index, days: Days, stocks: Universe) -> pl.DataFrame:
    """Members and weights after every close."""
    sessions, size = found.stocks.shape
    symbols = pl.Series("symbol", stocks.symbols, dtype=pl.String)
    return pl.DataFrame(
        {
            "date": pl.Series(days).cast(pl.Date).gather(np.repeat(np.arange(sessions), size)),
            "index": pl.Series([INDEX]).new_from_index(0, sessions * size),
            "symbol": symbols.gather(found.stocks.ravel()),
            "weight": pl.Series(found.weights.ravel()),
        }
    )


def index_bars(found: Index, days: Days) -> pl.DataFrame:
    """Levels of the index, unrounded, so that members and weights rebuild them."""
    levels = {name: getattr(found, name) for name in ("open", "high", "low", "close", "close_tr")}
    return pl.DataFrame({"date": pl.Series(days).cast(pl.Date), "index": [INDEX] * len(days), **levels})


def industries(tape: Tape, days: Days, stocks: Universe) -> pl.DataFrame:
    """Each stock's industry from its listing on, and from each later change."""
    changes = stocks.changes
    stock = np.concatenate([np.arange(len(stocks)), changes[:, 1]])
    start = np.concatenate([stocks.list_dates, days[changes[:, 0]]])
    place = np.concatenate([stocks.industries, changes[:, 2]])
    frame = pl.DataFrame(
        {
            "symbol": pl.Series(stocks.symbols, dtype=pl.String).gather(stock),
            "start": pl.Series(start).cast(pl.Date),
            "code": [f"S{number + 1:02d}" for number in place],
            "name": [INDUSTRIES[number][0] for number in place],
        }
    )
    return frame.with_columns(hindsight=pl.lit(False)).filter(pl.Series(tape.ever[stock])).sort("symbol", "start")
