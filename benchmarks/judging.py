"""What it takes to judge and to clean factors: CPU seconds of one thread, the best of a few runs.

Run: OPENBLAS_NUM_THREADS=1 python -P benchmarks/judging.py     Prints a table.
-P, lest benchmarks/factors.py hide the package of the same name.
Judging is at 881 sessions x 938 stocks, 500 of them members, 5 horizons, with 150 known factors; cleaning at 2,500 x 938, for 60 factors.
"""

import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np

from data.panel import Floats
from factors.clean import gram_schmidt, neutralise, scale, symmetric, winsorise, winsorise_tails
from factors.evaluate import EvaluateSettings, Judge, Surroundings
from factors.stability import regimes

STOCKS, MEMBERS, HORIZONS, KNOWN, FACTORS = 938, 500, (1, 2, 5, 10, 20), 150, 60
JUDGED, CLEANED, TURNED, REPEATS = 881, 2500, 125, 3


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs, the compiling one left out."""
    work()
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def judging(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of sorting the returns, once, and of each factor."""
    shape = (JUDGED, STOCKS)
    present = np.zeros(shape, dtype=bool)
    for start in range(0, JUDGED, 120):  # members change twice a year
        present[start : start + 120, rng.permutation(STOCKS)[:MEMBERS]] = True
    settings = EvaluateSettings()
    known = {f"known{n}": rng.normal(size=(len(settings.sampled(JUDGED)), STOCKS)) for n in range(KNOWN)}
    around = Surroundings(
        amount_DN=rng.lognormal(18, 1, shape),
        styles={name: known[name] for name in list(known)[:6]},
        known=known,
        groups_DN=np.tile(rng.integers(0, 30, STOCKS), (JUDGED, 1)),
        industries=[str(n) for n in range(30)],
        regimes=regimes(rng.normal(0, 0.01, JUDGED)),
    )
    y_DNH = rng.normal(0, 0.02, size=(*shape, len(HORIZONS))).astype(np.float32)
    dates = [date(2017, 1, 1) + timedelta(days=t) for t in range(JUDGED)]
    ready = lambda: Judge(y_DNH, HORIZONS, present, dates, around=around, settings=settings)  # noqa: E731
    x_DN, judge = np.cumsum(rng.normal(size=shape), axis=0).astype(np.float32), ready()
    return {"returns and known factors ranked, once": cpu(ready), "one factor judged": cpu(lambda: judge(x_DN))}


def cleaning(rng: np.random.Generator) -> dict[str, float]:
    """Seconds of each step for FACTORS factors; turning is measured on TURNED sessions and scaled, for it goes session by session."""
    shape = (CLEANED, STOCKS)
    x_DN: Floats = rng.standard_t(3, size=shape)
    x_DN[:, rng.permutation(STOCKS)[:200]] = np.nan
    styles, groups = [rng.normal(size=shape) for _ in range(2)], np.tile(rng.integers(-1, 30, STOCKS), (CLEANED, 1))
    steps: Mapping[str, Callable[[], object]] = {
        "winsorise by deviations": lambda: winsorise(x_DN),
        "winsorise by tails": lambda: winsorise_tails(x_DN),
        "neutralise, 31 industries and 2 styles": lambda: neutralise(x_DN, styles, groups),
        "z-scores": lambda: scale(x_DN, "z_score"),
        "Gaussian ranks": lambda: scale(x_DN, "rank_gauss"),
    }
    found = {name: FACTORS * cpu(step) for name, step in steps.items()}
    some = {f"f{n}": rng.normal(size=(TURNED, STOCKS)) for n in range(FACTORS)}
    for turn in (gram_schmidt, symmetric):
        found[f"orthogonalise, {turn.__name__}"] = cpu(lambda turn=turn: turn(some)) * CLEANED / TURNED  # type: ignore[misc]
    return found


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    for name, seconds in {**judging(rng), **cleaning(rng)}.items():
        print(f"{name:45} {seconds:8.2f} s")


if __name__ == "__main__":
    main()
