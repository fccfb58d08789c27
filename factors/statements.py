"""Statements as they were known: of each stock and session the newest report, the year and the quarters that it completes.

Filings are cumulative within the fiscal year, which in China is the calendar year.  A single quarter is the difference of two filings, four
quarters are this year so far + last year - last year's same months, all of them at the newest revision known that day.  A later
filing that doesn't give an item leaves it as it was; a quarter that can't be told from what is known is null.
"""

from collections.abc import Collection

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from data.panel import Axes, Floats
from data.reports import FILED

Ints = NDArray[np.int64]

FLOWS = ("revenue", "net_profit", "operating_cash_flow", "gross_profit")  # cumulative within the year
LEVELS = ("equity", "total_assets", "cash", "debt")
ITEMS = (*FLOWS, *LEVELS)
OF_FLOWS = ("ttm", "ttm_before", "quarter", "quarter_before", "deviation")
OF_LEVELS = ("", "before")
OF_PROFIT = ("net_profit_streak", "net_profit_loss_share")
OF_FILINGS = ("report_lateness", "report_revisions", "report_quarter", "report_filed")
MEASURES = (
    *(f"{item}_{what}" for item in FLOWS for what in OF_FLOWS),
    *(f"{item}_{what}".rstrip("_") for item in LEVELS for what in OF_LEVELS),
    *OF_PROFIT,
    *OF_FILINGS,
)
PLACES = {name: place for place, name in enumerate(MEASURES)}
PROFIT = ITEMS.index("net_profit")

STALE = 366  # days after its period's end from which the newest report says nothing of today: two filings are missing
SLOW = 180  # days from the end of a period to its filing beyond which it is no filing in time, but a prospectus or a scandal
WINDOW = 8  # quarters that deviations, losses and revisions look back


def statement_panels(reports: pl.DataFrame, axes: Axes, names: Collection[str]) -> dict[str, Floats]:
    """{name: [D, N]} of these MEASURES, where report_age stands in place of report_filed; NaN = null.

    Of each flow: the last four quarters (ttm), the newest single quarter, both a year before (_before), and the sample deviation of the
    changes over a year of the 8 quarters before the newest (4 at least).  Of each level: the newest, and a year before.
    net_profit_streak: quarters in a row, up to 8, that earned more than a year before; net_profit_loss_share: share of the last 8
    (4 at least) that lost.  report_lateness: days that the newest report took longer than a year before; report_revisions: how many of
    the last 8 quarters were ever restated; report_quarter: 4 x year + quarter; report_age: days since the newest period was first announced.
    A report is known the session after its announcement, and no more once it is stale.  Measures of an item that no report gives are left out.
    """
    ends = pl.col("period_end")
    quarter_ends = reports.filter(ends.dt.month() % 3 == 0, ends == ends.dt.month_end(), pl.col("symbol").is_in(list(axes.symbols)))
    filed = quarter_ends.sort(FILED)
    if not filed.height:
        return {}
    states_SM, first_S, stock_S = _states(filed, axes)
    state_DN = _in_force(states_SM, first_S, stock_S, axes)
    given = {item for item in ITEMS if filed[item].is_not_null().any()}
    rows_SM = np.vstack([states_SM, np.full(len(MEASURES), np.nan)])  # the last row for -1: nothing is known
    wanted = [name for name in PLACES if name in names and _item(name) in (*given, None)]
    panels = {name: rows_SM[:, PLACES[name]][state_DN] for name in wanted}
    if "report_age" in names:
        panels["report_age"] = axes.days.astype(np.int64)[:, None] - rows_SM[:, PLACES["report_filed"]][state_DN]
    return panels


def _item(measure: str) -> str | None:
    """The item that a measure is of, None for those of the filings themselves."""
    return None if measure in OF_FILINGS else max((item for item in ITEMS if measure.startswith(item)), key=len)


def _states(filed: pl.DataFrame, axes: Axes) -> tuple[Floats, Ints, Ints]:
    """(measures [S, M], first session, stock) after each day on which a stock filed, by stock and day."""
    place = {symbol: number for number, symbol in enumerate(axes.symbols)}
    stock_E = filed["symbol"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    announced_E = filed["announced_on"].to_numpy().astype("datetime64[D]")
    session_E = np.searchsorted(axes.days, announced_E, side="right")
    new_E = np.concatenate([[True], (stock_E[1:] != stock_E[:-1]) | (announced_E[1:] != announced_E[:-1])])
    quarter_E = (filed["period_end"].dt.year().cast(pl.Int64) * 4 + filed["period_end"].dt.quarter().cast(pl.Int64) - 1).to_numpy()
    delay_E = (filed["announced_on"] - filed["period_end"]).dt.total_days().to_numpy()
    value_EI = filed.select(pl.col(ITEMS).cast(pl.Float64)).to_numpy()
    states_SM = np.full((int(new_E.sum()), len(MEASURES)), np.nan)
    base = int(quarter_E.min()) // 4 * 4
    days_E = announced_E.astype(np.int64)
    _learn(stock_E, np.cumsum(new_E) - 1, quarter_E, base, days_E, delay_E, np.ascontiguousarray(value_EI), states_SM)
    return states_SM, session_E[new_E], stock_E[new_E]


def _in_force(states_SM: Floats, first_S: Ints, stock_S: Ints, axes: Axes) -> Ints:
    """The number of the state in force, [D, N]; -1 where there is none or it is stale."""
    state_DN = np.full(axes.shape, -1, dtype=np.int64)
    inside = first_S < len(axes.dates)
    np.maximum.at(state_DN, (first_S[inside], stock_S[inside]), np.flatnonzero(inside))  # of two by one session the later one holds
    np.maximum.accumulate(state_DN, axis=0, out=state_DN)
    quarter_S = states_SM[:, PLACES["report_quarter"]].astype(np.int64)
    ended_S = (quarter_S * 3 - 1970 * 12 + 3).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - 1
    age_DN = axes.days.astype(np.int64)[:, None] - ended_S[state_DN]
    return np.where(age_DN > STALE, -1, state_DN)


@njit(cache=True, nogil=True)
def _learn(stock_E: Ints, state_E: Ints, quarter_E: Ints, base: int, day_E: Ints, delay_E: Ints, value_EI: Floats, states_SM: Floats) -> None:
    """Take in each stock's filings in the order of their announcement and measure what is known after each day."""
    quarters = quarter_E.max() - base + 1
    items = value_EI.shape[1]
    known_QI = np.empty((quarters, items))
    filed_Q, delay_Q, revised_Q = np.empty(quarters), np.empty(quarters), np.empty(quarters)
    newest = -1
    for e in range(len(stock_E)):
        if e == 0 or stock_E[e] != stock_E[e - 1]:
            known_QI[:] = np.nan
            filed_Q[:] = np.nan
            delay_Q[:] = np.nan
            revised_Q[:] = 0.0
            newest = -1
        q = quarter_E[e] - base
        newest = max(newest, q)
        if np.isnan(filed_Q[q]):
            filed_Q[q], delay_Q[q] = day_E[e], delay_E[e]
        for i in range(items):
            if not np.isnan(value_EI[e, i]):
                if not np.isnan(known_QI[q, i]) and known_QI[q, i] != value_EI[e, i]:
                    revised_Q[q] = 1.0
                known_QI[q, i] = value_EI[e, i]
        if e + 1 == len(stock_E) or state_E[e + 1] != state_E[e]:
            _measure(known_QI, newest, states_SM[state_E[e]])
            _measure_filings(filed_Q, delay_Q, revised_Q, newest, base, states_SM[state_E[e], -4:])


@njit(cache=True, nogil=True)
def _measure(known_QI: Floats, q: int, out_M: Floats) -> None:
    """The measures of flows, levels and profit whose newest quarter is q, in the order of MEASURES."""
    flows, place = 4, 0
    for i in range(flows):
        out_M[place] = _year(known_QI, q, i)
        out_M[place + 1] = _year(known_QI, q - 4, i)
        out_M[place + 2] = _single(known_QI, q, i)
        out_M[place + 3] = _single(known_QI, q - 4, i)
        out_M[place + 4] = _deviation(known_QI, q, i)
        place += 5
    for i in range(flows, known_QI.shape[1]):
        out_M[place] = known_QI[q, i]
        out_M[place + 1] = known_QI[q - 4, i] if q >= 4 else np.nan
        place += 2
    streak, losses, seen = 0.0, 0.0, 0.0
    for k in range(WINDOW):
        earned = _single(known_QI, q - k, PROFIT)
        if streak == k and earned > _single(known_QI, q - k - 4, PROFIT):
            streak += 1.0
        if not np.isnan(earned):
            seen += 1.0
            losses += 1.0 if earned < 0 else 0.0
    out_M[place] = np.nan if np.isnan(_single(known_QI, q, PROFIT) - _single(known_QI, q - 4, PROFIT)) else streak
    out_M[place + 1] = losses / seen if seen >= WINDOW / 2 else np.nan


@njit(cache=True, nogil=True)
def _measure_filings(filed_Q: Floats, delay_Q: Floats, revised_Q: Floats, q: int, base: int, out_M: Floats) -> None:
    """Lateness, revisions, quarter and first day of the newest report."""
    timely = q >= 4 and delay_Q[q] <= SLOW and delay_Q[q - 4] <= SLOW
    out_M[0] = delay_Q[q] - delay_Q[q - 4] if timely else np.nan
    out_M[1] = revised_Q[max(0, q - WINDOW + 1) : q + 1].sum()
    out_M[2] = base + q
    out_M[3] = filed_Q[q]


@njit(cache=True, nogil=True)
def _single(known_QI: Floats, q: int, i: int) -> float:
    """What quarter q alone brought."""
    if q < 0:
        return np.nan
    return known_QI[q, i] if q % 4 == 0 else known_QI[q, i] - known_QI[q - 1, i]


@njit(cache=True, nogil=True)
def _year(known_QI: Floats, q: int, i: int) -> float:
    """What the four quarters up to q brought."""
    if q % 4 == 3 and q >= 0:
        return known_QI[q, i]
    return known_QI[q, i] + known_QI[q - q % 4 - 1, i] - known_QI[q - 4, i] if q >= 4 else np.nan


@njit(cache=True, nogil=True)
def _deviation(known_QI: Floats, q: int, i: int) -> float:
    """Sample deviation of the changes over a year of the quarters before q."""
    changes = np.empty(WINDOW)
    count = 0
    for k in range(1, WINDOW + 1):
        change = _single(known_QI, q - k, i) - _single(known_QI, q - k - 4, i)
        if not np.isnan(change):
            changes[count] = change
            count += 1
    if count < WINDOW / 2:
        return np.nan
    mean = changes[:count].mean()
    return np.sqrt(((changes[:count] - mean) ** 2).sum() / (count - 1))
