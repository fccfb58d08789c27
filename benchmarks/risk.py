"""How well the risk models foretell: bias statistics on the research pack, 2017-01 to 2020-08, and the time that a forecast takes.

Run: OPENBLAS_NUM_THREADS=1 python -P benchmarks/risk.py LAKE     Prints a table for horizons of 1 and 20 sessions.
LAKE: a lake of the pack (kestrel data import) with a factor table (kestrel factors build).  -P, lest benchmarks/factors.py hide the
package of the same name.  A bias of 1 is right, 1.1 means that what came deviated by a tenth more than was said.
"""

import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np

from backtest.metrics import SESSIONS
from backtest.risk.bias import bias, forecast
from backtest.risk.model import Risk, RiskModel
from backtest.risk.statistical import StatisticalRisk
from backtest.risk.styles import StyleRisk
from benchmarks.pack import Ground, ground
from data.panel import Floats

START, STOP = date(2017, 1, 3), date(2020, 8, 24)
RANDOM, NAMES, LONGEST = 50, 100, 20


def books(rng: np.random.Generator, here: Ground, risk: Risk, d: int) -> dict[str, Floats]:
    """Books by kind, [P, N] each, in active weights unless said."""
    stocks = len(here.axes.symbols)
    b_N, member_N = here.index_DN[d], np.flatnonzero(here.member_DN[d] & np.isfinite(here.returns_DN[d]) & (risk.specific_N > 0))
    random, tilted = np.zeros((RANDOM, stocks)), np.zeros((RANDOM, stocks))
    root_NK, own_N = risk.root_NK()[member_N], risk.specific_N[member_N]
    woodbury = np.linalg.inv(np.eye(root_NK.shape[1]) + (root_NK.T / own_N) @ root_NK)
    for p in range(RANDOM):
        random[p, rng.choice(member_N, NAMES, replace=False)] = 1 / NAMES
        alpha = rng.normal(size=len(member_N)) * np.sqrt(own_N)
        best = alpha / own_N - root_NK @ (woodbury @ (root_NK.T @ (alpha / own_N))) / own_N  # the inverse covariance times alpha
        tilted[p, member_N] = best / np.abs(best).sum()
    styles = np.stack([np.nan_to_num(values[d]) for values in here.styles.values()])
    spread = np.zeros((len(styles), stocks))
    for s, values in enumerate(styles):
        order = member_N[np.argsort(values[member_N], kind="stable")]
        spread[s, order[-len(order) // 5 :]], spread[s, order[: len(order) // 5]] = 1, -1
    spread /= np.abs(spread).sum(axis=1, keepdims=True) / 2
    held_N = np.where(np.isfinite(risk.specific_N), b_N, 0.0)
    found = {"index": held_N[None], "random 100 - index": random - held_N, "styles, fifths": spread, "optimised": tilted}
    if here.groups_DN is not None:
        count = np.bincount(here.groups_DN[d, member_N][here.groups_DN[d, member_N] >= 0], minlength=len(here.groups))
        rows = np.stack([np.where((here.groups_DN[d] == g) & (held_N > 0), held_N, 0.0) for g in np.flatnonzero(count >= 10)])
        found["industries - index"] = rows / rows.sum(axis=1, keepdims=True) - held_N
    return found


def measure(here: Ground, models: Mapping[str, RiskModel], horizon: int) -> tuple[dict[str, dict[str, list[Floats]]], dict[str, list[float]]]:
    """({model: {kind: [z of each book]} by session}, {model: milliseconds of each forecast})."""
    first, last = here.axes.index(START), here.axes.index(STOP)
    z: dict[str, dict[str, list[Floats]]] = {name: {} for name in models}
    cost: dict[str, list[float]] = {name: [] for name in models}
    for d in range(first - 1, last - horizon, horizon):
        came_N = np.nan_to_num(here.returns_DN[d + 1 : d + 1 + horizon]).sum(axis=0)
        for name, model in models.items():
            began = time.perf_counter()
            risk = model.at(d)
            cost[name].append(1e3 * (time.perf_counter() - began))
            for kind, book_PN in books(np.random.default_rng(d), here, risk, d).items():
                expected_P = forecast(risk, book_PN) * np.sqrt(horizon)
                z[name].setdefault(kind, []).append((book_PN @ came_N) / expected_P)
    return z, cost


def main() -> None:
    """Print the bias of both models at both horizons."""
    here = ground(Path(sys.argv[1]))
    began = time.perf_counter()
    styles = StyleRisk(here.returns_DN, here.styles, here.cap_DN, here.member_DN, groups_DN=here.groups_DN, groups=here.groups, remarks=here.remarks)
    built = time.perf_counter() - began
    models: dict[str, RiskModel] = {"styles": styles, "statistical": StatisticalRisk(here.returns_DN)}
    print(f"{len(here.axes.dates)} sessions x {len(here.axes.symbols)} stocks, factor returns of all sessions (and compiling): {built:.1f} s")
    print(*styles.remarks, sep="\n")
    for horizon in (1, LONGEST):
        z, cost = measure(here, models, horizon)
        for name, kinds in z.items():
            print(f"\n{name}, horizon {horizon}: a forecast takes {np.median(cost[name]):.1f} ms")
            print(f"  {'':22}{'bias':>7}{'least':>8}{'most':>8}{'inside':>8}{'drift':>8}{'sessions':>10}")
            for kind, rows in kinds.items():
                width = min(len(row) for row in rows)
                z_DP = np.stack([row[:width] for row in rows])
                found = bias(z_DP, max(12, SESSIONS // horizon))
                least, most = found.bias_P.min(), found.bias_P.max()
                print(f"  {kind:22}{found.bias_P.mean():7.3f}{least:8.3f}{most:8.3f}{found.inside:8.2f}{found.drift:8.3f}{len(z_DP):10}")


if __name__ == "__main__":
    main()
