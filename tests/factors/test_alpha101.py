"""Alpha101 against the formulas of the paper as it prints them, read by a small parser over plain numpy windows.

alpha101.txt has a formula a line, 1 to 101.  Where the paper holds adv{d} against volume it says `traded`, the amount, and sum(x, d) / d is
read as the mean of the sessions that have a value: see factors/alpha101.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from data.panel import Floats
from factors.alpha101 import IN_YUAN, INDUSTRY, UNMOVED
from factors.compute import Computer
from factors.panel import Panel
from factors.prove import prove
from factors.registry import library

FORMULAS = (Path(__file__).parent / "alpha101.txt").read_text().splitlines()
SESSIONS, STOCKS, START = 330, 23, 20
NAN = np.nan
# Ranks of numbers that are equal but for rounding, such as correlations of ranks, fall either way; these formulas have more of them.
TIES, TIED = 0.004, {13: 0.01, 15: 0.03, 16: 0.01, 94: 0.01, 96: 0.08, 97: 0.02, 98: 0.08}


@pytest.fixture(scope="module")
def columns() -> dict[str, Floats]:
    """A market in cents with suspensions, late listings and three industries, one stock in none."""
    rng = np.random.default_rng(7)
    shape = (SESSIONS, STOCKS)
    close = np.round(10 * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0)), 2)
    open_ = np.round(close * (1 + rng.normal(0, 0.01, shape)), 2)
    high, low = np.maximum(open_, close) + 0.03, np.minimum(open_, close) - 0.02
    volume = np.round(rng.lognormal(12, 0.6, shape))
    null = rng.random(shape) < 0.03
    null[:START, 1] = null[100:140, 2] = True
    found = {"open": open_, "high": high, "low": low, "close": close, "vwap": (high + low + 2 * close) / 4, "volume": volume}
    found = {name: np.where(null, NAN, values) for name, values in found.items()}
    found["last"] = np.array([_carried(values) for values in found["close"].T]).T
    found["amount"] = found["vwap"] * found["volume"]
    found["total_shares"] = np.broadcast_to(np.round(rng.lognormal(19, 1, STOCKS)), shape)
    found["industry"] = np.broadcast_to(np.where(np.arange(STOCKS) == 5, NAN, np.arange(STOCKS) % 3), shape)
    return found


def _carried(values: Floats) -> Floats:
    places = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    return np.where(places >= 0, values[places], NAN)


class Paper:
    """A formula of the paper evaluated over columns, by plain windows."""

    def __init__(self, text: str, columns: dict[str, Floats]) -> None:
        self.summed: list[Floats] = []  # what the last word, a sum, was given
        self.words = re.findall(r"[A-Za-z_][\w.]*|\d*\.?\d+\.?|\|\||==|\S", text)
        before = np.vstack([np.full((1, STOCKS), NAN), columns["last"][:-1]])
        more = {"returns": columns["close"] / before - 1, "cap": columns["last"] * columns["total_shares"], "traded": columns["amount"]}
        self.columns = {**columns, **more}

    def value(self) -> Floats:
        found = self.choice()
        assert not self.words
        return found

    def take(self, *words: str) -> str | None:
        return self.words.pop(0) if self.words and self.words[0] in words else None

    def choice(self) -> Floats:
        condition = self.either()
        if not self.take("?"):
            return condition
        then = self.choice()
        assert self.take(":")
        other = self.choice()
        return np.where(np.isnan(condition + then + other), NAN, np.where(condition > 0, then, other))

    def either(self) -> Floats:
        found = self.comparison()
        while self.take("||"):
            found = np.fmax(found, self.comparison())
        return found

    def comparison(self) -> Floats:
        found = self.sum()
        while word := self.take("<", "=="):
            other = self.sum()
            true = (found < other) if word == "<" else (found == other)
            found = np.where(np.isnan(found) | np.isnan(other), NAN, true)
        return found

    def sum(self) -> Floats:
        found = self.term()
        while word := self.take("+", "-"):
            found = found + self.term() if word == "+" else found - self.term()
        return found

    def term(self) -> Floats:
        found = self.power()
        if self.summed and self.words[:1] == ["/"] and self.words[1].removesuffix(".0") == f"{self.summed[1][0, 0]:.0f}":
            del self.words[:2]
            found = mean(*self.summed)
        while word := self.take("*", "/"):
            other = self.power()
            found = finite(found * other if word == "*" else found / other)
        return found

    def power(self) -> Floats:
        found = self.atom()
        return raised(found, self.atom()) if self.take("^") else found

    def atom(self) -> Floats:
        if self.take("-"):
            return -self.atom()
        if self.take("("):
            found = self.choice()
            assert self.take(")")
            self.summed = []
            return found
        word, self.summed = self.words.pop(0), []
        if word[0].isdigit() or word[0] == ".":
            return np.array([[float(word)]])
        if self.take("("):
            given = [self.choice()]
            while self.take(","):
                given.append(self.choice())
            assert self.take(")")
            self.summed = given if word == "sum" else []
            return FUNCTIONS[word.lower()](*given, self.columns["industry"]) if word.lower() == "indneutralize" else call(word.lower(), given)
        if word.startswith("IndClass"):
            return NAN * self.columns["close"]
        return mean(self.columns["amount"], np.array([[float(word[3:])]])) if word.startswith("adv") else self.columns[word]


def finite(x: Floats) -> Floats:
    return np.where(np.isfinite(x), x, NAN)


def raised(x: Floats, y: Floats) -> Floats:
    return np.where(np.isnan(x + y), NAN, finite(x**y))  # numpy has 1 to any power as 1


def windows(x: Floats, d: Floats) -> Floats:
    """[D, N, d]: each session's window, null before the first."""
    n = int(d[0, 0])
    return sliding_window_view(np.vstack([np.full((n - 1, x.shape[1]), NAN), x]), n, axis=0)


def enough(x: Floats, d: Floats, least: int = 1) -> np.ndarray:
    n = int(d[0, 0])
    return np.isfinite(windows(x, d)).sum(axis=2) >= max((n + 1) // 2, least)


def over(reduce: Callable[[Floats], Floats], least: int = 1) -> Callable[[Floats, Floats], Floats]:
    """A window's statistic from its values, null below half of them."""
    return lambda x, d: finite(np.where(enough(x, d, least), reduce(windows(x, d)), NAN))


def mean(x: Floats, d: Floats) -> Floats:
    return over(lambda w: np.nansum(w, axis=2) / np.isfinite(w).sum(axis=2))(x, d)


def day(x: Floats, d: Floats, best: Callable[..., Floats], worst: float) -> Floats:
    w = windows(x, d)
    return np.where(enough(x, d), best(np.where(np.isnan(w), worst, w), axis=2) + 1, NAN)


def place(x: Floats, d: Floats) -> Floats:
    w = windows(x, d)
    here = w[:, :, -1:]
    ranks = ((w < here).sum(axis=2) + ((w == here).sum(axis=2) + 1) / 2) / np.isfinite(w).sum(axis=2)
    return np.where(enough(x, d) & np.isfinite(here[:, :, 0]), ranks, NAN)


def moments(x: Floats, y: Floats, d: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(xx, yy, xy, count) about the means of the sessions that have both; null below half of them and three, or two of two."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(both, x, NAN), np.where(both, y, NAN)
    a, b = windows(x, d), windows(y, d)
    count = np.isfinite(a).sum(axis=2)
    a, b = (np.nan_to_num(w - (np.nansum(w, axis=2) / count)[:, :, None]) for w in (a, b))
    count = np.where(enough(x, d, min(3, int(d[0, 0]))), count, NAN)
    return (a * a).sum(axis=2), (b * b).sum(axis=2), (a * b).sum(axis=2), count


def correlation(x: Floats, y: Floats, d: Floats) -> Floats:
    xx, yy, xy, count = moments(x, y, d)
    flat = [square <= 1e-24 * np.nansum(windows(v, d) ** 2, axis=2) for square, v in ((xx, x), (yy, y))]
    found = xy / np.sqrt(xx * yy)
    found = np.where(np.abs(found) > 1 - 1e-12, np.sign(found), found)
    return np.where(flat[0] | flat[1] | np.isnan(count), NAN, found)


def covariance(x: Floats, y: Floats, d: Floats) -> Floats:
    _, _, xy, count = moments(x, y, d)
    return finite(xy / (count - 1))


def delay(x: Floats, d: Floats) -> Floats:
    n = int(d[0, 0])
    return np.vstack([np.full((n, x.shape[1]), NAN), x[:-n]])


def decay(x: Floats, d: Floats) -> Floats:
    w, weights = windows(x, d), np.arange(1.0, int(d[0, 0]) + 1)
    return np.where(enough(x, d), np.nansum(w * weights, axis=2) / (np.isfinite(w) * weights).sum(axis=2), NAN)


def rank(x: Floats) -> Floats:
    below, equal = (x[:, None, :] < x[:, :, None]).sum(axis=2), (x[:, None, :] == x[:, :, None]).sum(axis=2)
    return np.where(np.isfinite(x), (below + (equal + 1) / 2) / np.maximum(np.isfinite(x).sum(axis=1, keepdims=True), 1), NAN)


def neutral(x: Floats, _: Floats, groups: Floats) -> Floats:
    out = np.full(x.shape, NAN)
    for group in range(3):
        mine = groups[0] == group
        part = x[:, mine]
        out[:, mine] = part - (np.nansum(part, axis=1) / np.isfinite(part).sum(axis=1))[:, None]
    return out


def call(name: str, given: list[Floats]) -> Floats:
    """A function of the paper; min and max of a number of sessions are those of a window."""
    if name in ("min", "max") and given[1].size > 1:
        return np.minimum(*given) if name == "min" else np.maximum(*given)
    return FUNCTIONS[name](*given)


FUNCTIONS: dict[str, Callable[..., Floats]] = {
    "rank": rank,
    "scale": lambda x: finite(x / np.nansum(np.abs(x), axis=1, keepdims=True)),
    "log": lambda x: finite(np.log(x)),
    "abs": np.abs,
    "sign": np.sign,
    "signedpower": lambda x, y: np.sign(x) * raised(np.abs(x), y),
    "delay": delay,
    "delta": lambda x, d: x - delay(x, d),
    "correlation": correlation,
    "covariance": covariance,
    "decay_linear": decay,
    "indneutralize": neutral,
    "ts_rank": place,
    "ts_argmax": lambda x, d: day(x, d, np.argmax, -np.inf),
    "ts_argmin": lambda x, d: day(x, d, np.argmin, np.inf),
    "sum": over(lambda w: np.nansum(w, axis=2)),
    "product": over(lambda w: np.nanprod(w, axis=2)),
    "stddev": over(lambda w: np.sqrt(moments_of(w)), 2),
    **{name: over(lambda w: np.fmin.reduce(w, axis=2)) for name in ("min", "ts_min")},
    **{name: over(lambda w: np.fmax.reduce(w, axis=2)) for name in ("max", "ts_max")},
}


def moments_of(w: Floats) -> Floats:
    count = np.isfinite(w).sum(axis=2)
    return np.nansum((w - (np.nansum(w, axis=2) / count)[:, :, None]) ** 2, axis=2) / (count - 1)


@pytest.fixture(scope="module")
def found(columns: dict[str, Floats], panel_of: Callable[..., Panel]) -> dict[str, Floats]:
    factors = library(["alpha101"])
    compute = Computer(panel_of(**columns), [one.expr for one in factors.values()])
    return {name: compute(one.expr) for name, one in factors.items()}


@pytest.mark.parametrize("number", range(1, 102))
def test_an_alpha_is_what_the_paper_says(number: int, columns: dict[str, Floats], found: dict[str, Floats]) -> None:
    ours = found[f"alpha{number:03}"]
    with np.errstate(all="ignore"):
        theirs = np.broadcast_to(Paper(FORMULAS[number - 1], columns).value(), ours.shape)
    assert np.isfinite(theirs).sum() > 0.1 * theirs.size
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    both = np.isfinite(ours) & np.isfinite(theirs)
    apart = np.abs(ours - theirs)[both] > 1e-7 * (1 + np.abs(theirs[both]))
    assert apart.mean() <= TIED.get(number, TIES)


def test_the_library_of_101_is_whole_and_says_what_it_needs() -> None:
    factors = library(["alpha101"])
    assert list(factors) == [f"alpha{number:03}" for number in range(1, 102)]
    assert [name for name, one in factors.items() if not one.raw_only] == [f"alpha{number:03}" for number in UNMOVED]
    assert {int(name[5:]) for name, one in factors.items() if "industry" in one.expr.needs} == set(INDUSTRY)
    lake = {"open", "high", "low", "close", "last", "vwap", "volume", "amount"}
    assert factors["alpha058"].unavailable(lake, "raw") == "needs industries as of the date"
    assert factors["alpha003"].unavailable(lake, "adjusted") == "needs raw prices"
    assert factors["alpha006"].unavailable(lake, "adjusted") is None


def test_nothing_of_the_101_looks_ahead_and_only_sums_in_yuan_move_with_the_currency(tables: dict[str, pl.DataFrame], panel: Panel) -> None:
    factors = [one for one in library(["alpha101"]).values() if one.expr.needs <= set(panel.columns)]
    assert len(factors) == 101
    assert prove(factors, tables, [panel.axes.dates[place] for place in (221, 302, 335)]) == []
    assert {one.name for one in factors if one.in_yuan} == {f"alpha{number:03}" for number in IN_YUAN}
    strictly = prove([replace(one, in_yuan=False) for one in factors], tables, [panel.axes.dates[221]])
    assert {breach.change for breach in strictly} == {"another currency"}
    assert {int(breach.factor[5:]) for breach in strictly} <= set(IN_YUAN)
