"""Is a factor any good: correlation with later returns, its decay, quantile portfolios and their costs, stability, exposures and capacity.

Later returns come as an argument (models/labels.py makes them), so nothing in this package looks ahead.
Dims: D sessions, N stocks, H horizons, Q quantiles, S sampled sessions, G industries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from data.errors import KestrelError
from data.panel import Floats
from data.progress import Track, silent
from factors import quantiles
from factors.exposures import Ranks, industry_tilts, mean_correlations, ranked
from factors.judge import by_year, daily_ic, newey_west_t, rank_correlations, summary
from factors.ranks import Ordered, centred_ranks, ordered
from factors.stability import by_regime, half_life, rank_autocorrelation
from factors.trials import p_value

Bools = NDArray[np.bool_]
Correlations = dict[str, float]


class EvaluateSettings(BaseModel):
    """What a factor is held against.

    cost: of a trade, as a fraction of its amount and a side.  The default is 0.0002 commission, 0.00025 stamp duty (0.0005 on sales alone,
    since 2023-08-28; 0.001 before), 0.00001 transfer fee and 0.00034 slippage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    main: PositiveInt = 5  # the horizon, in sessions, of all that is told of one horizon only
    quantiles: int = Field(default=5, ge=2, le=50)
    cost: float = Field(default=0.0008, ge=0, le=0.05)
    lags: tuple[PositiveInt, ...] = (1, 5, 20, 60)  # sessions between ranks that are correlated, rising
    participation: float = Field(default=0.05, gt=0, le=1)  # of a stock's turnover that a buyer may be
    sample: PositiveInt = 20  # exposures, correlations with other factors and capacity are taken every so many sessions
    closest: PositiveInt = 5  # known factors that are named

    def sampled(self, sessions: int) -> NDArray[np.int64]:
        """Positions of the sampled ones among so many sessions."""
        return np.arange(0, sessions, self.sample)


@dataclass(frozen=True)
class Surroundings:
    """What else is known of the sessions judged, on the same axes; what is missing is left out of the evaluation.

    amount_DN: CNY that a stock trades in a session, known at the close (e.g. its mean over 20 sessions).  styles, known: factors in the
    sampled sessions {name: [S, N]}, that exposures and likeness are told of.  groups_DN: numbers of `industries`, -1 = unknown.
    regimes: {name: sessions [D] in it}.
    """

    amount_DN: Floats | None = None
    styles: Mapping[str, Floats] = field(default_factory=dict)
    known: Mapping[str, Floats] = field(default_factory=dict)
    groups_DN: NDArray[np.int64] | None = None
    industries: Sequence[str] = ()
    regimes: Mapping[str, Bools] = field(default_factory=dict)


@dataclass(frozen=True)
class Sheet:
    """All that is found out about one factor.

    horizons: a row a horizon.  figures: what has one number.  ic_D, rank_ic_D, quantile_DQ (returns), turnover_DQ: at the main horizon.
    coverage_D: share of the present stocks with a value.  autocorrelation: of ranks, by lag.  years, regimes: rows.  styles, closest:
    correlations of ranks.  industries: mean rank of each in deviations.
    """

    horizons: list[dict[str, float]]
    figures: dict[str, float]
    ic_D: Floats
    rank_ic_D: Floats
    coverage_D: Floats
    quantile_DQ: Floats
    turnover_DQ: Floats
    autocorrelation: dict[int, float]
    years: pl.DataFrame
    regimes: pl.DataFrame
    styles: Correlations
    closest: Correlations
    industries: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The sheet of each factor, in the order given, over these sessions."""

    dates: tuple[date, ...]
    settings: EvaluateSettings
    sheets: dict[str, Sheet]

    @cached_property
    def summary(self) -> pl.DataFrame:
        """A row a factor and horizon; the figures of the factor stand in each of its rows."""
        rows = [{"factor": name, **row, **sheet.figures} for name, sheet in self.sheets.items() for row in sheet.horizons]
        return pl.DataFrame(rows, infer_schema_length=None)

    def main(self, name: str) -> dict[str, float]:
        """A factor's row at the main horizon, with its figures."""
        sheet = self.sheets[name]
        return {**next(row for row in sheet.horizons if row["horizon"] == self.settings.main), **sheet.figures}


class Judge:
    """Returns, sorted once, that factors are held against one by one."""

    def __init__(
        self,
        y_DNH: NDArray[np.floating],
        horizons: Sequence[int],
        present_DN: Bools,
        dates: Sequence[date],
        *,
        around: Surroundings,
        settings: EvaluateSettings,
    ) -> None:
        if settings.main not in horizons:
            raise KestrelError(f"The main horizon {settings.main} is none of {list(horizons)}. Add it to the horizons.")
        self.horizons, self.present_DN, self.dates = tuple(horizons), present_DN, tuple(dates)
        self.around, self.settings = around, settings
        self.later = [ordered(np.where(present_DN, y_DNH[..., place], np.nan)) for place in range(len(horizons))]
        self.sampled = settings.sampled(len(present_DN))
        self.styles, self.known = self._ranks(around.styles), self._ranks(around.known)

    def __call__(self, values_DN: NDArray[np.floating], name: str = "") -> Sheet:
        """The sheet of a factor [D, N] among the stocks present; `name` is not told as a factor close to itself."""
        how = self.settings
        x = ordered(np.where(self.present_DN, values_DN, np.nan))
        bucket_DN = quantiles.buckets(x, quantiles=how.quantiles)
        main = self.horizons.index(how.main)
        daily = [(daily_ic(x.values_SN, y.values_SN), rank_correlations(x, y)) for y in self.later]
        returns = [quantiles.daily_quantile_returns(x, y.values_SN, quantiles=how.quantiles) for y in self.later]
        turnovers = [quantiles.turnover(bucket_DN, lag=horizon, quantiles=how.quantiles) for horizon in self.horizons]
        rows = [self._horizon(*part) for part in zip(self.horizons, daily, returns, turnovers, strict=True)]
        ic_D, rank_ic_D = daily[main]
        autocorrelation = {lag: rank_autocorrelation(x, lag=lag) for lag in how.lags if lag < len(x.values_SN)}
        coverage_D = x.count_S / np.maximum(self.present_DN.sum(axis=1), 1)
        styles, closest, industries, industry_share = self._made_of(x, name)
        rising, p_rising = quantiles.monotonicity(returns[main], block=max(2 * how.main, 10))
        figures = {
            "coverage": coverage(x.values_SN, self.present_DN),
            "rank_autocorrelation": autocorrelation.get(how.lags[0], float("nan")),
            "half_life": half_life(autocorrelation),
            "monotonicity": rising,
            "monotonicity_p": p_rising,
            "capacity": self._capacity(bucket_DN, rows[main]["rank_ic"]),
            "industry_share": industry_share,
        }
        years = by_year(self.dates, ic_D, rank_ic_D)
        regimes = by_regime(self.around.regimes, ic_D, rank_ic_D, lags=how.main)
        parts = (ic_D, rank_ic_D, coverage_D, returns[main], turnovers[main], autocorrelation, years, regimes)
        return Sheet(rows, figures, *parts, styles, closest, industries)

    def _horizon(self, horizon: int, daily: tuple[Floats, Floats], returns_DQ: Floats, turnover_DQ: Floats) -> dict[str, float]:
        """The figures of one horizon."""
        ic_D, rank_ic_D = daily
        returns_Q, turnover_Q = quantiles.column_means(returns_DQ), quantiles.column_means(turnover_DQ)
        t = newey_west_t(rank_ic_D, lags=horizon)
        return {
            "horizon": horizon,
            **summary(ic_D, rank_ic_D).__dict__,
            "t_ic": newey_west_t(ic_D, lags=horizon),
            "t": t,
            "p": p_value(t),
            "spread": float(returns_Q[-1] - returns_Q[0]),
            "spread_t": newey_west_t(returns_DQ[:, -1] - returns_DQ[:, 0], lags=horizon),
            "spread_net": quantiles.spread_net(returns_Q, turnover_Q, cost=self.settings.cost),
            "turnover": float((turnover_Q[0] + turnover_Q[-1]) / 2),
        }

    def _made_of(self, x: Ordered, name: str) -> tuple[Correlations, Correlations, dict[str, float], float]:
        """(correlations with styles, with the closest known factors, tilts to industries, share of variance between industries)."""
        values_SN = x.values_SN[self.sampled]
        ranks = ranked({name: values_SN})
        styles, known = correlations(ranks, self.styles, self.around.styles), correlations(ranks, self.known, self.around.known)
        likest = sorted((key for key, value in known.items() if key != name and np.isfinite(value)), key=lambda key: -abs(known[key]))
        closest = {key: known[key] for key in likest[: self.settings.closest]}
        if self.around.groups_DN is None:
            return styles, closest, {}, float("nan")
        tilt_G, share = industry_tilts(centred_ranks(values_SN), self.around.groups_DN[self.sampled], len(self.around.industries))
        tilts = zip(self.around.industries, tilt_G.tolist(), strict=True)
        return styles, closest, {industry: tilt for industry, tilt in tilts if np.isfinite(tilt)}, share

    def _ranks(self, factors: Mapping[str, Floats]) -> Ranks | None:
        """Other factors, ranked among the stocks present in the sampled sessions."""
        here = self.present_DN[self.sampled]
        return ranked({name: np.where(here, panel, np.nan) for name, panel in factors.items()}) if factors else None

    def _capacity(self, bucket_DN: NDArray[np.int8], rank_ic: float) -> float:
        """Of the quantile that is bought: the highest, or the lowest of a factor that foretells the other way round."""
        if self.around.amount_DN is None:
            return float("nan")
        bought = 1 if rank_ic < 0 else self.settings.quantiles
        sampled, share = self.sampled, self.settings.participation
        return quantiles.capacity(bucket_DN[sampled], self.around.amount_DN[sampled], quantile=bought, participation=share)


def evaluate(
    values: Mapping[str, NDArray[np.floating]],
    y_DNH: NDArray[np.floating],
    horizons: Sequence[int],
    present_DN: Bools,
    dates: Sequence[date],
    *,
    around: Surroundings | None = None,
    settings: EvaluateSettings | None = None,
    track: Track = silent,
) -> Evaluation:
    """Evaluate factors {name: [D, N]} against returns [D, N, H] over the stocks present; `values` may load each as it is asked for."""
    settings = settings or EvaluateSettings()
    judge = Judge(y_DNH, horizons, present_DN, dates, around=around or Surroundings(), settings=settings)
    return Evaluation(judge.dates, settings, {name: judge(values[name], name) for name in track(list(values), "evaluate")})


def correlations(ranks: Ranks, others: Ranks | None, names: Iterable[str]) -> Correlations:
    """{name: correlation} of one factor's ranks with each of the others'."""
    return {} if others is None else dict(zip(names, mean_correlations(ranks, others)[0].tolist(), strict=True))


def coverage(x_DN: Floats, present_DN: Bools) -> float:
    """Share of the present stocks that have a value."""
    return float(np.isfinite(x_DN).sum() / max(int(present_DN.sum()), 1))
