"""Technical factors against plain numpy over one stock's history; nulls of suspended sessions are left out."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from data.panel import Floats
from factors.registry import library

History = dict[str, Floats]


def change(h: History) -> Floats:
    """Returns of sessions in which the stock traded."""
    return np.concatenate([[np.nan], h["close"][1:] / h["last"][:-1] - 1])


def rate(h: History) -> Floats:
    return h["volume"] / h["float_shares"]


def typical(h: History) -> Floats:
    return (h["high"] + h["low"] + h["close"]) / 3


def deviation(values: Floats) -> float:
    return float(np.nanstd(values, ddof=1))


def ema(values: Floats, span: int) -> float:
    recent = values[-4 * span :]
    weights = (1 - 2 / (span + 1)) ** np.arange(len(recent) - 1, -1, -1.0)
    seen = np.isfinite(recent)
    return float(np.sum(recent[seen] * weights[seen]) / np.sum(weights[seen]))


def macd(h: History, back: int = 0) -> float:
    last = h["last"][: len(h["last"]) - back]
    return (ema(last, 12) - ema(last, 26)) / float(last[-1])


def true_range(h: History) -> Floats:
    before = h["last"][:-1]
    return np.concatenate([[np.nan], np.maximum(h["high"][1:], before) - np.minimum(h["low"][1:], before)])


def stochastic(h: History) -> Floats:
    found = []
    for t in range(len(h["close"]) - 12, len(h["close"])):
        low, high = np.nanmin(h["low"][t - 8 : t + 1]), np.nanmax(h["high"][t - 8 : t + 1])
        found.append((h["close"][t] - low) / (high - low))
    return np.array(found)


def slope(y: Floats, x: Floats) -> float:
    both = np.isfinite(y) & np.isfinite(x)
    return float(np.polyfit(x[both], y[both], 1)[0])


def correlation(y: Floats, x: Floats) -> float:
    both = np.isfinite(y) & np.isfinite(x)
    return float(np.corrcoef(y[both], x[both])[0, 1])


def idiosyncratic(h: History) -> float:
    own, market = change(h), h["market"]
    left = [own[t] - slope(own[t - 59 : t + 1], market[t - 59 : t + 1]) * market[t] for t in range(len(own) - 60, len(own))]
    return deviation(np.array(left))


def money_flow(h: History) -> float:
    rising = np.concatenate([[np.nan], np.where(np.isnan(typical(h)[1:] + typical(h)[:-1]), np.nan, typical(h)[1:] > typical(h)[:-1])])
    return float(np.nansum((h["amount"] * rising)[-14:]) / np.nansum(h["amount"][-14:]))


def shadows(h: History) -> Floats:
    upper = h["high"] - np.maximum(h["open"], h["close"])
    return (upper - (np.minimum(h["open"], h["close"]) - h["low"])) / h["close"]


PLAIN: dict[str, Callable[[History], float]] = {
    **{f"ma_gap_{n}": lambda h, n=n: h["last"][-1] / h["last"][-n:].mean() - 1 for n in (5, 10, 20, 60)},  # type: ignore[misc]
    "macd": macd,
    "macd_histogram": lambda h: macd(h) - ema(np.array([macd(h, back) for back in range(35, -1, -1)]), 9),
    "bollinger_position": lambda h: (h["last"][-1] - h["last"][-20:].mean()) / (4 * deviation(h["last"][-20:])) + 0.5,
    "bollinger_width": lambda h: 4 * deviation(h["last"][-20:]) / h["last"][-20:].mean(),
    "atr_14": lambda h: np.nanmean(true_range(h)[-14:]) / h["last"][-1],
    "kdj_k": lambda h: ema(stochastic(h), 3),
    "cci_20": lambda h: (typical(h)[-1] - np.nanmean(typical(h)[-20:])) / deviation(typical(h)[-20:]),
    "volatility_20": lambda h: deviation(change(h)[-20:]),
    "volatility_60": lambda h: deviation(change(h)[-60:]),
    "idiosyncratic_volatility_60": idiosyncratic,
    "beta_120": lambda h: slope(change(h)[-120:], h["market"][-120:]),
    "range_20": lambda h: np.nanmean(np.log(h["high"] / h["low"])[-20:]),
    "skewness_60": lambda h: stats.skew(change(h)[-60:], nan_policy="omit"),
    "turnover_20": lambda h: np.nanmean(rate(h)[-20:]),
    "turnover_variation_20": lambda h: deviation(rate(h)[-20:]) / np.nanmean(rate(h)[-20:]),
    "amihud_20": lambda h: np.nanmean((np.abs(change(h)) / (h["amount"] / 1e8))[-20:]),
    "log_amount_20": lambda h: np.log(np.nanmean(h["amount"][-20:])),
    "volume_ratio_5": lambda h: h["volume"][-1] / np.nanmean(h["volume"][-6:-1]),
    "volume_trend_20": lambda h: np.nanmean(h["volume"][-5:]) / np.nanmean(h["volume"][-20:]),
    "price_volume_corr_10": lambda h: correlation(h["close"][-10:], h["volume"][-10:]),
    "return_volume_corr_20": lambda h: correlation(change(h)[-20:], np.diff(np.log(rate(h)))[-20:]),
    "vwap_gap": lambda h: np.nanmean((h["close"] / h["vwap"] - 1)[-5:]),
    "shadow_balance_20": lambda h: np.nanmean(shadows(h)[-20:]),
    "trend_slope_20": lambda h: np.polyfit(range(20), h["last"][-20:], 1)[0] / h["last"][-1],
    "trend_fit_20": lambda h: np.corrcoef(range(20), h["last"][-20:])[0, 1] ** 2,
    "money_flow_14": money_flow,
    "return_range_5": lambda h: np.ptp(h["last"][-5:]) / h["last"][-1],
    "return_5_to_20": lambda h: h["last"][-1] / h["last"][-6] - 1 - (h["last"][-1] / h["last"][-21] - 1) / 4,
}


def test_every_factor_of_the_family_has_its_plain_formula() -> None:
    assert set(PLAIN) == {factor.name for factor in library().values() if factor.family == "technical"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=5e-6, abs=1e-7), (t, n)


def test_a_stock_that_is_suspended_has_no_value(library_values: dict[str, Floats]) -> None:
    for name in PLAIN:
        assert np.isnan(library_values[name][100:130, 3]).all(), name
