"""The same figures as alphalens-reloaded on the same input, to 1e-10, where both mean the same.

Where they don't: alphalens cuts quantiles by value (pandas.qcut), Kestrel by rank, which is the same without ties where the number of
stocks is a multiple of the number of quantiles; its mean return by quantile is over all rows, Kestrel's the mean of the sessions' means,
the same where every session has as many stocks; it drops a stock without a return of any horizon from all horizons; its
rank autocorrelation ranks all stocks of a session, Kestrel's those that both sessions have; its IC is Kestrel's RankIC.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from factors.judge import daily_rank_ic, rank_correlations
from factors.quantiles import buckets, daily_quantile_returns, quantile_returns, turnover
from factors.ranks import ordered

SESSIONS, STOCKS = 60, 45
HORIZONS = (1, 5)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Alphalens is written for an older pandas, which warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def sample() -> dict[str, np.ndarray]:
    """A factor, and returns over each horizon from the close itself, which is what alphalens takes: [D, N] each."""
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.normal(size=(SESSIONS, STOCKS)), axis=0)
    prices = np.cumprod(1 + 0.0005 * x + rng.normal(0, 0.02, size=(SESSIONS, STOCKS)), axis=0)
    ahead = {str(h): np.concatenate([prices[h:] / prices[:-h] - 1, np.full((h, STOCKS), np.nan)]) for h in HORIZONS}
    return {"x": x, "prices": prices, **ahead}


@pytest.fixture(scope="module")
def theirs(sample: dict[str, np.ndarray]) -> object:
    """Alphalens' table of the factor, its quantile and its returns, a row a stock and session."""
    import pandas as pd

    alphalens = pytest.importorskip("alphalens")
    days, stocks = pd.bdate_range("2020-01-01", periods=SESSIONS, name="date"), pd.Index([f"s{n:02}" for n in range(STOCKS)], name="asset")
    factor = pd.DataFrame(sample["x"], index=days, columns=stocks).stack()
    prices = pd.DataFrame(sample["prices"], index=days, columns=stocks)
    return alphalens.utils.get_clean_factor_and_forward_returns(factor, prices, quantiles=5, periods=HORIZONS, max_loss=0.5, filter_zscore=None)


def judged(sample: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The sessions that alphalens keeps: those with a return of every horizon."""
    kept = slice(0, SESSIONS - max(HORIZONS))
    return sample["x"][kept], {h: sample[str(h)][kept] for h in HORIZONS}


def test_rank_ics_agree(sample: dict[str, np.ndarray], theirs: object) -> None:
    from alphalens.performance import factor_information_coefficient

    x, ahead = judged(sample)
    found = factor_information_coefficient(theirs)
    for horizon in HORIZONS:
        assert found[f"{horizon}D"].to_numpy() == pytest.approx(daily_rank_ic(x, ahead[horizon]), abs=1e-10)


def test_mean_returns_by_quantile_agree(sample: dict[str, np.ndarray], theirs: object) -> None:
    from alphalens.performance import mean_return_by_quantile

    x, ahead = judged(sample)
    daily, _ = mean_return_by_quantile(theirs, by_date=True, demeaned=False)
    mean, _ = mean_return_by_quantile(theirs, by_date=False, demeaned=False)
    for horizon in HORIZONS:
        mine = daily_quantile_returns(ordered(x), ahead[horizon])
        assert daily[f"{horizon}D"].unstack("factor_quantile").to_numpy() == pytest.approx(mine, abs=1e-10)
        assert mean[f"{horizon}D"].to_numpy() == pytest.approx(quantile_returns(x, ahead[horizon]), abs=1e-10)


def test_quantile_turnover_agrees(sample: dict[str, np.ndarray], theirs: object) -> None:
    from alphalens.performance import quantile_turnover

    mine = buckets(ordered(judged(sample)[0]))
    for lag in HORIZONS:
        for q in range(1, 6):
            found = quantile_turnover(theirs["factor_quantile"], q, period=lag)  # type: ignore[index]
            assert found.to_numpy() == pytest.approx(turnover(mine, lag=lag)[:, q - 1], abs=1e-10, nan_ok=True)


def test_rank_autocorrelation_agrees(sample: dict[str, np.ndarray], theirs: object) -> None:
    from alphalens.performance import factor_rank_autocorrelation

    rows = ordered(judged(sample)[0])
    for lag in HORIZONS:
        found = factor_rank_autocorrelation(theirs, period=lag).to_numpy()
        assert np.isnan(found[:lag]).all()
        assert found[lag:] == pytest.approx(rank_correlations(rows.rows(lag, None), rows.rows(None, -lag)), abs=1e-10)
