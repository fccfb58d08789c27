"""The news wire: which stock is written about, when, how, and in what tone, before any word of it is set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.settings import SimulationSettings
from data.simulator.titles import TEMPLATES
from data.simulator.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

CLOSE = 15 * 3600  # seconds after midnight; news up to the close belongs to the session
# share, first and last second of the day: small hours, before the open, trading hours, after the close, night
HOURS = ((0.04, 0, 21_600), (0.16, 23_400, 33_300), (0.25, 33_300, 54_000), (0.25, 54_000, 68_400), (0.30, 68_400, 86_399))
WEEKEND = 0.4  # of a weekday's news


@dataclass(frozen=True)
class Wire:
    """Pieces of news by time, [P] each.  `session` is the first at whose close a piece is known; D for those after the last close."""

    time: NDArray[np.datetime64]  # seconds, Asia/Shanghai
    session: Ints
    stock: Ints
    second: Ints  # another stock the piece names, -1 for none
    template: Ints
    intensity: Floats  # 0..1, what the numbers in the title show
    tone: Floats  # -1..1, planted

    def tones(self, sessions: int, stocks: int) -> Floats:
        """Sum of tones by the session they become known, [D, N]."""
        found = np.zeros((sessions, stocks))
        known = self.session < sessions
        np.add.at(found, (self.session[known], self.stock[known]), self.tone[known])
        both = known & (self.second >= 0)
        np.add.at(found, (self.session[both], self.second[both]), self.tone[both])
        return found


def wire(settings: SimulationSettings, stocks: Universe, days: Days, rng: np.random.Generator) -> Wire:
    """Draw the news of the market's span, weekends and nights included.  days: [D]."""
    span = np.arange(days[0], days[-1] + 1)
    weight = np.where(np.is_busday(span), 1.0, WEEKEND)
    cap = stocks.shares * stocks.cents
    attention = (cap / np.median(cap)) ** 0.35 * np.exp(0.5 * rng.standard_normal(len(stocks)))
    count = rng.poisson(settings.news * len(span) * attention / attention.mean())
    stock = np.repeat(np.arange(len(stocks)), count)
    pieces = len(stock)
    day = span[rng.choice(len(span), size=pieces, p=weight / weight.sum())]
    shares = np.array([share for share, _, _ in HOURS])
    part = rng.choice(len(HOURS), size=pieces, p=shares / shares.sum())
    bounds = np.array([(first, last) for _, first, last in HOURS])[part]
    second = np.floor(bounds[:, 0] + rng.random(pieces) * (bounds[:, 1] - bounds[:, 0])).astype(np.int64)
    template = rng.choice(len(TEMPLATES), size=pieces, p=_frequencies())
    intensity = rng.random(pieces)
    low, high = np.array([(t.low, t.high) for t in TEMPLATES]).T
    other = np.where(np.array([t.names_two for t in TEMPLATES])[template], rng.integers(0, len(stocks), pieces), -1)
    other = np.where(other == stock, -1, other)
    published = day.astype("datetime64[s]") + second.astype("timedelta64[s]")
    listed = (stocks.list_dates[stock] < day) & ((other < 0) | (stocks.list_dates[other] < day))
    order = np.lexsort((stock, published))
    order = order[listed[order]]
    known = np.searchsorted(days.astype("datetime64[s]") + np.timedelta64(CLOSE, "s"), published)
    tone = low[template] + (high - low)[template] * intensity
    return Wire(published[order], known[order], stock[order], other[order], template[order], intensity[order], tone[order])


def _frequencies() -> Floats:
    weights = np.array([template.weight for template in TEMPLATES])
    return weights / weights.sum()
