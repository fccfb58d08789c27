"""Technical factors against plain numpy over one stock's history; nulls of suspended sessions are left out."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from data.panel import Floats
from factors.panel import Panel
from factors.registry import library

History = dict[str, Floats]
Computed = Callable[..., Floats]


def change(h: History) -> Floats:
    """Returns of sessions in which the stock traded."""
    return np.concatenate([[np.nan], h["close"][1:] / h["last"][:-1] - 1])


def rate(h: History) -> Floats:
    return h["volume"] / h["float_shares"]


def typical(h: History) -> Floats:
    return (h["high"] + h["low"] + h["close"]) / 3


def spread(h: History) -> Floats:
    return np.log(h["high"] / h["low"])


def place(h: History) -> Floats:
    """Where the close stands in the session's range, -1 to 1; 0 without a range."""
    span = h["high"] - h["low"]
    return np.where(span == 0, 0.0, (2 * h["close"] - h["high"] - h["low"]) / np.where(span == 0, 1.0, span))


def signed(values: Floats) -> float:
    return float(np.nansum(np.sign(values) * values**2) / np.nansum(values**2))


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


def stochastic(h: History, count: int = 12) -> Floats:
    found = []
    for t in range(len(h["close"]) - count, len(h["close"])):
        low, high = np.nanmin(h["low"][t - 8 : t + 1]), np.nanmax(h["high"][t - 8 : t + 1])
        found.append((h["close"][t] - low) / (high - low))
    return np.array(found)


def slope(y: Floats, x: Floats) -> float:
    both = np.isfinite(y) & np.isfinite(x)
    return float(np.polyfit(x[both], y[both], 1)[0])


def correlation(y: Floats, x: Floats) -> float:
    both = np.isfinite(y) & np.isfinite(x)
    return float(np.corrcoef(y[both], x[both])[0, 1])


def money_flow(h: History) -> float:
    rising = np.concatenate([[np.nan], np.where(np.isnan(typical(h)[1:] + typical(h)[:-1]), np.nan, typical(h)[1:] > typical(h)[:-1])])
    return float(np.nansum((h["amount"] * rising)[-14:]) / np.nansum(h["amount"][-14:]))


def shadows(h: History) -> Floats:
    upper = h["high"] - np.maximum(h["open"], h["close"])
    return (upper - (np.minimum(h["open"], h["close"]) - h["low"])) / h["close"]


def ema_series(values: Floats, span: int, count: int) -> Floats:
    """The last `count` exponential means."""
    return np.array([ema(values[: len(values) - back], span) for back in range(count - 1, -1, -1)])


def stochastic_j(h: History) -> float:
    k = ema_series(stochastic(h, 23), 3, 12)
    return float(3 * k[-1] - 2 * ema(k, 3))


def directional(h: History) -> float:
    up, down = np.diff(h["high"])[-14:], -np.diff(h["low"])[-14:]
    seen = np.isfinite(up)
    rise, fall = np.sum(up[seen] * ((up > down) & (up > 0))[seen]), np.sum(down[seen] * ((down > up) & (down > 0))[seen])
    return float((rise - fall) / (rise + fall))


def yang_zhang(h: History) -> float:
    night, day = np.log(h["open"][-20:] / h["last"][-21:-1]), np.log(h["close"] / h["open"])[-20:]
    within = np.log(h["high"] / h["close"]) * np.log(h["high"] / h["open"]) + np.log(h["low"] / h["close"]) * np.log(h["low"] / h["open"])
    k = 0.34 / (1.34 + 21 / 19)
    return float(np.sqrt(deviation(night) ** 2 + k * deviation(day) ** 2 + (1 - k) * np.nanmean(within[-20:])))


def garman_klass(h: History) -> float:
    spread, body = np.log(h["high"] / h["low"])[-20:], np.log(h["close"] / h["open"])[-20:]
    return float(np.sqrt(np.nanmean(0.5 * spread**2 - (2 * np.log(2) - 1) * body**2)))


def downside_beta(h: History) -> float:
    own, market = h["change"][-120:], h["market"][-120:]
    return slope(np.where(market < 0, own, np.nan), market) - slope(own, market)


def roll(h: History) -> float:
    today, before = h["change"][-60:], h["change"][-61:-1]
    covariance = np.nanmean(today * before) - np.nanmean(today) * np.nanmean(before)
    return float(2 * np.sqrt(max(-covariance, 0.0)))


def corwin_schultz(h: History) -> float:
    """As in the paper, day by day, with its spread out of alpha in full."""
    found = []
    for t in range(len(h["high"]) - 20, len(h["high"])):
        high, low, before = h["high"][t - 1 : t + 1].copy(), h["low"][t - 1 : t + 1].copy(), h["last"][t - 1]
        shift = before - high[1] if before > high[1] else before - low[1] if before < low[1] else 0.0
        high[1], low[1] = high[1] + shift, low[1] + shift
        b, g = np.sum(np.log(high / low) ** 2), np.log(high.max() / low.min()) ** 2
        narrow = 3 - 2 * np.sqrt(2)
        alpha = (np.sqrt(2 * b) - np.sqrt(b)) / narrow - np.sqrt(g / narrow)
        found.append(np.nan if np.isnan(alpha) else max(2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)), 0.0))
    return float(np.nanmean(found))


def abdi_ranaldo(h: History) -> float:
    middle, close = (np.log(h["high"]) + np.log(h["low"])) / 2, np.log(h["close"])
    products = (close[:-1] - middle[:-1]) * (close[:-1] - middle[1:])
    return float(2 * np.sqrt(max(np.nanmean(products[-20:]), 0.0)))


def volume_reversal(h: History) -> float:
    excess = h["change"] - h["market"]
    return slope(excess[-60:], (np.sign(excess) * h["amount"] / 1e8)[-61:-1])


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
    "idiosyncratic_volatility_60": lambda h: deviation(h["residual"][-60:]),
    "volatility_change": lambda h: deviation(change(h)[-20:]) / deviation(change(h)[-60:]),
    "garman_klass_20": garman_klass,
    "yang_zhang_20": yang_zhang,
    "downside_volatility_60": lambda h: np.sqrt(np.nanmean(np.minimum(change(h)[-60:], 0) ** 2)),
    "signed_variation_60": lambda h: signed(change(h)[-60:]),
    "downside_beta_120": downside_beta,
    "volatility_of_volatility_60": lambda h: deviation(spread(h)[-60:]) / np.nanmean(spread(h)[-60:]),
    "kurtosis_60": lambda h: stats.kurtosis(change(h)[-60:], nan_policy="omit"),
    "coskewness_60": lambda h: correlation(h["residual"][-60:], h["market"][-60:] ** 2),
    "ma_cross_20_120": lambda h: h["last"][-20:].mean() / h["last"][-120:].mean() - 1,
    "kdj_j": stochastic_j,
    "directional_14": directional,
    "on_balance_20": lambda h: np.nansum((np.sign(change(h)) * h["volume"])[-20:]) / np.nansum(h["volume"][-20:]),
    "chaikin_flow_20": lambda h: np.nansum((place(h) * h["volume"])[-20:]) / np.nansum(h["volume"][-20:]),
    "disagreement_60": lambda h: correlation(spread(h)[-60:], rate(h)[-60:]),
    "still_days_60": lambda h: np.mean(change(h)[-60:][np.isfinite(change(h)[-60:])] == 0),
    "roll_spread_60": roll,
    "close_range_spread_20": abdi_ranaldo,
    "volume_reversal_60": volume_reversal,
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
    others = {"amihud_given_size", "high_low_spread_20"}
    assert set(PLAIN) | others == {factor.name for factor in library().values() if factor.family == "technical"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_factor_is_its_plain_formula(name: str, histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values[name][t, n] == pytest.approx(PLAIN[name](history), rel=5e-6, abs=1e-7), (t, n)


def test_a_stock_that_is_suspended_has_no_value(library_values: dict[str, Floats]) -> None:
    for name in PLAIN:
        assert np.isnan(library_values[name][100:130, 3]).all(), name


def test_the_high_low_spread_is_the_papers_to_a_thousandth(histories: dict[tuple[int, int], History], library_values: dict[str, Floats]) -> None:
    for (t, n), history in histories.items():
        assert library_values["high_low_spread_20"][t, n] == pytest.approx(corwin_schultz(history), rel=2e-3), (t, n)


def test_impact_given_size_has_nothing_of_size_left(panel: Panel, library_values: dict[str, Floats]) -> None:
    t = 200  # no stock is suspended
    impact = np.log(library_values["amihud_20"][t].astype(float))
    cap = np.log(panel.columns["last"][t] * panel.columns["float_shares"][t])
    both = np.isfinite(impact + cap)
    line = np.polyfit(cap[both], impact[both], 1)
    assert library_values["amihud_given_size"][t, both] == pytest.approx((impact - np.polyval(line, cap))[both], rel=1e-5, abs=1e-5)


# -- known answers


def test_spreads_are_found_in_prices_that_bounce(computed: Computed) -> None:
    """Trades at bid and ask 1 % apart around a price that doesn't move: every estimator says about 1 %."""
    rng = np.random.default_rng(2)
    close = 10 * (1 + 0.005 * rng.choice([-1, 1], (400, 3)))
    high, low = np.full(close.shape, 10.05), np.full(close.shape, 9.95)
    columns = {"close": close, "last": close, "high": high, "low": low}
    assert computed(library()["high_low_spread_20"].expr, **columns)[-1] == pytest.approx(0.01, rel=0.01)
    assert computed(library()["close_range_spread_20"].expr, **columns)[-1] == pytest.approx(0.01, rel=0.01)
    assert computed(library()["roll_spread_60"].expr, **columns)[100:].mean() == pytest.approx(0.01, rel=0.05)


def test_volatilities_agree_on_a_random_walk(computed: Computed) -> None:
    """2 % a session in 400 steps without nights: three estimators and the deviation of closes find it."""
    rng = np.random.default_rng(4)
    path = np.exp(np.cumsum(rng.normal(0, 0.02 / 20, (300 * 400, 4)), axis=0)).reshape(300, 400, 4)
    columns = {"open": np.vstack([path[:1, 0], path[:-1, -1]]), "close": path[:, -1], "last": path[:, -1]}
    columns |= {"high": np.maximum(path.max(axis=1), columns["open"]), "low": np.minimum(path.min(axis=1), columns["open"])}
    for name, bias in (("garman_klass_20", 0.93), ("yang_zhang_20", 0.95), ("volatility_20", 1.0)):
        found = computed(library()[name].expr, **columns)[40:]
        assert np.nanmean(found) == pytest.approx(0.02 * bias, rel=0.05), name


def test_a_stock_that_falls_twice_and_rises_once_with_the_market_has_downside_beta(computed: Computed) -> None:
    market = np.random.default_rng(6).normal(0, 0.01, 300)
    own = np.where(market < 0, 2.0, 1.0) * market
    others = 3 * market - own - market  # so that the mean of the three is the market
    last = np.cumprod(1 + np.column_stack([own, market, others]), axis=0)
    found = computed(library()["downside_beta_120"].expr, last=last, close=last)[-1]
    assert found[0] > 0.3
    assert found[1] == pytest.approx(0, abs=1e-9)
    assert found[2] < -0.3


def test_a_session_without_a_range_is_neither_bought_nor_sold(computed: Computed) -> None:
    flat = np.full((30, 1), 10.0)
    volume = np.ones((30, 1))
    assert computed(library()["chaikin_flow_20"].expr, high=flat, low=flat, close=flat, volume=volume)[-1, 0] == 0
    assert computed(library()["chaikin_flow_20"].expr, high=flat + 1, low=flat, close=flat + 1, volume=volume)[-1, 0] == 1


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_turned_returns_turn_what_is_signed_and_leave_what_is_not(computed: Computed, seed: int) -> None:
    moves = np.random.default_rng(seed).normal(0, 0.02, (70, 2))
    up, down = np.cumprod(1 + moves, axis=0), np.cumprod(1 - moves, axis=0)
    for name, sign in (("skewness_60", -1), ("signed_variation_60", -1), ("kurtosis_60", 1), ("volatility_60", 1), ("still_days_60", 1)):
        found, turned = (computed(library()[name].expr, last=price, close=price)[-1] for price in (up, down))
        assert turned == pytest.approx(sign * found, abs=1e-9), name
