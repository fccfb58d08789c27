"""Expressions become numbers: each distinct node is computed once over the panel, its rows shared out among threads."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from os import cpu_count

import numpy as np

from data.panel import Floats
from factors import kernels
from factors.expressions import Expr
from factors.panel import Panel
from factors.ranks import group_means, group_ranks, rank_rows, row_moments, z_score

Kernel = Callable[[int, int, Floats], None]


class Computer:
    """Values of expressions over one panel.  Keeps a node's values while a later expression of the batch still needs them."""

    def __init__(self, panel: Panel, expressions: Sequence[Expr], *, threads: int | None = None) -> None:
        self.panel = panel
        self.values: dict[Expr, Floats] = {}
        self.uses = Counter(arg for expr in _nodes(expressions) for arg in expr.args)
        self.uses.update(expressions)
        self.threads = threads or min(cpu_count() or 1, 8)

    def __call__(self, expr: Expr) -> Floats:
        """[D, N] float64, or [D, 1] for a market-wide expression; NaN = null.  Take each expression of the batch once."""
        if expr not in self.values:
            self.values[expr] = self._apply(expr)
        return self._take(expr)

    def _take(self, expr: Expr) -> Floats:
        values = self.values[expr]
        self.uses[expr] -= 1
        if self.uses[expr] <= 0:
            del self.values[expr]
        return values

    def _apply(self, expr: Expr) -> Floats:
        if expr.op == "column":
            return self.panel.columns[str(expr.params[0])]
        if expr.op == "constant":
            return np.full((1, 1), float(expr.params[0]))
        args = [self(arg) for arg in expr.args]
        with np.errstate(all="ignore"):
            if expr.op in ELEMENTWISE:
                return clean(ELEMENTWISE[expr.op](*args))
            if expr.op == "fill":
                return np.where(np.isnan(args[0]), float(expr.params[0]), args[0])
            if expr.op in CROSS_SECTION:
                return CROSS_SECTION[expr.op](args[0])
            if expr.op in GROUPED:
                return GROUPED[expr.op](*args)
            return self._windowed(expr, args)

    def _windowed(self, expr: Expr, args: list[Floats]) -> Floats:
        sessions = len(self.panel.axes.dates)
        shape = np.broadcast_shapes(*(arg.shape for arg in args), (sessions, 1))
        args = [np.ascontiguousarray(np.broadcast_to(arg, shape)) for arg in args]
        out = np.empty(shape)
        if expr.op == "delay":
            n = min(int(expr.params[0]), sessions)
            out[:n] = np.nan
            out[n:] = args[0][: sessions - n]
            return out
        if expr.op == "first_component":
            return first_component(args, int(expr.params[0]))
        self._share_out(window_kernel(expr, args), out)
        return out

    def _share_out(self, kernel: Kernel, out: Floats) -> None:
        """Run a kernel over blocks of sessions; a session's values don't depend on the block it falls into."""
        edges = np.linspace(0, len(out), self.threads + 1).astype(int)
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda block: kernel(int(block[0]), int(block[1]), out), pairwise(edges)))


def window_kernel(expr: Expr, args: list[Floats]) -> Kernel:
    """The kernel of a windowed operator, bound to its arguments."""
    n, need = (int(param) for param in expr.params[:2])
    x = args[0]
    if expr.op == "ema":  # its second parameter, the span, is also the fewest values it takes
        weights = (1 - 2 / (need + 1)) ** np.arange(n - 1, -1, -1.0)
        return lambda lo, hi, out: kernels.weighted(x, weights, need, lo, hi, out)
    found: dict[str, Kernel] = {
        "ts_mean": lambda lo, hi, out: kernels.average(x, n, need, lo, hi, out),
        "ts_sum": lambda lo, hi, out: kernels.total(x, n, need, lo, hi, out),
        "ts_std": lambda lo, hi, out: kernels.central(x, n, need, 2, lo, hi, out),
        "ts_skew": lambda lo, hi, out: kernels.central(x, n, need, 3, lo, hi, out),
        "ts_kurt": lambda lo, hi, out: kernels.central(x, n, need, 4, lo, hi, out),
        "ts_max": lambda lo, hi, out: kernels.extreme(x, n, need, 1.0, kernels.VALUE, lo, hi, out),
        "ts_min": lambda lo, hi, out: kernels.extreme(x, n, need, -1.0, kernels.VALUE, lo, hi, out),
        "ts_argmax": lambda lo, hi, out: kernels.extreme(x, n, need, 1.0, kernels.LATEST, lo, hi, out),
        "ts_argmin": lambda lo, hi, out: kernels.extreme(x, n, need, -1.0, kernels.LATEST, lo, hi, out),
        "ts_first_argmax": lambda lo, hi, out: kernels.extreme(x, n, need, 1.0, kernels.EARLIEST, lo, hi, out),
        "ts_first_argmin": lambda lo, hi, out: kernels.extreme(x, n, need, -1.0, kernels.EARLIEST, lo, hi, out),
        "ts_quantile": lambda lo, hi, out: kernels.quantile(x, n, need, float(expr.params[2]), lo, hi, out),
        "ts_rank": lambda lo, hi, out: kernels.position(x, n, need, lo, hi, out),
        "ts_corr": lambda lo, hi, out: kernels.pairs(x, args[1], n, need, kernels.CORRELATION, lo, hi, out),
        "ts_beta": lambda lo, hi, out: kernels.pairs(x, args[1], n, need, kernels.SLOPE, lo, hi, out),
        "ts_slope": lambda lo, hi, out: kernels.trend(x, n, need, kernels.SLOPE, lo, hi, out),
        "ts_rsquare": lambda lo, hi, out: kernels.trend(x, n, need, kernels.CORRELATION, lo, hi, out),
        "ts_residual": lambda lo, hi, out: kernels.trend(x, n, need, kernels.RESIDUAL, lo, hi, out),
        "decay": lambda lo, hi, out: kernels.weighted(x, np.arange(1.0, n + 1), need, lo, hi, out),
    }
    return found[expr.op]


def clean(values: Floats) -> Floats:
    """Infinities of a division by zero or a logarithm as nulls."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def first_component(series: list[Floats], window: int) -> Floats:
    """First principal component of market series [D, 1] each, over the window that ends at each session; see operators."""
    x_DK = np.column_stack([values[:, 0] for values in series])
    out = np.full((len(x_DK), 1), np.nan)
    for t in range(len(x_DK)):
        seen = x_DK[max(0, t - window + 1) : t + 1]
        seen = seen[np.isfinite(seen).all(axis=1)]
        if len(seen) < (window + 1) // 2 or not np.isfinite(x_DK[t]).all():
            continue
        mean, spread = seen.mean(axis=0), seen.std(axis=0)
        if (spread <= 1e-12 * np.abs(seen).max(axis=0)).any():
            continue
        z_SK = (seen - mean) / spread
        _, vectors = np.linalg.eigh(z_SK.T @ z_SK)
        loading = vectors[:, -1] * (1.0 if vectors[0, -1] >= 0 else -1.0)
        out[t, 0] = z_SK[-1] @ loading
    return out


def _compare(result: Floats, a: Floats, b: Floats) -> Floats:
    return np.where(np.isnan(a) | np.isnan(b), np.nan, result)


ELEMENTWISE: dict[str, Callable[..., Floats]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "ratio": lambda x, y: np.where(y == 0, x * 0, x / y),
    "neg": np.negative,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "sqrt": np.sqrt,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "gt": lambda a, b: _compare(a > b, a, b),
    "lt": lambda a, b: _compare(a < b, a, b),
    "where": lambda condition, then: np.where(condition > 0, then, np.nan),
}


CROSS_SECTION: dict[str, Callable[[Floats], Floats]] = {
    "cs_rank": lambda x: rank_rows(x) / np.maximum(np.isfinite(x).sum(axis=1, keepdims=True), 1),
    "cs_z_score": z_score,
    "cs_mean": lambda x: row_moments(x)[0],
    "cs_std": lambda x: row_moments(x)[1],
}


GROUPED: dict[str, Callable[[Floats, Floats], Floats]] = {
    "cs_group_mean": group_means,
    "cs_group_rank": group_ranks,
}


def _nodes(expressions: Sequence[Expr]) -> set[Expr]:
    return {node for expr in expressions for node in expr.walk()}
