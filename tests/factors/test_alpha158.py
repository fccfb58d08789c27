"""Alpha158 three ways: the fused kernel, the expressions, and a plain reference; and all of them against Qlib's own output."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from data.panel import Floats
from factors import alpha158
from factors.alpha158.names import LOOKBACK, NAMES, WINDOWS
from factors.alpha158.slabs import blocks
from factors.alpha158.tiles import Columns
from factors.build import values
from factors.compute import Computer
from factors.panel import Panel
from factors.prove import prove
from factors.registry import library, select

NAN = np.nan
QLIB = 5e-5  # Qlib computes on float32 prices and with running sums
AROON = ("IMAX", "IMIN", "IMXD")
Slab = NDArray[np.float32]


def share(x: float, y: float) -> float:
    """X / y; 0 of nothing."""
    return x / y if y != 0 else 0 * x


def spread(seen: Floats) -> float:
    return float(np.std(seen, ddof=1)) if len(seen) > 1 else NAN


def correlation(x: Floats, y: Floats) -> float:
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    return NAN if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0 else float(np.corrcoef(x, y)[0, 1])


def candle(o: float, h: float, low: float, c: float, vwap: float) -> dict[str, float]:
    upper, lower, shift = h - np.maximum(o, c), np.minimum(o, c) - low, 2 * c - h - low
    named = {"KMID": c - o, "KUP": upper, "KLOW": lower, "KSFT": shift}
    found = {name: value / o for name, value in named.items()} | {f"{name}2": share(value, h - low) for name, value in named.items()}
    return found | {"KLEN": (h - low) / o, "OPEN0": o / c, "HIGH0": h / c, "LOW0": low / c, "VWAP0": vwap / c}


def of_closes(c: Floats, now: float) -> dict[str, float]:
    """Features of the closes of one window, the last being `now`."""
    names = ("MA", "STD", "BETA", "RSQR", "RESI", "QTLU", "QTLD", "RANK")
    place, seen = np.flatnonzero(np.isfinite(c)).astype(float), c[np.isfinite(c)]
    if not len(seen):
        return dict.fromkeys(names, NAN)
    slope, residual = NAN, NAN
    if len(seen) > 1:
        slope = np.cov(place, seen)[0, 1] / np.var(place, ddof=1)
        residual = now - seen.mean() - slope * (len(c) - 1 - place.mean())
    below, equal = (seen < now).sum(), (seen == now).sum()
    rank = (below + (equal + 1) / 2) / len(seen) if np.isfinite(now) else NAN
    quantiles = (np.quantile(seen, 0.8) / now, np.quantile(seen, 0.2) / now)
    return dict(
        zip(names, (seen.mean() / now, spread(seen) / now, slope / now, correlation(place, seen) ** 2, residual / now, *quantiles, rank), strict=True)
    )


def of_extremes(h: Floats, low: Floats, listed: int, n: int, now: float) -> dict[str, float]:
    if np.isnan(h).all():
        return dict.fromkeys(("MAX", "MIN", "RSV", *AROON), NAN)
    top, bottom, before = np.nanmax(h), np.nanmin(low), len(h) - listed
    high_at, low_at = np.nanargmax(h) + 1 - before, np.nanargmin(low) + 1 - before
    prices = {"MAX": top / now, "MIN": bottom / now, "RSV": share(now - bottom, top - bottom)}
    return prices | {"IMAX": high_at / n, "IMIN": low_at / n, "IMXD": (high_at - low_at) / n}


def of_steps(step: Floats, listed: int, names: tuple[str, str, str]) -> dict[str, float]:
    """Rises, falls and their difference over the way; NaN where there is no step."""
    seen = step[np.isfinite(step)]
    rise, fall, way = np.maximum(seen, 0).sum(), np.maximum(-seen, 0).sum(), np.abs(seen).sum()
    shares = (share(rise, way), share(fall, way), share(rise - fall, way)) if len(seen) else (NAN,) * 3
    return dict(zip(names, shares, strict=True))


def plain(x: dict[str, Floats], t: int) -> dict[str, float]:
    """Alpha158 of one stock at session t by the book, in float64: {column: its whole history} -> {name: value}."""
    o, h, low, c, v = (x[name][: t + 1] for name in ("open", "high", "low", "close", "volume"))
    before, volume_before = (np.concatenate([[NAN], series[:-1]]) for series in (c, v))
    change, churn, listed = c - before, np.abs(c / before - 1) * v, np.isfinite(x["last"][: t + 1])
    found = candle(o[t], h[t], low[t], c[t], x["vwap"][t])
    for n in WINDOWS:
        w = slice(max(0, t - n + 1), t + 1)
        sessions, seen, moved = int(listed[w].sum()), v[w][np.isfinite(v[w])], churn[w][np.isfinite(churn[w])]
        rolling = of_closes(c[w], c[t]) | of_extremes(h[w], low[w], sessions, n, c[t])
        rolling |= of_steps(change[w], sessions, ("SUMP", "SUMN", "SUMD")) | of_steps((v - volume_before)[w], sessions, ("VSUMP", "VSUMN", "VSUMD"))
        rose, fell = (change[w] > 0).sum(), (change[w] < 0).sum()
        rolling |= {"CNTP": rose / sessions, "CNTN": fell / sessions, "CNTD": (rose - fell) / sessions} if sessions else {}
        rolling |= {"ROC": c[t - n] / c[t] if t >= n else NAN}
        rolling |= {"CORR": correlation(c[w], np.log(v[w])), "CORD": correlation((c / before)[w], np.log(v / volume_before + 1)[w])}
        rolling |= {"VMA": seen.mean() / v[t] if len(seen) else NAN, "VSTD": spread(seen) / v[t]}
        rolling |= {"WVMA": share(spread(moved), moved.mean()) if len(moved) > 1 else NAN}
        found |= {f"{name}{n}": value for name, value in rolling.items()}
    return found


def made(seed: int, *, sessions: int = 150, stocks: int = 70) -> Columns:
    """A market on a grid of cents, so that ties and flat windows occur, with suspensions, late listings and a stock that never moves."""
    rng = np.random.default_rng(seed)
    shape = (sessions, stocks)
    close = np.round(8 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0)), 1)
    close[:, 3] = 8.0
    open_ = np.round(close * (1 + rng.normal(0, 0.01, shape)), 1)
    high = np.maximum(open_, close) + rng.integers(0, 3, shape) / 10
    low = np.minimum(open_, close) - rng.integers(0, 3, shape) / 10
    volume = rng.integers(1, 40, shape) * 1000.0
    volume[:, 5] = 5000.0
    unlisted = np.arange(sessions)[:, None] < rng.integers(-100, 90, stocks)
    suspended = (rng.random(shape) < 0.05) | ((np.arange(sessions)[:, None] // 30 + np.arange(stocks)) % 9 == 0)
    null = unlisted | suspended
    prices = [np.where(null, NAN, x) for x in (open_, high, low, close, (high + low + 2 * close) / 4, volume)]
    return Columns(*prices, np.where(unlisted, NAN, close))


def slabs(columns: Columns, **options: int) -> Slab:
    """The whole [D, 158, N]."""
    return np.concatenate([found.copy() for _, found in blocks(columns, **options)])


def part(columns: Columns, sessions: slice, stocks: slice) -> Columns:
    return Columns(*(np.ascontiguousarray(values[sessions, stocks]) for values in columns))


@pytest.fixture(scope="module")
def market() -> Columns:
    return made(1)


@pytest.fixture(scope="module")
def whole(market: Columns) -> Slab:
    return slabs(market, threads=1)


def test_there_are_158_names_in_qlibs_order_and_each_is_registered_with_its_meaning() -> None:
    known = library(["alpha158"])
    assert tuple(known) == NAMES
    assert len(NAMES) == 158
    assert len({one.expr for one in known.values()}) == 158
    for one in known.values():
        assert one.about.split("\n")[0].endswith("."), one.name
        assert one.family == "alpha158"
        assert one.expr.lookback <= LOOKBACK
        assert one.expr.scale is not None
        assert one.expr.scale.invariant, one.name
    assert known["CORD60"].expr.lookback == LOOKBACK
    assert known["STD20"].about == "Deviation of the close of 20 sessions over the close."
    assert not set(NAMES) & set(library())


@pytest.mark.parametrize("stock", range(0, 70, 7))
def test_the_kernel_gives_what_plain_numpy_gives(stock: int, market: Columns, whole: Slab) -> None:
    history = {name: values[:, stock] for name, values in market._asdict().items()}
    for t in (0, 1, 2, 4, 5, 9, 33, 58, 59, 60, 61, 100, 127, 128, 149):
        with np.errstate(all="ignore"):
            expected = plain(history, t)
        for place, name in enumerate(NAMES):
            found, value = whole[t, place, stock], expected.get(name, NAN)
            assert found == pytest.approx(value, rel=2e-6, abs=2e-7, nan_ok=True), (name, t)


def test_the_kernel_gives_what_the_expressions_give(panel: Panel) -> None:
    known = list(library(["alpha158"]).values())
    found, compute = values(known, panel), Computer(panel, [one.expr for one in known])
    for one in known:
        expected = np.where(panel.trading, compute(one.expr), NAN)
        assert np.isfinite(expected).sum() > 1000
        np.testing.assert_allclose(found[one.name], expected, rtol=1e-6, atol=1e-7, err_msg=one.name)


def test_blocks_and_threads_change_no_bit(market: Columns, whole: Slab) -> None:
    for size, threads in ((1, 1), (7, 2), (64, 5), (1000, 3)):
        assert np.array_equal(slabs(market, size=size, threads=threads), whole, equal_nan=True), size


def test_a_session_out_of_its_lookback_alone_is_the_same_to_the_bit(market: Columns, whole: Slab) -> None:
    for t in (60, 61, 97, 149):
        window = part(market, slice(t - LOOKBACK, t + 1), slice(None))
        ((lo, alone),) = blocks(window, start=LOOKBACK)
        assert lo == LOOKBACK
        assert np.array_equal(alone[0], whole[t], equal_nan=True), t


def test_one_session_less_than_the_lookback_is_too_few(market: Columns, whole: Slab) -> None:
    window = part(market, slice(150 - LOOKBACK, 150), slice(None))
    ((_, alone),) = blocks(window, start=LOOKBACK - 1)
    assert not np.array_equal(alone[0], whole[149], equal_nan=True)


def test_other_stocks_change_no_bit(market: Columns, whole: Slab) -> None:
    for stocks in (slice(0, 1), slice(5, 69), slice(66, 70)):
        assert np.array_equal(slabs(part(market, slice(None), stocks)), whole[:, :, stocks], equal_nan=True)


def test_features_asked_for_one_by_one_are_the_same_to_the_bit(panel: Panel) -> None:
    together = values(select(sets=["alpha158"]), panel)
    for name in ("KMID", "QTLD30", "VSUMD60"):
        assert np.array_equal(values(select([name]), panel)[name], together[name], equal_nan=True)


def test_no_feature_looks_ahead_or_moves_with_the_price_level(tables: dict[str, pl.DataFrame], panel: Panel) -> None:
    days: list[date] = [panel.axes.dates[place] for place in (12, 130, 302)]
    assert prove(select(sets=["alpha158"]), tables, days) == []


def test_the_kernel_runs_where_there_is_only_numpy_and_numba() -> None:
    absent = "import sys; sys.modules.update(dict.fromkeys(('polars', 'pydantic', 'pyarrow', 'scipy')))"
    root = Path(alpha158.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", f"{absent}; import factors.alpha158.slabs"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def qlib(pack: Path) -> tuple[Columns, Callable[[str], Floats]]:
    """Its input as a panel, every stock listed throughout, and its output by name [701, 6]."""
    frame = pl.read_parquet(pack / "alpha158_qlib.parquet").sort("date", "code")
    shape = frame["date"].n_unique(), frame["code"].n_unique()

    def panel_of(name: str) -> Floats:
        return np.ascontiguousarray(frame[name].cast(pl.Float64).fill_null(NAN).to_numpy().reshape(shape))

    columns = {name: panel_of(f"in_{name}") for name in Columns._fields if name != "last"}
    return Columns(**columns, last=np.ones(shape)), panel_of


@pytest.mark.parametrize("way", ["kernel", "expressions"])
def test_every_value_and_every_null_is_qlibs(way: str, qlib: tuple[Columns, Callable[[str], Floats]], panel_of: Callable[..., Panel]) -> None:
    """Within 5e-5 of Qlib 0.9.7, nulls where it has them.  What is left of the differences, and why ours is meant:

    IMAX, IMIN, IMXD: numpy's argmax returns the place of the first NaN, so Qlib's say where a suspension began, not where the
    extreme was; ours skip nulls.  Compared where the window holds none.
    KSFT2, KMID2, KUP2, KLOW2 (up to 4.6e-5): Qlib's prices are float32, and differences of prices lose digits.
    CORD, CORR, WVMA, RSQR (up to 2e-5): Qlib's running sums drift.
    """
    columns, theirs = qlib
    if way == "kernel":
        found = dict(zip(NAMES, slabs(columns).astype(np.float64).transpose(1, 0, 2), strict=True))
    else:
        panel, known = panel_of(**columns._asdict()), library(["alpha158"])
        compute = Computer(panel, [one.expr for one in known.values()])
        found = {name: compute(one.expr) for name, one in known.items()}
    null = np.isnan(columns.close)
    for name in NAMES:
        expected = theirs(name)
        assert np.array_equal(np.isnan(found[name]), np.isnan(expected)), name
        compared = np.isfinite(expected)
        if name[:4] in AROON:
            n = int(name[4:])
            compared &= ~np.array([null[max(0, t - n + 1) : t + 1].any(axis=0) for t in range(len(null))])
            assert compared.sum() > 1000
        assert np.abs(found[name] - expected)[compared].max() <= QLIB, name
