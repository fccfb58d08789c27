"""The state of the market at a close: statistics of known factors across the stocks present in that session, nothing later.

Means of price factors are returns and volatilities of the equal-weighted universe, shares above zero its breadth, deviations its
dispersion, and the correlation of a recent return with a style says how that style has done.
Dims: N stocks present in a session, F factors, S sessions, M gauges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from data.errors import KestrelError
from data.panel import Floats
from models.dataset import Bools, Dataset, Floats32, Sessions
from models.ranker.settings import MarketSettings

MEANS = (
    *("reversal_5", "reversal_20", "momentum_6_1", "ma_gap_60"),  # what the market did
    *("volatility_20", "volatility_60", "idiosyncratic_volatility_60", "range_20"),  # how wildly, and how much of that was common
    *("turnover_shock", "turnover_abnormal", "volume_trend_20", "limit_up_20", "max_20"),  # how heatedly
)
SPREADS = ("reversal_5", "reversal_20", "momentum_12_1", "volatility_20", "turnover_shock")
BREADTHS = ("ma_gap_5", "ma_gap_20", "ma_gap_60", "macd", "vwap_gap")
STYLES = (
    *(("reversal_5", "momentum_12_1"), ("reversal_20", "momentum_12_1"), ("reversal_5", "volatility_60"), ("reversal_20", "volatility_60")),
    *(("reversal_5", "log_float_cap"), ("reversal_20", "log_float_cap"), ("reversal_20", "book_to_price"), ("reversal_20", "turnover_20")),
)
EXTREME = 3.0  # deviations beyond which a market is extreme and no more


@dataclass(frozen=True)
class Gauges:
    """What is measured, and the training sessions' centre and scale that it is expressed in."""

    settings: MarketSettings  # every name decided
    centre_M: Floats
    scale_M: Floats  # 1 / deviation; 0 for a gauge that never moved in training, since whatever it reads later would look extreme

    @property
    def count(self) -> int:
        """Gauges; a market of which nothing is known has one that is always 0."""
        return len(self.centre_M)

    def read(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """m_SM: standardised by the training sessions and clipped; an unknown gauge is 0, its mean."""
        scaled_SM = (measure(dataset, sessions, self.settings) - self.centre_M) * self.scale_M
        return np.nan_to_num(np.clip(scaled_SM, -EXTREME, EXTREME), nan=0.0).astype(np.float32)


def calibrate(dataset: Dataset, train: Sessions, wanted: MarketSettings) -> Gauges:
    """Gauges for this dataset, standardised on its training sessions; raises KestrelError for factors that the settings name and it lacks."""
    settings = decide(wanted, dataset.names)
    raw_SM = measure(dataset, train, settings)
    centre_M, scale_M = np.zeros(raw_SM.shape[1]), np.zeros(raw_SM.shape[1])
    for place in range(raw_SM.shape[1]):
        known = raw_SM[np.isfinite(raw_SM[:, place]), place]
        if len(known) and known.std() > 1e-9 * abs(known.mean()):
            centre_M[place], scale_M[place] = known.mean(), 1 / known.std()
    return Gauges(settings, centre_M, scale_M)


def decide(wanted: MarketSettings, names: Sequence[str]) -> MarketSettings:
    """The settings with every name given: those asked for, else the library's that are among these."""
    settings = MarketSettings(
        means=tuple(name for name in MEANS if name in names) if wanted.means is None else wanted.means,
        spreads=tuple(name for name in SPREADS if name in names) if wanted.spreads is None else wanted.spreads,
        breadths=tuple(name for name in BREADTHS if name in names) if wanted.breadths is None else wanted.breadths,
        styles=tuple(pair for pair in STYLES if set(pair) <= set(names)) if wanted.styles is None else wanted.styles,
    )
    missing = sorted(_factors(settings) - set(names))
    if missing:
        raise KestrelError(f"model.ranker.market names {', '.join(missing)}, which models don't read here. Add it to factors.names, or leave it out.")
    return settings


def measure(dataset: Dataset, sessions: Sessions, settings: MarketSettings) -> Floats:
    """Raw gauges as [S, M]: means, spreads, breadths, then styles; NaN where fewer than two stocks know what it is made of."""
    singles = [settings.means or (), settings.spreads or (), settings.breadths or ()]
    styles = settings.styles or ()
    factors = sorted(_factors(settings))
    if not factors:
        return np.zeros((len(sessions), 1))
    at = {name: place for place, name in enumerate(factors)}
    columns = dataset.columns(factors)
    places = [np.array([at[name] for name in names], dtype=np.int64) for names in singles]
    one, other = (np.array([at[pair[side]] for pair in styles], dtype=np.int64) for side in (0, 1))
    raw_SM = np.empty((len(sessions), sum(map(len, places)) + len(styles)))
    for row, session in enumerate(sessions.tolist()):
        x_FN = np.ascontiguousarray(dataset.session(session, columns).T, dtype=np.float64)
        known_FN = np.isfinite(x_FN)
        mean_F = _mean(x_FN, known_FN)
        spread_F = np.sqrt(_mean((x_FN - mean_F[:, None]) ** 2, known_FN))
        above_F = _mean((x_FN > 0).astype(np.float64), known_FN)
        style_P = _correlation(x_FN[one], x_FN[other])
        raw_SM[row] = np.concatenate([mean_F[places[0]], spread_F[places[1]], above_F[places[2]], style_P])
    return raw_SM


def _factors(settings: MarketSettings) -> set[str]:
    """Every factor that a gauge reads."""
    singles = chain(settings.means or (), settings.spreads or (), settings.breadths or ())
    return {*singles, *chain.from_iterable(settings.styles or ())}


def _mean(x_FN: Floats, known_FN: Bools) -> Floats:
    """Mean of each row over what is known; NaN below two."""
    count_F = known_FN.sum(axis=1)
    total_F = np.where(known_FN, x_FN, 0.0).sum(axis=1)
    return np.where(count_F > 1, total_F / np.maximum(count_F, 1), np.nan)


def _correlation(a_PN: Floats, b_PN: Floats) -> Floats:
    """Correlation of each pair of rows over what both know; NaN without spread."""
    known_PN = np.isfinite(a_PN) & np.isfinite(b_PN)
    a_PN, b_PN = (x_PN - _mean(x_PN, known_PN)[:, None] for x_PN in (a_PN, b_PN))
    size_P = np.sqrt(_mean(a_PN**2, known_PN) * _mean(b_PN**2, known_PN))
    return np.divide(_mean(a_PN * b_PN, known_PN), size_P, out=np.full(len(size_P), np.nan), where=size_P > 0)
