"""Quarterly reports: what companies earn, when they say so, what they restate, and what is known of them at a session."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

VALUED = ("revenue", "net_profit", "equity", "operating_cash_flow")  # what prices are measured by
ITEMS = (*VALUED, "gross_profit", "total_assets", "cash", "debt")
HISTORY = 4  # fiscal years before the first session
RESTATED = 0.03  # share of reports
PROSPECTUS = 20  # calendar days before listing on which a new company's past is published
# first and last day on which a report of the quarter is filed, as (years later, month-day); rule: Apr 30, Aug 31, Oct 31, Apr 30
WINDOWS = ((0, "04-08", "04-30"), (0, "07-15", "08-31"), (0, "10-12", "10-31"), (1, "01-20", "04-30"))
SEASONS = np.array([0.21, 0.25, 0.25, 0.29])  # of a year's revenue


@dataclass(frozen=True)
class Filings:
    """Every filing that falls into the market's span, by the session it's known at; [E] each, values [E, 8] in the sequence of ITEMS."""

    session: Ints  # first session after the announcement; 0 for all that was known before
    stock: Ints
    period: Ints  # place in period_ends
    announced: Days
    values: Floats  # CNY, cumulative within the fiscal year
    restates: NDArray[np.bool_]
    period_ends: Days

    def at(self, session: int) -> slice:
        """The filings that become known at a session."""
        return slice(int(np.searchsorted(self.session, session)), int(np.searchsorted(self.session, session, side="right")))


def filings(stocks: Universe, days: Days, rng: np.random.Generator) -> Filings:
    """Draw every company's reports over the market's span and HISTORY years before it.  days: [D]."""
    first_year = int(str(days[0])[:4]) - HISTORY
    years = int(str(days[-1])[:4]) - first_year + 1
    period_ends = np.array(
        [f"{first_year + year}-{end}" for year in range(years) for end in ("03-31", "06-30", "09-30", "12-31")], dtype="datetime64[D]"
    )
    values = _accounts(stocks, period_ends, rng)
    announced = _announcements(stocks, period_ends, rng)
    first = _rows(announced, values, np.zeros(announced.shape, dtype=bool))
    revised = _restatements(announced, values, rng)
    stock, period, day, numbers, restates = (np.concatenate(pair) for pair in zip(first, revised, strict=True))
    numbers = _whole(numbers, *(share[stock, period] for share in _shares(values, rng)))
    keep = (day <= days[-1]) & (period_ends[period] >= (np.maximum(stocks.list_dates, days[0]) - 365 * (HISTORY - 1))[stock])
    session = np.searchsorted(days, day, side="right")
    order = np.lexsort((period, stock, session))
    order = order[keep[order]]
    return Filings(session[order], stock[order], period[order], day[order], numbers[order], restates[order], period_ends)


def _accounts(stocks: Universe, period_ends: Days, rng: np.random.Generator) -> Floats:
    """Cumulative figures of every company and quarter, [N, P, 4], CNY to the cent.

    Sizes are set so that the market's first prices mean a median price of 28 times earnings and 2.3 times book, cheaper where
    the company's lasting value exposure is high.
    """
    count, periods = len(stocks), len(period_ends)
    cap = stocks.shares * stocks.cents / 100
    cheap = 0.45 * stocks.cheapness
    sales = cap / np.exp(np.log(3.0) + 0.7 * rng.standard_normal(count) - cheap)
    margin = np.exp(np.log(0.105) + 0.6 * rng.standard_normal(count))
    profit_level = np.minimum(sales * margin, cap / 8)
    equity = cap / np.exp(np.log(2.3) + 0.35 * rng.standard_normal(count) - cheap)
    growth = 0.02 + 0.03 * rng.standard_normal((count, periods)).cumsum(axis=1) + np.log1p(0.04) / 4 * np.arange(-HISTORY * 4, periods - HISTORY * 4)
    seasons = SEASONS[np.arange(periods) % 4] * np.exp(0.08 * rng.standard_normal((count, periods)))
    revenue = sales[:, None] * np.exp(growth) * seasons
    fortune = _persistent(rng.standard_normal((count, periods)), 0.85)
    troubled = rng.random(count) < 0.12
    profit = revenue * (profit_level / sales)[:, None] * (1.0 + np.where(troubled, 1.1, 0.45)[:, None] * fortune - 0.6 * troubled[:, None])
    cash = 1.05 * profit + 0.06 * revenue * rng.standard_normal((count, periods))
    retained = np.where(np.arange(periods) % 4 == 1, 1.0, 0.0) * 0.3  # a third of last year's profit leaves as dividends by mid-year
    last_year = np.maximum(_last_year(profit), 0.0)
    built = (profit - retained * last_year).cumsum(axis=1)
    book = np.maximum(equity[:, None] + built - built[:, HISTORY * 4 - 1, None], equity[:, None] * 0.1)
    flows = np.stack([revenue, profit, cash], axis=2).reshape(count, periods // 4, 4, 3).cumsum(axis=2).reshape(count, periods, 3)
    return np.round(np.stack([flows[:, :, 0], flows[:, :, 1], book, flows[:, :, 2]], axis=2), 2)


def _shares(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """(gross profit of revenue, liabilities of equity, cash of assets, debt of liabilities), [N, P] each, slow to change; drawn last of all."""
    count, periods = values.shape[:2]
    level = rng.standard_normal((4, count, 1))
    moved = level + 0.15 * np.stack([_persistent(noise, 0.9) for noise in rng.standard_normal((4, count, periods))])
    net = np.median(values[:, :, 1] / values[:, :, 0], axis=1, keepdims=True)
    gross = np.clip(0.08 + 1.6 * net + 0.08 * np.exp(0.5 * moved[0]), 0.03, 0.9)
    liabilities = np.exp(-0.35 + 0.7 * moved[1])
    cash, debt = (most / (1 + np.exp(-0.8 * moved[place])) for place, most in ((2, 0.35), (3, 0.7)))
    return gross, liabilities, cash, debt


def _whole(numbers: Floats, gross: Floats, liabilities: Floats, cash: Floats, debt: Floats) -> Floats:
    """Filings [E, 4] with the rest of their statements, [E, 8]: a restated profit restates the assets, and assets are equity and liabilities."""
    equity = numbers[:, 2]
    assets = equity * (1 + liabilities)
    rest = [numbers[:, 0] * gross, assets, assets * cash, equity * liabilities * debt]
    return np.hstack([numbers, np.round(np.stack(rest, axis=1), 2)])


def _persistent(noise: Floats, memory: float) -> Floats:
    """Noise [N, P] as a first-order autoregression of unit variance."""
    found = noise.copy()
    for place in range(1, noise.shape[1]):
        found[:, place] = memory * found[:, place - 1] + np.sqrt(1 - memory**2) * noise[:, place]
    return found


def _last_year(quarterly: Floats) -> Floats:
    """The sum of the fiscal year before each quarter, [N, P]; 0 for the first year."""
    by_year = quarterly.reshape(len(quarterly), -1, 4).sum(axis=2)
    shifted = np.concatenate([np.zeros((len(quarterly), 1)), by_year[:, :-1]], axis=1)
    return np.repeat(shifted, 4, axis=1)


def _announcements(stocks: Universe, period_ends: Days, rng: np.random.Generator) -> Days:
    """The day each report is filed, [N, P].

    Within its window, most of them late; no first quarter before its annual report, nothing of a new company before its prospectus.
    """
    late = rng.beta(2.5, 1.3, (len(stocks), len(period_ends)))
    announced = np.empty(late.shape, dtype="datetime64[D]")
    for place, end in enumerate(period_ends):
        later, first, last = WINDOWS[place % 4]
        year = int(str(end)[:4]) + later
        opens, closes = np.datetime64(f"{year}-{first}"), np.datetime64(f"{year}-{last}")
        announced[:, place] = opens + np.rint(late[:, place] * (closes - opens).astype(int)).astype("timedelta64[D]")
    announced[:, 4::4] = np.maximum(announced[:, 4::4], announced[:, 3:-1:4])
    prospectus = np.where(stocks.listed_at >= 0, stocks.list_dates - np.timedelta64(PROSPECTUS, "D"), np.datetime64("1990-01-01"))
    return np.maximum(announced, prospectus[:, None])


def _rows(announced: Days, values: Floats, restates: NDArray[np.bool_]) -> tuple[Ints, Ints, Days, Floats, NDArray[np.bool_]]:
    """[N, P] as rows (stock, period, day, values of VALUED, restates)."""
    count, periods = announced.shape
    stock, period = np.divmod(np.arange(count * periods), periods)
    return stock, period, announced.ravel(), values.reshape(-1, len(VALUED)), restates.ravel()


def _restatements(announced: Days, values: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Days, Floats, NDArray[np.bool_]]:
    """Some reports are corrected the day the one after the next is filed: revenue by 3 % (1 sd), profit and cash by 15 %, equity by 2 %."""
    stock, period = np.nonzero(rng.random(announced.shape) < RESTATED)
    change = 1 + np.array([0.03, 0.15, 0.02, 0.15]) * rng.standard_normal((len(stock), len(VALUED)))
    there = period + 2 < announced.shape[1]
    stock, period, change = stock[there], period[there], change[there]
    day = announced[stock, period + 2]
    later = day > announced[stock, period]  # a prospectus files everything at once: nothing to correct there
    stock, period, day, change = stock[later], period[later], day[later], change[later]
    return stock, period, day, np.round(values[stock, period] * change, 2), np.ones(len(stock), dtype=bool)


class Knowledge:
    """What is known of every company at the running session: trailing sums over four quarters, equity, years of loss."""

    def __init__(self, found: Filings, stocks: int) -> None:
        self.filings = found
        self.known = np.full((stocks, len(found.period_ends), len(VALUED)), np.nan)
        self.latest = np.full(stocks, -1)
        self.trailing = np.full((stocks, len(VALUED)), np.nan)  # revenue, profit and cash over four quarters, equity of the last
        self.losses = np.zeros(stocks, dtype=np.int64)  # annual losses in a row

    def learn(self, session: int) -> tuple[Ints, Floats, Days]:
        """Take in what becomes known: (stocks with a new annual report, their annual profit, the announcement days)."""
        new = self.filings.at(session)
        stock, period = self.filings.stock[new], self.filings.period[new]
        self.known[stock, period] = self.filings.values[new][:, : len(VALUED)]
        np.maximum.at(self.latest, stock, period)
        self._trail(np.unique(stock))
        annual = (period % 4 == 3) & ~self.filings.restates[new]
        # one company may file several years at once (a prospectus): they count in sequence
        for who, profit in zip(stock[annual], self.filings.values[new][annual, 1], strict=True):
            self.losses[who] = self.losses[who] + 1 if profit < 0 else 0
        return stock[annual], self.filings.values[new][annual, 1], self.filings.announced[new][annual]

    def _trail(self, stocks: Ints) -> None:
        """Sums over the last four quarters: this year so far + last year - last year's same months."""
        latest = self.latest[stocks]
        quarter = latest % 4
        so_far = self.known[stocks, latest]
        last_year = np.where((latest - quarter >= 1)[:, None], self.known[stocks, np.maximum(latest - quarter - 1, 0)], np.nan)
        same_months = np.where((latest >= 4)[:, None], self.known[stocks, np.maximum(latest - 4, 0)], np.nan)
        sums = np.where((quarter == 3)[:, None], so_far, so_far + last_year - same_months)
        self.trailing[stocks] = sums
        self.trailing[stocks, 2] = so_far[:, 2]
