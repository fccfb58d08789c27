"""A session's prices in cents and its volume, out of what each stock's return would be without limits."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.limits import limit_cents, limit_ratios
from data.rules import Rules
from data.symbols import BOARDS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NO_LIMIT = 2**30  # cents
OLD = 5  # sessions after listing from which the age of a stock no longer matters to its limits
OVERNIGHT = 0.14  # share of a session's return that comes before its open
# Variance of the opening's noise, as a share of the session's.  The night and the day after were uncorrelated at OVERNIGHT x (1 - OVERNIGHT);
# beyond that the day takes back some of what the night did.
WOBBLE = 0.125
TOGETHER = 0.35  # of that noise, what all stocks share
SMOOTH = 0.74  # of the variance after the open, what comes little by little and not at once
SEALED = 1.03  # a return this far beyond the limit leaves no trade below it
SLOW, MARKET_SWING = 0.985, 0.36  # persistence of the market's log turnover, and its deviation
FAST, SWING = 0.98, 0.56  # of each stock's own
_EXAMPLES = {"main": "600000.SH", "chinext": "300001.SZ", "star": "688001.SH", "bse": "920001.BJ"}


@dataclass(frozen=True)
class Quotes:
    """Prices of one session in cents [N], the return that the limit kept back, and which stocks were sealed at it."""

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    carry: Floats
    sealed: Flags


def ratio_table(days: NDArray[np.datetime64], rules: Rules | None = None) -> Floats:
    """Limit ratios [2 (up, down), D, board, ST, age up to OLD], NaN where there is no limit: data.limits on every possible case."""
    cases = pl.DataFrame({"date": pl.Series(days).cast(pl.Date)})
    for name, values in (("symbol", list(_EXAMPLES.values())), ("is_st", [False, True]), ("age", list(range(OLD + 1)))):
        cases = cases.join(pl.DataFrame({name: values}), how="cross", maintain_order="left_right")
    up, down = limit_ratios(cases, cases["age"], rules)
    return np.stack([up, down]).reshape(2, len(days), len(BOARDS), 2, OLD + 1)


def limits(reference: Ints, ratios: Floats) -> tuple[Ints, Ints]:
    """(up, down) in cents; NO_LIMIT and 0 where the ratio is NaN.  ratios: [2, N]."""
    free = np.isnan(ratios[0])
    up, _ = limit_cents(reference, np.where(free, 0.1, ratios[0]))
    _, down = limit_cents(reference, np.where(free, 0.1, ratios[1]))
    return np.where(free, NO_LIMIT, up), np.where(free, 0, down)


def quote(
    reference: Ints, carry: Floats, shock: Floats, drift: Floats, volatility: Floats, bounds: tuple[Ints, Ints], rng: np.random.Generator
) -> Quotes:
    """Trade one session; every array is [N].

    carry: what earlier limits and suspensions kept back, paid in the opening gap.  shock: the session's unpredictable return.
    drift: the expected return, earned after the open.  volatility: of the shock.  Part of the shock shows at the open, under noise
    that the close knows nothing of.  Between open and close the price is a Brownian bridge, whose extremes have a closed form;
    everything is cut at the limits, and the return cut off is carried to the next session.
    """
    up, down = bounds
    noise = np.sqrt(TOGETHER) * rng.standard_normal() + np.sqrt(1 - TOGETHER) * rng.standard_normal(len(reference))
    high_u, low_u = rng.random((2, len(reference)))
    night = OVERNIGHT * shock + np.sqrt(WOBBLE) * volatility * noise
    fair = reference * (1 + carry)
    wanted = fair * (1 + shock + drift)
    close = np.clip(np.rint(wanted), np.maximum(down, 1), up)
    opening = np.clip(np.rint(fair * np.maximum(1 + night, 0.2)), np.maximum(down, 1), up)
    spread = 2 * SMOOTH * (1 - OVERNIGHT) * volatility**2
    x, y = np.log(opening), np.log(close)
    high = np.exp(0.5 * (x + y + np.sqrt((y - x) ** 2 - spread * np.log1p(-high_u))))
    low = np.exp(0.5 * (x + y - np.sqrt((y - x) ** 2 - spread * np.log1p(-low_u))))
    high = np.clip(np.rint(high), np.maximum(opening, close), up)
    low = np.clip(np.rint(low), np.maximum(down, 1), np.minimum(opening, close))
    at_up = (close == up) & (opening == up) & (wanted > SEALED * up)
    at_down = (close == down) & (opening == down) & (wanted * SEALED < down)
    low, high = np.where(at_up, up, low), np.where(at_down, down, high)
    kept = np.where((wanted > up) | (wanted < down), wanted / close - 1, 0.0)
    opening, high, low, close = (array.astype(np.int64) for array in (opening, high, low, close))
    return Quotes(opening, high, low, close, kept, at_up | at_down)


class Turnover:
    """The running state of trading activity: a lasting level for each stock, swings of it, and slow swings of the whole market."""

    def __init__(self, activity: Floats, rng: np.random.Generator) -> None:
        self.activity = activity
        self.rng = rng
        self.swing = SWING * rng.standard_normal(len(activity))
        self.market = 0.0

    def draw(self, quotes: Quotes, moves: Floats, heat: Floats, floating: Floats) -> tuple[Floats, Ints]:
        """(volume in shares, amount in cents) of a session, [N].  moves: returns in units of the volatility expected of each stock.

        heat: log of that volatility against the stock's lasting one.  Volatile times, large moves and rises draw volume.
        Volume is in lots of 100; amount / volume lies within low..high.
        """
        count = len(floating)
        noise, tilt = self.rng.standard_normal((2, count))
        self.market = SLOW * self.market + MARKET_SWING * np.sqrt(1 - SLOW**2) * self.rng.standard_normal()
        self.swing = FAST * self.swing + SWING * np.sqrt(1 - FAST**2) * self.rng.standard_normal(count)
        pull = 0.5 * (np.minimum(np.abs(moves), 5.0) - 0.6) + 0.1 * np.clip(moves, -3, 3)
        level = self.activity + self.market + self.swing + 0.5 * heat + pull + 0.1 * noise
        turnover = np.minimum(np.exp(level), 0.6) * np.where(quotes.sealed, 0.1, 1.0)
        volume = np.maximum(np.floor(turnover * floating / 100), 1.0) * 100
        middle = (quotes.open + quotes.high + quotes.low + quotes.close) / 4
        price = np.clip(middle + 0.1 * tilt * (quotes.high - quotes.low), quotes.low, quotes.high)
        return volume, np.rint(volume * price).astype(np.int64)
