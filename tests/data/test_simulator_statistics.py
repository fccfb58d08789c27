"""The statistics on series whose answer is known, on a simulated market counted otherwise, and beside the research pack's."""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from data.errors import KestrelError
from data.lake import Lake
from data.simulator import SimulationSettings, moments, simulate
from data.simulator.statistics import READ, statistics

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

Tables = dict[str, pl.DataFrame]
Values = dict[tuple[str, str], float]

# Where the simulated market is unlike the real one on purpose or by its limits; docs/simulator.md says why.
UNLIKE = {
    ("stocks together", "skewness across stocks"), ("memory of returns", "5 sessions with the next 5, across stocks"),
    ("index from its members", "tracking error a year"),
}  # fmt: skip
BY_CHANCE = ("return a year", "largest drawdown", "most upper limits", "most lower limits", "lag 60", "index return")


def values(tables: Tables, start: date | None = None, end: date | None = None) -> Values:
    return {(topic, name): value for topic, name, value in statistics(tables, start=start, end=end).iter_rows()}


@pytest.fixture(scope="module")
def tables() -> Tables:
    found = simulate(SimulationSettings(stocks=120, members=60, years=3, end=date(2023, 12, 29), seed=3, suspended=0.02)).tables
    return {name: found[name] for name in READ}


@pytest.fixture(scope="module")
def found(tables: Tables) -> Values:
    return values(tables)


def held(tables: Tables) -> pl.DataFrame:
    """Bars of the stocks that the index ever held, later listings without their first 20."""
    bars = tables["bars"].join(tables["members"].select("symbol").unique(), on="symbol", how="semi")
    age = pl.int_range(pl.len()).over("symbol", order_by="date")
    early = pl.col("date").min().over("symbol") == bars["date"].min()
    return bars.filter(early | (age >= 20))


def test_limits_and_suspensions_are_those_counted_by_hand(tables: Tables, found: Values) -> None:
    bars = held(tables)
    traded = bars.filter("is_trading")
    assert found["suspensions", "share of stock-sessions"] == pytest.approx(1 - traded.height / bars.height)
    assert found["limits", "closes at the upper limit"] == pytest.approx((traded["close"] == traded["limit_up"]).sum() / traded.height)
    assert found["limits", "closes at the lower limit"] == pytest.approx((traded["close"] == traded["limit_down"]).sum() / traded.height)


def test_dispersion_and_turnover_are_those_counted_by_hand(tables: Tables, found: Values) -> None:
    traded = held(tables).filter("is_trading").join(tables["caps"], on=["date", "symbol"])
    daily = traded.group_by("date").agg((pl.col("close") / pl.col("pre_close") - 1).std(ddof=0).alias("spread"))
    assert found["stocks together", "dispersion of a session"] == pytest.approx(daily["spread"].mean())
    assert found["turnover", "median of a session"] == pytest.approx((traded["volume"] / traded["float_shares"]).median())


def test_members_and_weights_track_their_own_index(found: Values) -> None:
    assert found["index from its members", "correlation with the index"] == pytest.approx(1)
    assert found["index from its members", "tracking error a year"] < 1e-9


def test_adjusted_prices_give_the_same_statistics(tables: Tables, found: Values) -> None:
    prices = ("open", "high", "low", "close", "pre_close", "limit_up", "limit_down")
    bars = tables["bars"].with_columns(pl.col(prices) * pl.col("adj"), pl.col("volume") / pl.col("adj"), adj=pl.lit(1.0))
    shares = tables["caps"].join(tables["bars"].select("date", "symbol", "adj"), on=["date", "symbol"])
    caps = shares.with_columns(pl.col("float_shares") / pl.col("adj"))
    again = values({**tables, "bars": bars, "caps": caps})
    assert again == pytest.approx(found, rel=1e-6, abs=1e-9, nan_ok=True)


def test_a_lake_with_bars_alone_has_the_statistics_that_they_give(tables: Tables) -> None:
    topics = statistics({"bars": tables["bars"]})
    assert set(topics["topic"].unique()) >= {"stocks", "limits", "suspensions"}
    assert not set(topics["topic"].unique()) & {"turnover", "index from its members"}
    assert topics.filter(topic="stocks")["value"].is_finite().all()


def test_a_short_span_leaves_open_what_it_cannot_tell_and_an_empty_one_is_refused(tables: Tables) -> None:
    short = values(tables, date(2022, 3, 1), date(2022, 4, 29))
    assert list(short) == list(values(tables))
    assert np.isnan(short["index", "excess kurtosis"])
    assert short["limits", "closes at the upper limit"] >= 0
    with pytest.raises(KestrelError, match="no bars from 2031-01-01 to the last day"):
        statistics(tables, start=date(2031, 1, 1))


def test_autocorrelation_finds_the_memory_of_a_series() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4000, 20))
    for place in range(1, len(x)):
        x[place] += 0.5 * x[place - 1]
    x[::97] = np.nan
    assert moments.lagged(x, 1) == pytest.approx(0.5, abs=0.02)
    assert moments.lagged(x, 3) == pytest.approx(0.125, abs=0.03)


def test_pairwise_correlation_is_that_of_every_pair() -> None:
    rng = np.random.default_rng(2)
    x = 0.6 * rng.standard_normal((244, 1)) + 0.8 * rng.standard_normal((244, 30))
    pairs = np.corrcoef(x.T)[np.triu_indices(30, 1)]
    assert moments.pairwise(x) == pytest.approx(pairs.mean(), rel=1e-9)


def test_tails_and_moments_of_known_distributions() -> None:
    rng = np.random.default_rng(3)
    assert moments.hill(rng.pareto(3.0, 200_000) + 1, share=0.02) == pytest.approx(3.0, abs=0.15)
    assert moments.kurtosis(rng.uniform(size=(50_000, 1)))[0] == pytest.approx(-1.2, abs=0.02)
    assert moments.skewness(rng.exponential(size=(200_000, 1)))[0] == pytest.approx(2.0, abs=0.1)


def test_spells_and_drawdowns_by_hand() -> None:
    off = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]], dtype=bool)
    assert moments.spells(off) == pytest.approx(4 / 3)
    assert moments.drawdown(np.array([1.0, 2.0, 1.5, 1.0, 3.0])) == -0.5


@pytest.mark.slow
def test_a_simulated_market_is_like_the_real_one_within_a_third(imported: Callable[[str], Lake]) -> None:
    """Between the lowest and the highest of three spans of the pack, and a third beyond; what isn't is named in UNLIKE."""
    lake = imported("pack")
    pack = {name: lake.read(name) for name in READ}
    spans = [(date(2008, 1, 1), date(2020, 8, 24)), (date(2010, 1, 1), date(2014, 12, 31)), (date(2016, 7, 1), date(2020, 8, 24))]
    real = [values(pack, *span) for span in spans]
    made = simulate(SimulationSettings(stocks=1200, years=10, end=date(2020, 8, 24), suspended=0.05)).tables
    wrong = {}
    for key, value in values({name: made[name] for name in READ}).items():
        known = [span[key] for span in real if np.isfinite(span.get(key, np.nan))]
        slack = max(abs(number) for number in known) / 3
        if key not in UNLIKE and not key[1].startswith(BY_CHANCE) and not min(known) - slack <= value <= max(known) + slack:
            wrong[key] = (value, known)
    assert wrong == {}
