"""Explain: what an account was exposed to and where its excess came from."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from backtest.attribution.backdrop import Backdrop, moves
from backtest.attribution.daily import attribute
from backtest.attribution.parts import Attribution
from backtest.exposures import Exposures, exposures, standardised
from backtest.market import Market
from backtest.result import Result
from data.errors import KestrelError
from data.lake import Lake
from data.members import drifted_panel
from data.panel import Axes, Floats, to_panels
from pipelines.build import current_factors
from pipelines.prepare import industries

# D sessions, N stocks
# The styles of a report and the factors that measure them; what the lake's factor table lacks is said on the page.
SIZE = "Size"
STYLES = {
    SIZE: "log_float_cap",
    "Value": "book_to_price",
    "Momentum": "momentum_12_1",
    "Volatility": "volatility_60",
    "Beta": "beta_120",
    "Turnover": "turnover_20",
}


@dataclass(frozen=True)
class Scene:
    """The index and the stocks' traits at each close of some sessions.

    weights_DN: the index's, NaN where nobody knows them.  styles: raw values by name.  remarks: what a reader must know of each.
    """

    weights_DN: Floats
    known_D: np.ndarray
    styles: dict[str, Floats]
    groups_DN: np.ndarray | None
    groups: list[str]
    remarks: list[str]


def around(market: Market, result: Result) -> Axes:
    """The account's sessions, the one before in front."""
    first = market.axes.index(result.dates[0])
    return Axes(market.axes.dates[first - 1 : first + len(result.dates)], result.symbols)


def scene(lake: Lake, axes: Axes, index: str) -> Scene:
    """What the lake knows of the index and the stocks at each close of these sessions, and nothing of later ones."""
    weights_DN, known_D = _index_weights(lake, axes, index)
    styles, words = _styles(lake, axes)
    groups_DN, groups, origin = industries(lake, axes)
    return Scene(weights_DN, known_D, styles, groups_DN, groups, [*words, *origin])


def exposed(seen: Scene, result: Result) -> Exposures | None:
    """The book against the index at every close, from values of that close; None where the lake doesn't know the index's members.

    seen: over the account's sessions and the one before, as for `attributed`.
    """
    known_D = seen.known_D[1:]
    if not known_D.any():
        return None
    w_DN = result.shares_DN * np.nan_to_num(result.price_DN) / result.nav_D[:, None]
    remarks = ["The index stands at its latest published weights, moved by prices since."]
    if not known_D.all():
        remarks.append(f"Its members are unknown on {int((~known_D).sum())} of {len(known_D)} sessions, which stay empty.")
    styles = {name: x_DN[1:] for name, x_DN in seen.styles.items()}
    groups_DN = None if seen.groups_DN is None else seen.groups_DN[1:]
    remarks += seen.remarks
    return exposures(result.dates, w_DN, seen.weights_DN[1:], styles, groups_DN=groups_DN, groups=seen.groups, remarks=remarks)


def attributed(seen: Scene, result: Result, market: Market, b_D: Floats, price_b_D: Floats) -> Attribution:
    """Where the excess over b_D came from, by weights, industries and styles of the close before.

    price_b_D: the index without dividends, which raw prices are held against; adjusted ones have their dividends inside.
    """
    weights_DN = seen.weights_DN[:-1]
    styles = {name: standardised(x_DN[:-1], weights_DN > 0) for name, x_DN in seen.styles.items()}
    groups_DN = None if seen.groups_DN is None else seen.groups_DN[:-1]
    price_b_D = b_D if result.price_basis == "adjusted" else price_b_D
    return attribute(result, Backdrop(b_D, price_b_D, *moves(market, result), weights_DN, groups_DN, seen.groups, styles))


def _index_weights(lake: Lake, axes: Axes, index: str) -> tuple[Floats, np.ndarray]:
    """(weights [D, N] at every close, 0 outside the index and NaN where nobody knows it; known [D])."""
    if not lake.has("members"):
        return np.full(axes.shape, np.nan), np.zeros(len(axes.dates), dtype=bool)
    members = lake.read("members", end=axes.dates[-1]).filter(pl.col("index") == index)
    in_force = members.filter(pl.col("date") <= axes.dates[0])["date"]
    begins: date = in_force.sort()[-1] if len(in_force) else axes.dates[0]  # older lists are out of force
    bars = lake.read("bars", columns=["date", "symbol", "close", "adj"], start=begins, end=axes.dates[-1])
    whole = Axes(tuple(bars["date"].unique().sort()), axes.symbols)
    panels = to_panels(bars, ["close", "adj"], whole)
    weights_DN, known_D = drifted_panel(members.filter(pl.col("date") >= begins), whole, index, panels["close"] * panels["adj"])
    last = slice(len(whole.dates) - len(axes.dates), None)
    return np.where(known_D[last, None], np.nan_to_num(weights_DN[last]), np.nan), known_D[last]


def _styles(lake: Lake, axes: Axes) -> tuple[dict[str, Floats], list[str]]:
    """(raw values [D, N] by style, what a reader must know) out of the lake's factor table."""
    try:
        current_factors(lake)
    except KestrelError as error:
        return {}, [f"No style exposures: {error}"]
    there = set(lake.scan("factors").collect_schema().names())
    chosen = {style: name for style, name in STYLES.items() if name in there}
    table = lake.read("factors", columns=["date", "symbol", *chosen.values()], start=axes.dates[0], end=axes.dates[-1])
    panels = to_panels(table, list(chosen.values()), axes)
    words = [f"Styles are factors of the library: {', '.join(f'{style.lower()} is {name}' for style, name in chosen.items())}."]
    missing = [f"{style.lower()} ({name})" for style, name in STYLES.items() if name not in there]
    if missing:
        words.append(f"This lake can't feed {', '.join(missing)}.")
    return {style: panels[name] for style, name in chosen.items()}, words
