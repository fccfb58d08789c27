"""Does a scorer know the future?  Its IC on news as it is, masked, under other names, and on names alone.

A model's training data postdates old news.  What it knows of a company's later fate shows as an IC that goes away when the
company can't be recognised, and as one that is there without any news.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from models.sentiment.answers import Answer, News, Scorer
from models.sentiment.disguises import Names, bare, masked, swapped

DRAWS = 1000
FEWEST = 30  # pieces that an IC is made of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """An IC with its 95 % interval, over n pieces on so many days.  Null where there are too few."""

    what: str
    n: int
    days: int
    ic: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found: a row a measure, and a sentence a breach."""

    rows: list[Row]
    breaches: list[str]


def audit(
    scorer: Scorer, news: Sequence[News], days: Sequence[date], returns: Floats, *, names: Names, cutoff: date | None = None, seed: int = 0
) -> Verdict:
    """Score all variants and compare them with returns.

    days: the session at whose close each piece is known.  returns: what its stock did after that, NaN where unknown.  cutoff: the
    last day of the model's training data.  ICs are rank correlations over all pieces; intervals come from a bootstrap of whole
    days, since pieces of one day share its market.  A breach is an interval that leaves 0 where nothing may be known: the probe of
    names alone, and what masking takes away.
    """
    variants: dict[str, Callable[[int], News]] = {
        "raw": lambda place: news[place],
        "mask": lambda place: masked(news[place], names),
        "swap": lambda place: swapped(news[place], _partner(news, place)),
        "probe": lambda place: bare(news[place], days[place]),
    }
    scores = {name: _scores(scorer.score([make(place) for place in range(len(news))])) for name, make in variants.items()}
    codes = np.unique(np.array(days, dtype="datetime64[D]"), return_inverse=True)[1]
    known = np.isfinite(returns)
    measure = _Measure(returns, codes, np.random.default_rng(seed))
    rows = [measure.row(name, values, known) for name, values in scores.items()]
    gap = measure.gap("raw less mask", scores["raw"], scores["mask"], known)
    rows.append(gap)
    if cutoff is not None:
        before = np.array([day <= cutoff for day in days])
        rows += [
            measure.row(f"raw up to {cutoff}", scores["raw"], known & before),
            measure.row(f"raw after {cutoff}", scores["raw"], known & ~before),
        ]
    return Verdict(rows, _breaches(rows[3], gap))


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's: the correlation of ranks, ties sharing theirs; 0 where either doesn't vary."""
    a, b = (_ranks(values) for values in (one, other))
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


@dataclass
class _Measure:
    """Correlations with the returns, and their intervals over days drawn with replacement."""

    returns: Floats
    codes: NDArray[np.int64]
    rng: np.random.Generator

    def row(self, what: str, scores: Floats, among: NDArray[np.bool_]) -> Row:
        """The IC of these scores."""
        return self._row(what, among & np.isfinite(scores), lambda places: rank_correlation(scores[places], self.returns[places]))

    def gap(self, what: str, one: Floats, other: Floats, among: NDArray[np.bool_]) -> Row:
        """The IC of one less that of the other, on the same pieces."""
        both = among & np.isfinite(one) & np.isfinite(other)

        def difference(places: NDArray[np.int64]) -> float:
            return rank_correlation(one[places], self.returns[places]) - rank_correlation(other[places], self.returns[places])

        return self._row(what, both, difference)

    def _row(self, what: str, among: NDArray[np.bool_], statistic: Callable[[NDArray[np.int64]], float]) -> Row:
        places = np.flatnonzero(among)
        count = len(np.unique(self.codes[places]))
        if len(places) < FEWEST or count < 2:
            return Row(what, len(places), count, None, None, None)
        groups = [places[self.codes[places] == code] for code in np.unique(self.codes[places])]
        draws = [statistic(np.concatenate([groups[place] for place in self.rng.integers(0, len(groups), len(groups))])) for _ in range(DRAWS)]
        low, high = np.quantile(draws, [0.025, 0.975])
        return Row(what, len(places), count, statistic(places), float(low), float(high))


def _breaches(probe: Row, gap: Row) -> list[str]:
    found = []
    if probe.low is not None and probe.high is not None and (probe.low > 0 or probe.high < 0):
        found.append(f"Names and dates alone have an IC of {probe.ic:.3f} ({probe.low:.3f} to {probe.high:.3f}): the scorer knows what came later.")
    if gap.low is not None and gap.low > 0:
        found.append(f"Masking takes {gap.ic:.3f} of the IC away ({gap.low:.3f} to {gap.high:.3f}): that part came from knowing the company.")
    return found


def _scores(found: Sequence[object]) -> Floats:
    return np.array([answer.score if isinstance(answer, Answer) else np.nan for answer in found])


def _partner(news: Sequence[News], place: int) -> News:
    """The next piece about another company; the piece itself where there is none."""
    later = (news[(place + step) % len(news)] for step in range(1, len(news)))
    return next((piece for piece in later if piece.symbol != news[place].symbol), news[place])


def _ranks(values: Floats) -> Floats:
    order = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(order[2])
    return (ends - (order[2] - 1) / 2.0)[order[1]]
