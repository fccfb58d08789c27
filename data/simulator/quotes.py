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
SEALED = 1.03  # a return this far beyond the limit leaves no trade below it
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

    carry: what earlier limits and suspensions kept back, paid in the opening gap.  shock: the session's unpredictable return,
    a third of it overnight.  drift: the expected return, earned after the open.  volatility: of the stock's own returns, a session.
    Between open and close the price is a Brownian bridge, whose extremes have a closed form; everything is cut at the limits,
    and the return cut off is carried to the next session.
    """
    up, down = bounds
    noise, high_u, low_u = rng.standard_normal(len(reference)), rng.random(len(reference)), rng.random(len(reference))
    fair = reference * (1 + carry)
    wanted = fair * (1 + shock + drift)
    close = np.clip(np.rint(wanted), np.maximum(down, 1), up)
    opening = np.clip(np.rint(fair * np.maximum(1 + 0.33 * shock + 0.3 * volatility * noise, 0.2)), np.maximum(down, 1), up)
    spread = 2 * (0.75 * volatility) ** 2
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
    """The running state of trading activity: a lasting level for each stock, slow swings of it, and swings of the whole market."""

    def __init__(self, activity: Floats, rng: np.random.Generator) -> None:
        self.activity = activity
        self.rng = rng
        self.swing = 0.35 * rng.standard_normal(len(activity))
        self.market = 0.0

    def draw(self, quotes: Quotes, moves: Floats, floating: Floats) -> tuple[Floats, Ints]:
        """(volume in shares, amount in cents) of a session, [N].  moves: |return| in units of each stock's volatility.

        Volume is in lots of 100; amount / volume lies within low..high.
        """
        count = len(floating)
        noise, tilt = self.rng.standard_normal((2, count))
        self.market = 0.98 * self.market + 0.06 * self.rng.standard_normal()
        self.swing = 0.95 * self.swing + 0.12 * self.rng.standard_normal(count)
        level = self.activity + self.market + self.swing + 0.3 * (np.minimum(moves, 5.0) - 0.8) + 0.22 * noise
        turnover = np.minimum(np.exp(level), 0.6) * np.where(quotes.sealed, 0.1, 1.0)
        volume = np.maximum(np.floor(turnover * floating / 100), 1.0) * 100
        middle = (quotes.open + quotes.high + quotes.low + quotes.close) / 4
        price = np.clip(middle + 0.1 * tilt * (quotes.high - quotes.low), quotes.low, quotes.high)
        return volume, np.rint(volume * price).astype(np.int64)
