"""Kernels against plain numpy, window by window: nulls, ties, short windows, blocks of sessions."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from data.panel import Floats
from factors import folds, kernels

NAN = np.nan
Reference = Callable[..., float]


def flat(values: Floats) -> bool:
    return len(set(values.tolist())) == 1


def rank_of_last(window: Floats) -> float:
    """Rank of the window's last value over the count of values; the window keeps its nulls."""
    if np.isnan(window[-1]):
        return NAN
    seen = window[np.isfinite(window)]
    return float(stats.rankdata(seen)[-1] / len(seen))


def since(window: Floats, best: Callable[[Floats], float], which: int) -> float:
    """Sessions since the extreme: the latest of equals (which = -1) or the earliest (0)."""
    return float(len(window) - 1 - np.flatnonzero(window == best(window))[which])


def line(window: Floats, what: str) -> float:
    """Slope, explained share or last residual of a line through the values over their places."""
    places = np.flatnonzero(np.isfinite(window)).astype(float)
    seen = window[np.isfinite(window)]
    if len(seen) < 2:
        return NAN
    if what == "residual":
        return float(window[-1] - np.polyval(np.polyfit(places, seen, 1), len(window) - 1))
    if flat(seen):
        return 0.0 if what == "slope" else NAN
    return float(np.polyfit(places, seen, 1)[0]) if what == "slope" else float(np.corrcoef(places, seen)[0, 1] ** 2)


def finite(of: Reference) -> Reference:
    return lambda window: of(window[np.isfinite(window)])


def folded(name: str) -> Callable[..., None]:
    """A fold of one series, or of two where y is given."""

    def kernel(x: Floats, n: int, need: int, out: Floats, y: Floats | None = None) -> None:
        folds.fold(folds.FOLDS.index(name), x, x if y is None else y, n, need, out, np.empty(folds.room(n, len(out))))

    return kernel


# kernel of (x, n, need, out), and what one window gives in plain numpy
KERNELS: dict[str, tuple[Callable[..., None], Reference]] = {
    "total": (folded("ts_sum"), finite(np.sum)),
    "average": (folded("ts_mean"), finite(np.mean)),
    "product": (folded("ts_product"), finite(np.prod)),
    "deviation": (folded("ts_std"), finite(lambda v: float(np.std(v, ddof=1)) if len(v) > 1 else NAN)),
    "skewness": (lambda x, n, need, out: kernels.shape(x, n, need, 3, out), finite(lambda v: NAN if len(v) < 2 or flat(v) else stats.skew(v))),
    "kurtosis": (lambda x, n, need, out: kernels.shape(x, n, need, 4, out), finite(lambda v: NAN if len(v) < 2 or flat(v) else stats.kurtosis(v))),
    "largest": (folded("ts_max"), np.nanmax),
    "smallest": (folded("ts_min"), np.nanmin),
    "since largest": (folded("ts_argmax"), lambda w: since(w, np.nanmax, -1)),
    "since smallest": (folded("ts_argmin"), lambda w: since(w, np.nanmin, -1)),
    "since first largest": (folded("ts_first_argmax"), lambda w: since(w, np.nanmax, 0)),
    "since first smallest": (folded("ts_first_argmin"), lambda w: since(w, np.nanmin, 0)),
    "quantile": (lambda x, n, need, out: kernels.quantile(x, n, need, 0.3, out), finite(lambda v: float(np.quantile(v, 0.3)))),
    "rank": (kernels.position, rank_of_last),
    "decay": (folded("decay"), lambda w: weighted(w, np.arange(1.0, len(w) + 1))),
    "slope": (folded("ts_slope"), lambda w: line(w, "slope")),
    "fit": (folded("ts_rsquare"), lambda w: line(w, "fit")),
    "residual": (folded("ts_residual"), lambda w: line(w, "residual")),
}


def weighted(window: Floats, weights: Floats) -> float:
    """Mean under weights, those of nulls left out."""
    seen = np.isfinite(window)
    return float(np.sum(window[seen] * weights[seen]) / np.sum(weights[seen]))


def made(seed: int, values: int, *, sessions: int = 12, stocks: int = 3, gaps: float = 0.2) -> Floats:
    """A panel of few distinct values, so that ties are common, with nulls."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-values, values + 1, (sessions, stocks)) / 4
    x[rng.random(x.shape) < gaps] = NAN
    return x


def by_windows(reference: Reference, n: int, need: int, *panels: Floats) -> Floats:
    """The reference over the window of every session and stock, null before the first; null below `need` values."""
    out = np.full(panels[0].shape, NAN)
    for t in range(out.shape[0]):
        for j in range(out.shape[1]):
            windows = [np.concatenate([np.full(max(0, n - 1 - t), NAN), panel[max(0, t - n + 1) : t + 1, j]]) for panel in panels]
            both = np.isfinite(np.array(windows)).all(axis=0)
            if both.sum() >= max(need, 1):
                out[t, j] = reference(*windows)
    return out


def run(kernel: Callable[..., None], x: Floats, n: int, need: int, *, lo: int = 0, hi: int | None = None, **more: Floats) -> Floats:
    """The sessions lo … hi-1 by a kernel, which takes 64 stocks and the sessions before."""
    hi = len(x) if hi is None else hi

    def tile(values: Floats) -> Floats:
        padded = np.full((n - 1 + len(values), 64), NAN)
        padded[n - 1 :, : values.shape[1]] = values
        return np.ascontiguousarray(padded[lo : hi + n - 1])

    out = np.full((hi - lo, 64), 5.0)
    kernel(tile(x), n, need, out, **{name: tile(values) for name, values in more.items()})
    assert np.isnan(out[:, x.shape[1] :]).all()
    return out[:, : x.shape[1]]


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 16), share=st.floats(0, 1), values=st.integers(1, 40))
def test_a_window_gives_what_plain_numpy_gives(name: str, seed: int, n: int, share: float, values: int) -> None:
    kernel, reference = KERNELS[name]
    x, need = made(seed, values), 1 + int(share * (n - 1))
    assert run(kernel, x, n, need) == pytest.approx(by_windows(reference, n, need, x), abs=1e-9, nan_ok=True)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 16), need=st.integers(1, 6), values=st.integers(1, 40))
def test_correlation_and_slope_of_two_take_the_sessions_that_have_both(seed: int, n: int, need: int, values: int) -> None:
    y, x = made(seed, values), made(seed + 1, values)

    def pair(a: Floats, b: Floats, what: str) -> float:
        both = np.isfinite(a) & np.isfinite(b)
        a, b = a[both], b[both]
        if len(a) < 2 or flat(b) or (flat(a) and what == "correlation"):
            return NAN
        return float(np.corrcoef(a, b)[0, 1]) if what == "correlation" else float(np.polyfit(b, a, 1)[0])

    for what, name in (("correlation", "ts_corr"), ("slope", "ts_beta")):
        expected = by_windows(lambda a, b, what=what: pair(a, b, what), n, max(need, 2), y, x)
        assert run(folded(name), y, n, need, y=x) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), span=st.integers(2, 5))
def test_an_exponential_mean_leaves_the_weights_of_null_sessions_out(seed: int, span: int) -> None:
    x, weights = made(seed, 9), (1 - 2 / (span + 1)) ** np.arange(4 * span - 1, -1, -1.0)
    assert run(folded("ema"), x, 4 * span, span) == pytest.approx(
        by_windows(lambda w: weighted(w, weights), 4 * span, span, x), abs=1e-12, nan_ok=True
    )


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 16))
def test_a_covariance_is_that_of_the_sessions_that_have_both(seed: int, n: int) -> None:
    y, x = made(seed, 20), made(seed + 1, 20)

    def plain(a: Floats, b: Floats) -> float:
        both = np.isfinite(a) & np.isfinite(b)
        return float(np.cov(a[both], b[both])[0, 1])

    assert run(folded("ts_cov"), y, n, 2, y=x) == pytest.approx(by_windows(plain, n, 2, y, x), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", KERNELS)
def test_any_block_of_sessions_equals_the_same_sessions_of_the_whole(name: str) -> None:
    kernel, _ = KERNELS[name]
    x = made(8, 1000, sessions=60, stocks=7)
    whole = run(kernel, x, 11, 4)
    for lo, hi in ((0, 60), (0, 1), (17, 43), (59, 60)):
        block = run(kernel, x, 11, 4, lo=lo, hi=hi)
        assert np.array_equal(block, whole[lo:hi], equal_nan=True)


@pytest.mark.parametrize("name", KERNELS)
def test_a_session_computed_from_its_window_alone_is_the_same_to_the_bit(name: str) -> None:
    kernel, _ = KERNELS[name]
    x = made(9, 1000, sessions=500, stocks=7) / 3
    whole = run(kernel, x, 13, 4)
    for t in (12, 13, 250, 499):
        alone = run(kernel, np.ascontiguousarray(x[t - 12 : t + 1]), 13, 4)
        assert np.array_equal(alone[-1], whole[t], equal_nan=True), t


@pytest.mark.parametrize("name", KERNELS)
def test_no_window_sees_a_later_session_or_another_stock(name: str) -> None:
    kernel, _ = KERNELS[name]
    x = made(10, 50, sessions=30)
    whole, changed = run(kernel, x, 7, 2), x.copy()
    changed[20:] *= -3.7
    changed[:, 2] += 100
    assert np.array_equal(run(kernel, changed, 7, 2)[:20, :2], whole[:20, :2], equal_nan=True)


def test_a_constant_window_has_no_spread_however_it_rounds() -> None:
    x = np.full((8, 2), 0.1)
    assert (run(KERNELS["deviation"][0], x, 7, 1)[1:] == 0).all()
    for name in ("skewness", "kurtosis", "fit"):
        assert np.isnan(run(KERNELS[name][0], x, 7, 1)).all(), name
    assert np.isnan(run(folded("ts_corr"), x, 7, 1, y=x)).all()


def test_what_has_left_a_window_leaves_no_trace() -> None:
    x = np.random.default_rng(0).normal(size=(60, 1))
    huge = x.copy()
    huge[20] = 1e15
    for name, (kernel, _) in KERNELS.items():
        assert np.array_equal(run(kernel, huge, 9, 3)[29:], run(kernel, x, 9, 3)[29:]), name


def test_the_latest_of_equal_extremes_counts() -> None:
    x = np.array([[3.0], [1.0], [3.0], [1.0]])
    assert run(KERNELS["since largest"][0], x, 4, 1)[:, 0].tolist() == [0, 1, 0, 1]


def test_carrying_fills_gaps_from_before_and_leaves_the_beginning() -> None:
    x = np.array([[NAN, 1.0], [2.0, NAN], [NAN, NAN], [3.0, 4.0]])
    out = np.empty(x.shape)
    kernels.carry(x, out)
    assert out.tolist()[1:] == [[2.0, 1.0], [2.0, 1.0], [3.0, 4.0]]
    assert np.isnan(out[0, 0])
    assert out[0, 1] == 1.0
